//! Deadlines and cancelling: each fires at its time over the whole stream, and
//! the provider is stopped with it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use fireworks_simulator::{Fault, Options, Rule};
use sparkler::{config::Config, internals::Protocol, proto::execute_node_response::Event};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tonic::Code;

use crate::support::{Ask, Failure, PATIENCE, World};

/// A model whose output is text from the first delta.
const PLAIN: &str = "accounts/simulator/models/plain";
/// How soon the provider's stream is closed once nobody wants it.
const ABORTED_WITHIN: Duration = Duration::from_millis(100);

fn ask(prompt: &str) -> Ask {
    crate::support::ask(prompt).model(PLAIN)
}

async fn speaking(protocol: Protocol) -> World {
    World::with(Options::instant(), |config| config.fireworks.protocol = protocol).await
}

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn assert_deadline(failure: &Failure, reason: &str, phase: &str) {
    assert_eq!(failure.reason, reason, "{failure:?}");
    assert_eq!(failure.code, Code::DeadlineExceeded);
    assert_eq!(failure.domain, "sparkler");
    assert_eq!(failure.metadata.get("phase").map(String::as_str), Some(phase), "{failure:?}");
    assert!(failure.safe_to_retry());
}

/// Waits until the provider has noticed; says how long that took.
async fn aborted(world: &World, calls: u64) -> Duration {
    let began = Instant::now();
    let noticed = world.simulator.wait_until(|report| report.aborted == calls, PATIENCE);
    noticed.await.expect("the provider's stream is closed");
    began.elapsed()
}

#[tokio::test]
async fn each_deadline_fires_with_its_reason_and_stops_the_provider() {
    let limit = milliseconds(250);
    let slow = || Fault::SlowDeltas { delay: milliseconds(60) };
    let rows = [
        (
            "FIRST_TOKEN_TIMEOUT",
            "waiting",
            Fault::SlowHead { delay: PATIENCE },
            ask("a").first_token(limit),
        ),
        (
            "FIRST_TOKEN_TIMEOUT",
            "waiting",
            Fault::SlowFirstToken { delay: PATIENCE },
            ask("b").first_token(limit),
        ),
        ("IDLE_TIMEOUT", "streaming", Fault::stall(3), ask("c").idle(limit)),
        ("TOTAL_TIMEOUT", "streaming", slow(), ask("d").total(limit)),
        ("TOTAL_TIMEOUT", "waiting", Fault::stall(0), ask("e").total(limit)),
        ("IDLE_TIMEOUT", "streaming", Fault::stall(3), ask("f").idle(limit).no_deltas()),
    ];
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let world = speaking(protocol).await;
        let caller = world.caller().await;
        for (reason, phase, fault, asked) in rows.clone() {
            world.simulator.reset();
            world.simulator.script(Rule::always(fault.clone()));
            let began = Instant::now();
            let failure = caller.failure(asked).await;
            let took = began.elapsed();
            assert_deadline(&failure, reason, phase);
            assert!(took >= limit && took < limit * 4, "{reason}: {took:?}");
            let noticed = aborted(&world, 1).await;
            assert!(noticed < ABORTED_WITHIN, "{protocol:?} {fault:?}: after {noticed:?}");
            assert_eq!(world.upstream_calls(), 1, "a deadline is not tried again");
        }
        world.simulator.clear_script();
        caller.answer(ask("and now well")).await;
    }
}

#[tokio::test]
async fn the_calls_own_deadline_counts_over_the_whole_stream() {
    let world = World::start().await;
    let slow = Fault::SlowDeltas { delay: milliseconds(60) };
    world.simulator.script(Rule::always(slow));
    let caller = world.caller().await;
    let asked = ask("Slowly").total(Duration::from_secs(60));
    let began = Instant::now();
    let call = caller.execute_within(asked, Some(milliseconds(300))).await.expect("it begins");
    let received = call.finish().await;
    assert!(!received.text.is_empty(), "it streamed until then");
    assert_deadline(&received.end.expect_err("it is over"), "TOTAL_TIMEOUT", "streaming");
    assert!(began.elapsed() >= milliseconds(300));
    aborted(&world, 1).await;
}

#[tokio::test]
async fn output_moves_the_deadlines_also_where_nobody_wants_deltas() {
    let world = World::start().await;
    world.simulator.script(Rule::always(Fault::SlowDeltas { delay: milliseconds(80) }));
    let caller = world.caller().await;
    for asked in [ask("Flow"), ask("Flow").no_deltas()] {
        let began = Instant::now();
        caller.answer(asked.first_token(milliseconds(600)).idle(milliseconds(600))).await;
        assert!(began.elapsed() > milliseconds(700), "it took longer than either deadline");
    }
}

#[tokio::test]
async fn a_keepalive_moves_no_deadline() {
    let world = World::with(Options::instant(), |config| {
        config.execution.progress_interval = milliseconds(50);
    })
    .await;
    world.simulator.script(Rule::always(Fault::SlowHead { delay: PATIENCE }));
    let received = world.caller().await.recv(ask("Well?").first_token(milliseconds(400))).await;
    assert!((3..=8).contains(&received.progress), "{} progress events", received.progress);
    assert_deadline(&received.end.expect_err("it is over"), "FIRST_TOKEN_TIMEOUT", "waiting");
}

