//! A worker that is asked to stop ends what it has begun, within its limits, and
//! nothing that hangs holds it.

use std::time::Duration;

use fireworks_simulator::{Options, Pace};
use sparkler::proto::worker_service_client::WorkerServiceClient;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::Instant};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{health_check_response::ServingStatus, health_client::HealthClient};

use super::{NAMES, STALLS, channel, drains_within, health, question, some_stall};
use crate::support::{Caller, PATIENCE, World, ask, page};

/// Far less than any drain limit here, and more than stopping takes.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn in_the_pre_drain_delay_calls_are_taken_while_not_serving() {
    let mut world = World::with(Options::instant(), |config| {
        config.drain.pre_drain_delay = Duration::from_secs(2);
    })
    .await;
    let mut client = HealthClient::new(channel(world.worker).await);
    let mut watch = client.watch(question("")).await.expect("a watch").into_inner();
    watch.message().await.expect("no failure").expect("serving");
    world.stop();
    let reported = watch.message().await.expect("no failure").expect("a status");
    assert_eq!(reported.status(), ServingStatus::NotServing);
    for name in NAMES {
        assert_eq!(health(world.worker, name).await, ServingStatus::NotServing);
    }
    assert_eq!(page(world.admin, "/readyz").await.0, 503);
    assert_eq!(page(world.admin, "/livez").await.0, 200);
    let answer = world.caller().await.answer(ask("Still there?")).await;
    assert!(!answer.choices[0].text.is_empty());
    world.stopped().await;
    assert!(TcpStream::connect(world.worker).await.is_err(), "nobody listens any more");
    assert!(TcpStream::connect(world.admin).await.is_err());
}

#[tokio::test]
async fn what_runs_ends_whole_within_the_drain_limit() {
    let options = Options {
        pace: Pace { first_token: Duration::from_millis(100), tokens_per_second: 100.0 },
        ..Options::default()
    };
    let mut world = World::with(options, |_| {}).await;
    let caller = world.caller().await;
    let mut calls = Vec::new();
    for index in 0..20 {
        let mut call = caller.execute(ask(&format!("Number {index}?"))).await.expect("it runs");
        call.started().await;
        calls.push(call.finish());
    }
    world.stop();
    for received in futures_util::future::join_all(calls).await {
        let text = received.text.clone();
        assert_eq!(received.completed().choices[0].text, text);
    }
    world.stopped().await;
    assert_eq!(world.simulator.report().aborted, 0);
}

/// Calls until the worker refuses: it says so, or the connection takes nothing
/// more, and then the client says it in its own words.
async fn until_refused(caller: &Caller) {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Err(failure) = caller.recv(ask("x")).await.end {
            match failure.reason.as_str() {
                "WORKER_DRAINING" => assert_eq!(failure.code, Code::Unavailable),
                reason => assert_eq!(reason, "", "{failure:?}"),
            }
            return;
        }
    }
    panic!("it takes calls forever");
}

#[tokio::test]
async fn while_it_drains_nothing_new_is_taken() {
    let mut world = World::with(some_stall(), drains_within(Duration::from_secs(2))).await;
    let caller = world.caller().await;
    let mut running = caller.execute(ask(STALLS)).await.expect("it runs");
    running.started().await;
    world.stop();
    until_refused(&caller).await;
    assert!(TcpStream::connect(world.worker).await.is_err(), "nobody listens any more");
    running.finish().await.end.expect_err("it never ends by itself");
    world.stopped().await;
}

#[tokio::test]
async fn an_execution_beyond_the_drain_limit_ends_with_a_wait() {
    let mut world = World::with(some_stall(), drains_within(Duration::from_millis(300))).await;
    let mut calls = Vec::new();
    for asked in [ask(STALLS), ask(STALLS).cached(), ask(STALLS).cached(), ask(STALLS).drain()] {
        let mut call = world.caller().await.execute(asked).await.expect("it runs");
        call.first_text().await;
        calls.push(call.finish());
    }
    world.stop();
    for received in futures_util::future::join_all(calls).await {
        let failure = received.end.expect_err("it never ends by itself");
        assert_eq!((failure.code, failure.reason.as_str()), (Code::Unavailable, "WORKER_DRAINING"));
        assert!(failure.retry_after.is_some() && failure.pushback.is_some());
        assert!(failure.safe_to_retry());
        assert_eq!(failure.detail.expect("a detail").attempts, 1);
    }
    world.simulator.wait_until(|report| report.aborted == 3, PATIENCE).await.expect("aborts");
    world.stopped().await;
}

#[tokio::test]
async fn idle_sockets_and_open_watches_do_not_hold_it() {
    let mut world = World::with(Options::instant(), drains_within(Duration::from_secs(600))).await;
    let silent = TcpStream::connect(world.worker).await.expect("it listens");
    let mut greeting = TcpStream::connect(world.worker).await.expect("it listens");
    greeting.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("it reads");
    let admin = TcpStream::connect(world.admin).await.expect("it listens");
    let mut client = HealthClient::new(channel(world.worker).await);
    let watch = client.watch(question("")).await.expect("a watch").into_inner();
    let idle = world.caller().await;
    idle.answer(ask("x")).await;
    let began = Instant::now();
    world.stop();
    world.stopped().await;
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    drop((silent, greeting, admin, watch));
}

#[tokio::test]
async fn a_caller_that_does_not_read_does_not_hold_it() {
    let mut world =
        World::with(Options::instant(), drains_within(Duration::from_millis(300))).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", world.worker)).expect("a URL");
    let channel = endpoint.initial_stream_window_size(64).connect().await.expect("it listens");
    let mut client = WorkerServiceClient::new(channel);
    let unread = client.execute_node(ask("x").request()).await.expect("it runs").into_inner();
    world.simulator.wait_until(|report| report.completed == 1, PATIENCE).await.expect("an answer");
    let began = Instant::now();
    world.stop();
    world.stopped().await;
    assert!(began.elapsed() < SOON, "it took {:?}", began.elapsed());
    drop(unread);
}

#[tokio::test]
async fn it_stops_well_when_nobody_is_connected() {
    // Where the last connection goes and the last execution ends are two things
    // that may come in either order.
    for _ in 0..20 {
        let mut world = World::start().await;
        world.stop();
        world.stopped().await;
    }
}
