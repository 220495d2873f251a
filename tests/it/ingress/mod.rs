//! The ingress: who may call the worker, over what, and what each may use.

#![expect(clippy::print_stdout, reason = "the figures are to be read")]

mod callers;
mod connections;
mod descriptors;
mod requests;
mod secrets;
mod tls;
mod watching;

use std::path::Path;

use fireworks_simulator::Options;
use serde_json::json;
use sparkler::internals::Callers;
use tempfile::TempDir;

use crate::support::World;

/// The token of the caller `flows`, of the tenant `acme`.
const FLOWS: &str = "Bearer a token of the flows";
/// The token of the caller `reports`, of the tenant `globex`.
const REPORTS: &str = "Bearer a token of the reports";

/// A world that knows its callers, and the folder of its files.
struct Guarded {
    world: World,
    folder: TempDir,
}

impl Guarded {
    /// Two callers of two tenants, each with one of two mounted keys.
    async fn start() -> Guarded {
        let folder = tempfile::tempdir().expect("a folder");
        write_callers(folder.path(), &[("flows", FLOWS), ("reports", REPORTS)]);
        let secrets = folder.path().join("secrets");
        std::fs::create_dir(&secrets).expect("created");
        for name in ["of-flows", "of-reports"] {
            std::fs::write(secrets.join(name), crate::support::KEY).expect("written");
        }
        let world = World::with(Options::instant(), |config| {
            let file = folder.path().join("callers.json");
            config.ingress.callers = Callers::listed(&file).expect("callers");
            config.secrets_dir = Some(secrets);
            config.execution.trust_tenant = true;
        })
        .await;
        Guarded { world, folder }
    }

    async fn caller(&self, authorization: &str) -> crate::support::Caller {
        self.world.caller().await.authorized(authorization)
    }
}

fn write_callers(folder: &Path, callers: &[(&str, &str)]) {
    let entries = callers.iter().map(|(name, authorization)| {
        let token = authorization.strip_prefix("Bearer ").expect("a token");
        let tenant = if *name == "flows" { "acme" } else { "globex" };
        json!({"name": name, "tenant": tenant, "tokens": [token],
               "secrets": [format!("of-{name}")]})
    });
    let file = json!({"callers": entries.collect::<Vec<_>>()});
    std::fs::write(folder.join("callers.json"), file.to_string()).expect("written");
}