#[tokio::test]
async fn a_deadline_beyond_all_time_is_lowered_to_the_workers() {
    let world = World::start().await;
    let for_ever = Some(prost_types::Duration { seconds: i64::MAX, nanos: 0 });
    let mut request = ask("Patiently").cached().request();
    let limits = request.limits.get_or_insert_default();
    limits.connect = for_ever;
    limits.first_token = for_ever;
    limits.idle = for_ever;
    limits.total = for_ever;
    request.cache.get_or_insert_default().ttl = for_ever;
    let mut client = world.caller().await.client();
    let mut stream = client.execute_node(request).await.expect("it begins").into_inner();
    let mut last = None;
    while let Some(event) = stream.message().await.expect("it does not fail") {
        last = event.event;
    }
    assert!(matches!(last, Some(Event::Completed(_))));
}

/// A worker whose provider is at this address.
async fn before(provider: SocketAddr, scheme: &str) -> World {
    let base_url = format!("{scheme}://{provider}/v1").parse().expect("a URL");
    World::with(Options::instant(), |config: &mut Config| config.fireworks.base_url = base_url)
        .await
}

async fn assert_connect_times_out(world: &World) {
    let began = Instant::now();
    let asked = ask("Is anybody there?").connect(milliseconds(200));
    let failure = world.caller().await.failure(asked).await;
    assert_deadline(&failure, "CONNECT_TIMEOUT", "connecting");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_provider_that_never_shakes_hands_is_a_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let world = before(listener.local_addr().expect("an address"), "https").await;
    assert_connect_times_out(&world).await;
}

#[tokio::test]
async fn a_provider_whose_door_is_full_is_a_connect_timeout() {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("an address");
    // Nobody accepts: connections queue until the kernel takes no more.
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(milliseconds(100), TcpStream::connect(address)).await
    {
        queue.push(stream);
    }
    let world = before(address, "http").await;
    assert_connect_times_out(&world).await;
}

#[tokio::test]
async fn an_absent_provider_is_unavailable_and_not_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let world = before(address, "http").await;
    let failure = world.caller().await.failure(ask("Is anybody there?").attempts(1)).await;
    assert_eq!(
        (failure.code, failure.reason.as_str()),
        (Code::Unavailable, "PROVIDER_UNAVAILABLE")
    );
    assert!(!failure.message.contains(&address.to_string()), "{}", failure.message);
}

#[tokio::test]
async fn a_caller_who_leaves_stops_the_provider() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let world = speaking(protocol).await;
        let caller = world.caller().await;
        for fault in [Fault::stall(3), Fault::EndlessStream] {
            world.simulator.reset();
            world.simulator.script(Rule::always(fault.clone()));
            let mut call = caller.execute(ask("Stop")).await.expect("it begins");
            call.first_text().await;
            drop(call);
            let noticed = aborted(&world, 1).await;
            assert!(noticed < ABORTED_WITHIN, "{protocol:?} {fault:?}: after {noticed:?}");
        }
        world.simulator.reset();
        world.simulator.script(Rule::always(Fault::SlowHead { delay: PATIENCE }));
        let call = caller.execute(ask("Stop before the head")).await.expect("it begins");
        let asked = world.simulator.wait_until(|report| report.in_flight == 1, PATIENCE);
        asked.await.expect("the provider is asked");
        drop(call);
        let noticed = aborted(&world, 1).await;
        assert!(noticed < ABORTED_WITHIN, "{protocol:?} before the head: after {noticed:?}");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_stops_nothing_while_others_listen() {
    let world = World::start().await;
    let caller = world.caller().await;
    let pause = Fault::Stall { after_deltas: 3, lasting: Some(milliseconds(500)) };
    world.simulator.script(Rule::always(pause));
    let mut first = caller.execute(ask("Stay").cached()).await.expect("it begins");
    first.first_text().await;
    let mut second = caller.execute(ask("Stay").cached()).await.expect("it joins");
    second.first_text().await;
    drop(first);
    second.finish().await.completed();
    let report = world.simulator.report();
    assert_eq!((report.calls, report.aborted, report.completed), (1, 0, 1));
}

#[tokio::test]
async fn a_deadline_of_one_listener_is_not_that_of_the_others() {
    let world = World::start().await;
    let caller = world.caller().await;
    let pause = Fault::Stall { after_deltas: 3, lasting: Some(milliseconds(600)) };
    world.simulator.script(Rule::always(pause));
    let asked = || ask("Mine and yours").cached();
    let hasty = caller.execute(asked().total(milliseconds(200))).await.expect("it begins");
    let patient = caller.execute(asked()).await.expect("it joins");
    let (hasty, patient) = tokio::join!(hasty.finish(), patient.finish());
    assert_deadline(&hasty.end.expect_err("it is over"), "TOTAL_TIMEOUT", "streaming");
    patient.completed();
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn who_asked_to_drain_leaves_an_execution_that_runs_on() {
    let world = World::start().await;
    let caller = world.caller().await;
    let pause = Fault::Stall { after_deltas: 3, lasting: Some(milliseconds(300)) };
    world.simulator.script(Rule::always(pause));
    let mut call = caller.execute(ask("Run on").drain()).await.expect("it begins");
    call.first_text().await;
    drop(call);
    let done = world.simulator.wait_until(|report| report.completed == 1, PATIENCE);
    assert_eq!(done.await.expect("it runs to its end").aborted, 0);
}

#[tokio::test]
async fn draining_has_a_bound() {
    let world = World::with(Options::instant(), |config| {
        config.execution.drain_limit = milliseconds(200);
    })
    .await;
    world.simulator.script(Rule::always(Fault::stall(3)));
    let mut call = world.caller().await.execute(ask("Forever").drain()).await.expect("it begins");
    call.first_text().await;
    drop(call);
    let noticed = aborted(&world, 1).await;
    assert!(noticed >= milliseconds(150) && noticed < Duration::from_secs(2), "{noticed:?}");
}
