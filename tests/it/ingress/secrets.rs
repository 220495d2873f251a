//! A mounted credential is for the callers that the operator names, and counts as it is now;
//! and nothing is fetched on a caller's word.

use sparkler::proto::{ChatMessage, ContentPart, ImageUrl, content_part::Part};
use tokio::net::TcpListener;

use super::{FLOWS, Guarded, REPORTS};
use crate::support::{World, ask};

#[tokio::test]
async fn a_caller_names_its_own_secrets_and_nobody_elses() {
    let guarded = Guarded::start().await;
    let flows = guarded.caller(FLOWS).await;
    let mounted = |name: &str| ask("x").no_credential().secret(name);
    flows.answer(mounted("of-flows")).await;
    let mut reported = Vec::new();
    for name in ["of-reports", "of-nobody"] {
        let refused = flows.failure(mounted(name)).await;
        assert_eq!(refused.reason, "INVALID_NODE_CONFIG");
        reported.push(refused.violations);
    }
    assert_eq!(reported[0], reported[1], "whether it is there is not revealed");
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
    std::fs::write(&file, crate::support::KEY).expect("written");
    flows.answer(named()).await;
}

#[tokio::test]
async fn the_image_of_a_prompt_is_never_fetched_here() {
    let world = World::start().await;
    let host = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/image.png", host.local_addr().expect("bound"));
    let image = ImageUrl { url, detail: String::new() };
    let message = ChatMessage {
        role: "user".to_owned(),
        parts: vec![ContentPart { part: Some(Part::ImageUrl(image)) }],
        ..Default::default()
    };
    // Answered or refused, by the provider's word alone.
    let received = world.caller().await.recv(ask("x").chat(vec![message])).await;
    assert_eq!(world.upstream_calls(), 1, "{:?}", received.end);
    let fetched = futures_util::FutureExt::now_or_never(host.accept());
    assert!(fetched.is_none(), "somebody asked for the image");
}
