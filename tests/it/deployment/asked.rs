//! Metrics that alerts and panels ask for exist, under the name that Prometheus
//! sees, with the labels that distinguish their series; and every alert can be looked up.

use std::collections::BTreeSet;

use sparkler::internals::{Definition, Error, InstrumentKind, TABLE};

use super::read;
use crate::support::{World, page};

const ALERTS: &str = "deploy/helm/sparkler/files/alerts.yaml";
const DASHBOARD: &str = "deploy/helm/sparkler/files/dashboard.json";

/// The words of these that begin like a name of ours, or of a convention.
fn asked(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| {
            ["sparkler_", "gen_ai_", "rpc_", "process_"].iter().any(|begin| word.starts_with(begin))
        })
        .collect()
}

/// Every series and every label that the worker's page may have.
fn measured() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in TABLE {
        let name = row.page_name();
        match row.kind {
            InstrumentKind::Histogram => {
                names.extend(["_bucket", "_count", "_sum"].map(|part| format!("{name}{part}")));
            }
            InstrumentKind::Counter | InstrumentKind::UpDownCounter | InstrumentKind::Gauge => {
                names.insert(name);
            }
        }
        names.extend(row.attributes.iter().map(|attribute| attribute.replace('.', "_")));
    }
    names
}

#[test]
fn alerts_and_the_dashboard_ask_for_what_is_measured() {
    let measured = measured();
    for path in [ALERTS, DASHBOARD] {
        let text = read(path);
        let asked = asked(&text);
        assert!(asked.len() > 10, "{path}: {asked:?}");
        // The dashboard's own tag, and the chart's labels, are no metrics.
        let unknown: Vec<&str> =
            asked.into_iter().filter(|name| !measured.contains(*name)).collect();
        assert!(unknown.is_empty(), "{path} asks for {unknown:?}, which no worker measures");
    }
}

#[test]
fn alerts_count_reasons_that_there_are() {
    let alerts = read(ALERTS);
    let conditions = alerts.split("sparkler_reason=").skip(1);
    let reasons: BTreeSet<&str> = conditions
        .filter_map(|condition| condition.split('"').nth(1))
        .flat_map(|reasons| reasons.split('|'))
        .collect();
    // They have series from the start.
    let known = BTreeSet::from(Error::NOT_THE_CALLERS);
    assert!(reasons.len() > 5, "{reasons:?}");
    assert!(reasons.is_subset(&known), "{:?} are no such reasons", &reasons - &known);
}

/// An increase of a series that appears with its first event misses that event, and an
/// autoscaler takes a gauge that is absent for a worker that it does not see.
#[tokio::test]
async fn a_fresh_worker_has_a_series_of_every_count_and_gauge() {
    let world = World::start().await;
    let (_, page) = page(world.admin, "/metrics").await;
    let present: BTreeSet<&str> =
        page.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let counted =
        TABLE.iter().filter(|row| row.kind != InstrumentKind::Histogram).map(Definition::page_name);
    // Workers without a Redis, a certificate, a callers file or a model in use have nothing
    // to say of it.
    let absent = ["_redis_", "_tls_", "_callers", "_model_", "gen_ai_"];
    let counted = counted.filter(|name| !absent.iter().any(|of| name.contains(of)));
    let missing: Vec<String> = counted.filter(|name| !present.contains(&**name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_alert_has_its_runbook_and_every_runbook_its_alert() {
    let alerts = read(ALERTS);
    let alerts: BTreeSet<&str> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let operations = read("docs/operations.md");
    let (_, runbooks) = operations.split_once("\n## Alerts\n").expect("a section of alerts");
    let (runbooks, _) = runbooks.split_once("\n## ").unwrap_or((runbooks, ""));
    let headings: BTreeSet<&str> =
        runbooks.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert_eq!(headings, alerts);
}
