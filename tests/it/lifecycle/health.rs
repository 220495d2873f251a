//! What the worker says of itself: health, reflection, and the admin pages.

use tonic::Code;
use tonic_health::pb::{health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb;

use super::{NAMES, channel, health, question};
use crate::support::{World, page, response};

#[tokio::test]
async fn a_worker_that_serves_says_so_under_every_name() {
    let world = World::start().await;
    for name in NAMES {
        assert_eq!(health(world.worker, name).await, ServingStatus::Serving, "{name:?}");
    }
    let mut client = HealthClient::new(channel(world.worker).await);
    let unknown = client.check(question("sparkler.worker.v1.Nobody")).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn a_health_watch_sees_that_the_worker_leaves() {
    let mut world = World::start().await;
    let mut client = HealthClient::new(channel(world.worker).await);
    let mut watches = Vec::new();
    for name in NAMES {
        let mut watch = client.watch(question(name)).await.expect("a watch").into_inner();
        let first = watch.message().await.expect("no failure").expect("a status");
        assert_eq!(first.status(), ServingStatus::Serving);
        watches.push(watch);
    }
    world.stop();
    for mut watch in watches {
        let next = watch.message().await.expect("no failure").expect("a status");
        assert_eq!(next.status(), ServingStatus::NotServing);
    }
    world.stopped().await;
}

#[tokio::test]
async fn the_admin_pages_show_liveness_and_readiness() {
    let world = World::start().await;
    assert_eq!(page(world.admin, "/livez").await.0, 200);
    assert_eq!(page(world.admin, "/readyz").await.0, 200);
    assert_eq!(page(world.admin, "/nothing").await.0, 404);
}

#[tokio::test]
async fn the_figures_stand_on_a_page_for_prometheus() {
    let world = World::start().await;
    let page = response(world.admin, "/metrics").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let kind = "content-type: text/plain; version=0.0.4";
    assert!(page.to_ascii_lowercase().contains(kind), "{page}");
    assert!(page.lines().any(|line| line == "sparkler_drain_stage 0"), "{page}");
    assert!(page.lines().any(|line| line == "sparkler_admission_limit 10000"), "{page}");
}

/// Both versions are the same messages in two packages.
macro_rules! listed_services {
    ($version:ident, $worker:expr) => {{
        use pb::$version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let mut client = ServerReflectionClient::new(channel($worker).await);
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let responses = client.server_reflection_info(tokio_stream::once(request)).await;
        let mut responses = responses.expect("it answers").into_inner();
        let response = responses.message().await.expect("no failure").expect("an answer");
        match response.message_response {
            Some(MessageResponse::ListServicesResponse(list)) => {
                list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        }
    }};
}

#[tokio::test]
async fn reflection_answers_in_both_versions() {
    let world = World::start().await;
    let services = [listed_services!(v1, world.worker), listed_services!(v1alpha, world.worker)];
    for services in services {
        for name in ["sparkler.worker.v1.WorkerService", "grpc.health.v1.Health"] {
            assert!(services.iter().any(|service| service == name), "{services:?}");
        }
    }
}

#[tokio::test]
async fn an_operator_can_switch_reflection_off() {
    use pb::v1::server_reflection_client::ServerReflectionClient;
    let options = fireworks_simulator::Options::instant();
    let world = World::with(options, |config| config.reflection = false).await;
    let mut client = ServerReflectionClient::new(channel(world.worker).await);
    let refused = client.server_reflection_info(tokio_stream::empty()).await;
    assert_eq!(refused.expect_err("it is off").code(), Code::Unimplemented);
}
