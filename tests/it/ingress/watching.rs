//! Reflection and watches of health: open to all, so each has little.

use std::{net::SocketAddr, time::Duration};

use fireworks_simulator::Options;
use sparkler::config::ConnectionAge;
use tokio::time::{Instant, timeout};
use tokio_stream::{StreamExt, pending};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus::{ServiceUnknown, Serving},
    health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};

use crate::support::{Failure, PATIENCE, World, ask};

async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("a URL");
    endpoint.connect().await.expect("it listens")
}

/// Asks once how the worker is.
pub(super) async fn check(address: SocketAddr) -> Result<HealthCheckResponse, Status> {
    let mut client = HealthClient::new(channel(address).await);
    client.check(HealthCheckRequest::default()).await.map(tonic::Response::into_inner)
}

fn question(name: String) -> ServerReflectionRequest {
    let message_request = Some(MessageRequest::FileContainingSymbol(name));
    ServerReflectionRequest { host: String::new(), message_request }
}

async fn until_nothing_is_charged(world: &World) {
    let began = Instant::now();
    while world.admission.bytes() > 0 {
        assert!(began.elapsed() < PATIENCE, "{} bytes stay charged", world.admission.bytes());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_watch_of_an_unknown_service_says_so_and_stays_open() {
    let world = World::start().await;
    let mut client = HealthClient::new(channel(world.worker).await);
    let request = HealthCheckRequest { service: "nobody".to_owned() };
    let mut watch = client.watch(request).await.expect("a watch").into_inner();
    let first = watch.message().await.expect("no failure").expect("a status");
    assert_eq!(first.status(), ServiceUnknown);
    let more = timeout(Duration::from_millis(300), watch.message()).await;
    assert!(more.is_err(), "it ends or says more: {more:?}");
}

#[tokio::test]
async fn a_connection_has_few_watches_and_gets_more_as_they_end() {
    let world = World::start().await;
    let mut client = HealthClient::new(channel(world.worker).await);
    let mut watches = Vec::new();
    let refused = loop {
        match client.watch(HealthCheckRequest::default()).await {
            Ok(watch) => watches.push(watch),
            Err(refused) => break Failure::from(refused),
        }
    };
    assert_eq!((watches.len(), refused.reason.as_str()), (4, "WORKER_SATURATED"));
    assert!(refused.safe_to_retry() && world.admission.bytes() >= 4 * 16 * 1024);
    // Others are not concerned.
    HealthClient::new(channel(world.worker).await)
        .watch(HealthCheckRequest::default())
        .await
        .expect("another connection");
    world.caller().await.answer(ask("x")).await;
    drop(watches);
    until_nothing_is_charged(&world).await;
    client.watch(HealthCheckRequest::default()).await.expect("there is room again");
}

#[tokio::test]
async fn a_watch_ends_with_the_age_of_its_connection() {
    let world = World::with(Options::instant(), |config| {
        let (limit, grace) = (Duration::from_millis(300), Duration::from_secs(10));
        config.ingress.age = Some(ConnectionAge { limit, grace });
    })
    .await;
    let mut client = HealthClient::new(channel(world.worker).await);
    let watch = client.watch(HealthCheckRequest::default()).await.expect("a watch");
    let mut watch = watch.into_inner();
    assert_eq!(watch.message().await.expect("a status").expect("one").status(), Serving);
    let end = timeout(Duration::from_secs(5), watch.message()).await.expect("it ends");
    let end = Failure::from(end.expect_err("a reason"));
    assert_eq!((end.code, end.reason.as_str()), (Code::Unavailable, "CONNECTION_MAX_AGE"));
    until_nothing_is_charged(&world).await;
}

#[tokio::test]
async fn questions_to_reflection_are_short() {
    let world = World::start().await;
    let mut client = ServerReflectionClient::new(channel(world.worker).await);
    let long = tokio_stream::once(question("n".repeat(5000)));
    let answers = client.server_reflection_info(long).await.expect("it begins").into_inner();
    let answers: Vec<_> = answers.collect().await;
    assert!(answers.iter().all(Result::is_err), "it is read");
    let name = "sparkler.worker.v1.WorkerService".to_owned();
    let short = tokio_stream::once(question(name));
    let mut answers = client.server_reflection_info(short).await.expect("it begins").into_inner();
    answers.message().await.expect("no failure").expect("an answer");
    drop(answers);
    until_nothing_is_charged(&world).await;
}

#[tokio::test]
async fn reflection_that_is_not_ended_ends_with_the_time_of_a_request() {
    let world = World::with(Options::instant(), |config| {
        config.ingress.request_timeout = Duration::from_millis(300);
    })
    .await;
    let mut client = ServerReflectionClient::new(channel(world.worker).await);
    let mut open = Vec::new();
    for _ in 0..4 {
        let silent = pending::<ServerReflectionRequest>();
        open.push(client.server_reflection_info(silent).await.expect("it begins").into_inner());
    }
    let silent = pending::<ServerReflectionRequest>();
    let refused = client.server_reflection_info(silent).await.expect_err("too many");
    assert_eq!(Failure::from(refused).reason, "WORKER_SATURATED");
    assert!(world.admission.bytes() > 4 * 128 * 1024, "{}", world.admission.bytes());
    for mut answers in open {
        let end = timeout(Duration::from_secs(5), answers.message()).await;
        assert!(!matches!(end.expect("it ends"), Ok(Some(_))), "it answers nothing");
    }
    until_nothing_is_charged(&world).await;
}
