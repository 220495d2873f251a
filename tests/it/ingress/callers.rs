//! Who is unknown is refused before anything is done; who is known is who the
//! operator says, whatever the request claims.

use sparkler::proto::{AttachExecutionRequest, CacheStatus, CheckNodeRequest, cache_policy::Scope};
use tokio::time::Instant;
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use super::{FLOWS, Guarded, REPORTS, write_callers};
use crate::support::{Caller, Failure, PATIENCE, ask, page};

fn assert_unknown(failure: &Failure) {
    assert_eq!(failure.code, Code::Unauthenticated);
    let named = (failure.reason.as_str(), failure.domain.as_str());
    assert_eq!(named, ("CALLER_UNAUTHENTICATED", "sparkler"));
    assert!(!failure.safe_to_retry());
}

async fn assert_all_refused(caller: &Caller) {
    assert_unknown(&caller.failure(ask("x")).await);
    let attachment = AttachExecutionRequest::default();
    assert_unknown(&caller.attach(attachment).await.err().expect("refused"));
    assert_unknown(&caller.list().await.expect_err("refused"));
    assert_unknown(&caller.check(CheckNodeRequest::default()).await.expect_err("refused"));
}

#[tokio::test]
async fn a_missing_or_wrong_token_is_refused_everywhere() {
    let guarded = Guarded::start().await;
    assert_all_refused(&guarded.world.caller().await).await;
    for wrong in ["Bearer a token of nobody's", "Basic Zmxvd3M6", "Bearer ", "x"] {
        assert_all_refused(&guarded.caller(wrong).await).await;
    }
    assert_eq!(guarded.world.upstream_calls(), 0);
    for known in [FLOWS, REPORTS] {
        guarded.caller(known).await.answer(ask("x")).await;
        guarded.caller(known).await.list().await.expect("a list");
    }
}

#[tokio::test]
async fn health_and_reflection_ask_nobody() {
    let guarded = Guarded::start().await;
    let endpoint = Endpoint::from_shared(guarded.world.url()).expect("a URL");
    let channel = endpoint.connect().await.expect("it listens");
    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.expect("open");
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    reflection.server_reflection_info(tokio_stream::once(request)).await.expect("open");
}

#[tokio::test]
async fn a_request_cannot_overrule_the_callers_tenant() {
    let guarded = Guarded::start().await;
    let (flows, reports) = (guarded.caller(FLOWS).await, guarded.caller(REPORTS).await);
    let shared = |claimed: &str| ask("x").cached().scope(Scope::Tenant).tenant(claimed);
    let status = |answer: sparkler::proto::Completed| answer.cache.expect("cache").status();
    assert_eq!(status(flows.answer(shared("acme")).await), CacheStatus::Miss);
    assert_eq!(status(flows.answer(shared("globex")).await), CacheStatus::Hit);
    assert_eq!(status(reports.answer(shared("acme")).await), CacheStatus::Miss);
}

#[tokio::test]
async fn an_execution_token_serves_only_the_caller_it_was_given_to() {
    let guarded = Guarded::start().await;
    let flows = guarded.caller(FLOWS).await;
    let received = flows.recv(ask("x")).await;
    let token = received.started.as_ref().expect("started").execution_token.clone();
    let attachment =
        || AttachExecutionRequest { execution_token: token.clone(), ..Default::default() };
    let stolen = guarded.caller(REPORTS).await.attach(attachment()).await;
    assert_eq!(stolen.err().expect("refused").reason, "EXECUTION_NOT_FOUND");
    let again = flows.attach(attachment()).await.expect("its own").finish().await;
    assert_eq!(again.completed().choices, received.completed().choices);
}

#[tokio::test]
async fn callers_come_and_go_with_the_file() {
    let guarded = Guarded::start().await;
    let flows = guarded.caller(FLOWS).await;
    let reports = guarded.caller(REPORTS).await;
    let mut running = flows.execute(ask("x")).await.expect("known");
    write_callers(guarded.folder.path(), &[("reports", REPORTS)]);
    until(async || flows.list().await.is_err(), "it is still known").await;
    reports.list().await.expect("known");
    running.started().await;
    running.finish().await.completed();

    // What makes no sense changes nothing.
    std::fs::write(guarded.folder.path().join("callers.json"), "{").expect("written");
    write_later(&guarded).await;
    until(async || flows.list().await.is_ok(), "it is not known again").await;
}

#[tokio::test]
async fn an_empty_list_locks_everybody_out() {
    let guarded = Guarded::start().await;
    let flows = guarded.caller(FLOWS).await;
    flows.list().await.expect("known");
    write_callers(guarded.folder.path(), &[]);
    until(async || flows.list().await.is_err(), "it is still known").await;
    assert_all_refused(&flows).await;
    let (_, page) = page(guarded.world.admin, "/metrics").await;
    assert!(page.lines().any(|line| line == "sparkler_callers 0"), "{page}");
}

/// After the worker has had time to see what was written before.
async fn write_later(guarded: &Guarded) {
    let flows = guarded.caller(FLOWS).await;
    let reports = guarded.caller(REPORTS).await;
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        flows.list().await.expect_err("unknown");
        reports.list().await.expect("known");
    }
    write_callers(guarded.folder.path(), &[("flows", FLOWS), ("reports", REPORTS)]);
}

async fn until(met: impl AsyncFn() -> bool, otherwise: &str) {
    let began = Instant::now();
    while !met().await {
        assert!(began.elapsed() < PATIENCE, "{otherwise}");
        tokio::task::yield_now().await;
    }
}
