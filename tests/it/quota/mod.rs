//! What tenants may spend a day: counted by one worker, or by all that share a
//! Redis, and refused by name when it is spent.

mod fleet;

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fireworks_simulator::Options;
use serde_json::{Value, json};
use sparkler::{config::Config, internals::quota_file, proto::Completed};
use tempfile::TempDir;
use tonic::Code;

use crate::support::{Failure, PATIENCE, World, ask, page};

const DAY: u64 = 24 * 60 * 60;

/// A worker with a file of limits.
struct Limited {
    world: World,
    folder: TempDir,
}

impl Limited {
    async fn start(limits: Value) -> Limited {
        Limited::with(limits, |_| {}).await
    }

    async fn with(limits: Value, configure: impl FnOnce(&mut Config)) -> Limited {
        not_at_midnight().await;
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), &limits);
        let world = World::with(Options::instant(), |config| {
            config.limits = Some(quota_file(&folder.path().join("limits")).expect("limits"));
            config.execution.trust_tenant = true;
            configure(config);
        })
        .await;
        Limited { world, folder }
    }

    async fn answer(&self, prompt: &str, tenant: &str) -> Completed {
        self.world.caller().await.answer(ask(prompt).tenant(tenant)).await
    }

    async fn refusal(&self, tenant: &str) -> Failure {
        self.world.caller().await.failure(ask("Once more").tenant(tenant)).await
    }
}

fn write(folder: &Path, limits: &Value) {
    std::fs::write(folder.join("limits"), limits.to_string()).expect("written");
}

/// Waits until what is spent now is not forgotten in a moment.
async fn not_at_midnight() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a date").as_secs();
    let left = DAY - now % DAY;
    if left < 3 * PATIENCE.as_secs() {
        tokio::time::sleep(Duration::from_secs(left)).await;
    }
}

fn assert_spent(failure: &Failure, tenant: &str, what: &str) {
    assert_eq!(failure.code, Code::ResourceExhausted, "{failure:?}");
    assert_eq!(failure.reason, "QUOTA_EXHAUSTED", "{failure:?}");
    assert_eq!(failure.domain, "sparkler");
    assert_eq!(failure.quota, [(format!("tenant:{tenant}"), format!("{what} a day (UTC)"))]);
    let wait = failure.retry_after.expect("until the day is over").as_secs();
    assert!(wait <= DAY && failure.safe_to_retry(), "{failure:?}");
    assert_eq!(failure.pushback.as_deref(), Some("-1"), "no client is to hold the call");
    assert!(failure.detail.is_none(), "nothing had begun");
}

fn tokens(completed: &Completed) -> u64 {
    completed.usage.as_ref().and_then(|usage| usage.total_tokens).expect("a total")
}

#[tokio::test]
async fn a_tier_without_a_price_counts_at_the_standard_rate() {
    let limits = json!({"tenants": {"acme": {"dollars_per_day": 1e-6}}});
    let limited = Limited::start(limits).await;
    let asked = ask("First").tenant("acme").set("serviceTier", json!("flex"));
    let cost = limited.world.caller().await.answer(asked).await.cost.expect("a cost");
    assert!(cost.tier_unpriced && cost.spent_nanodollars > 1000, "{cost:?}");
    assert_eq!(limited.refusal("acme").await.reason, "QUOTA_EXHAUSTED");
}

#[tokio::test]
async fn a_tenant_that_spent_its_tokens_is_refused_others_go_on() {
    let limited = Limited::start(json!({"tenants": {"acme": {"tokens_per_day": 1}}})).await;
    limited.answer("First", "acme").await;
    assert_spent(&limited.refusal("acme").await, "acme", "1 tokens");
    limited.answer("Another's", "globex").await;
    limited.answer("Nobody's", "").await;
    assert_eq!(limited.world.upstream_calls(), 3);
    let (_, figures) = page(limited.world.admin, "/metrics").await;
    let counted =
        r#"sparkler_admission_refusals_total{sparkler_admission_limit_kind="tokens_per_day"} 1"#;
    assert!(figures.contains(counted), "{figures}");
}

#[tokio::test]
async fn a_tenant_that_has_spent_its_dollars_is_refused() {
    let limited = Limited::start(json!({"default": {"dollars_per_day": 0.000_001}})).await;
    limited.answer("First", "acme").await;
    assert_spent(&limited.refusal("acme").await, "acme", "0.000001 US dollars");
    limited.answer("Another's", "globex").await;
}

#[tokio::test]
async fn an_answer_that_was_paid_for_before_spends_nothing() {
    let limited = Limited::start(json!({})).await;
    let caller = limited.world.caller().await;
    let asked = || ask("Twice").tenant("acme").cached();
    let first = caller.answer(asked()).await;
    let more_than_one = json!({"default": {"tokens_per_day": tokens(&first) + 1}});
    let limited = Limited::start(more_than_one).await;
    let caller = limited.world.caller().await;
    for _ in 0..3 {
        caller.answer(asked()).await;
    }
    assert_eq!(limited.world.upstream_calls(), 1);
    limited.answer("Something new", "acme").await;
    assert_eq!(limited.refusal("acme").await.reason, "QUOTA_EXHAUSTED");
}

#[tokio::test]
async fn a_raised_limit_counts_at_once_and_a_broken_file_does_not() {
    let limited = Limited::start(json!({"default": {"tokens_per_day": 1}})).await;
    limited.answer("First", "acme").await;
    write(limited.folder.path(), &json!({"default": {"tokens": "many"}}));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(limited.refusal("acme").await.reason, "QUOTA_EXHAUSTED", "the old limit is kept");
    write(limited.folder.path(), &json!({"default": {"tokens_per_day": 1_000_000}}));
    let raised = async {
        while limited.world.caller().await.recv(ask("x").tenant("acme")).await.end.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, raised).await.expect("it is raised");
}
