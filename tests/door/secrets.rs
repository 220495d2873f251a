//! A mounted credential is for whom the operator says, and counts as it is now.

use super::{FLOWS, Guarded, REPORTS, support::ask};

#[tokio::test]
async fn a_caller_names_its_own_secrets_and_nobody_elses() {
    let guarded = Guarded::start().await;
    let flows = guarded.caller(FLOWS).await;
    let mounted = |name: &str| ask("x").no_credential().secret(name);
    flows.answer(mounted("of-flows")).await;
    let mut told = Vec::new();
    for name in ["of-reports", "of-nobody"] {
        let refused = flows.failure(mounted(name)).await;
        assert_eq!(refused.reason, "INVALID_NODE_CONFIG");
        told.push(refused.violations);
    }
    assert_eq!(told[0], told[1], "whether it is there is nobody's news");
    guarded.caller(REPORTS).await.answer(mounted("of-reports")).await;
    assert_eq!(guarded.world.upstream_calls(), 2);
}

#[tokio::test]
async fn a_name_in_the_nodes_config_is_bound_alike() {
    let guarded = Guarded::start().await;
    let flows = guarded.caller(FLOWS).await;
    let named = |name: &str| ask("x").no_credential().set("credential", name.into());
    flows.answer(named("of-flows")).await;
    let refused = flows.failure(named("of-reports")).await;
    assert_eq!(refused.violations[0].0, "config.credential");
}

#[tokio::test]
async fn a_rotated_secret_counts_at_once() {
    let guarded = Guarded::start().await;
    let flows = guarded.caller(FLOWS).await;
    let file = guarded.folder.path().join("secrets/of-flows");
    let named = || ask("x").no_credential().secret("of-flows");
    std::fs::write(&file, "fw_of_yesterday and not a key").expect("written");
    assert_eq!(flows.failure(named()).await.reason, "INVALID_NODE_CONFIG");
    std::fs::write(&file, super::support::KEY).expect("written");
    flows.answer(named()).await;
}
