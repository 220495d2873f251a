//! Connections: how old they get, how many calls on them may be cancelled, what
//! is spoken on them, and what those cost that say little.

use std::{net::SocketAddr, path::Path, time::Duration};

use fireworks_simulator::Options;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use sparkler::config::ConnectionAge;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::{Instant, timeout},
};
use tonic::Code;

use crate::support::{
    PATIENCE, World, ask,
    frames::{
        ACK, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM,
        WINDOW_UPDATE, frame, head,
    },
    page, spawn,
};

const LIST: &str = "/sparkler.worker.v1.WorkerService/ListNodeTypes";
const EXECUTE: &str = "/sparkler.worker.v1.WorkerService/ExecuteNode";

/// A world whose connections are old in a moment.
async fn short_lived() -> World {
    World::with(Options::instant(), |config| {
        let (limit, grace) = (Duration::from_millis(150), Duration::from_secs(10));
        config.ingress.age = Some(ConnectionAge { limit, grace });
    })
    .await
}

#[tokio::test]
async fn a_client_of_tonic_sees_no_failure_as_connections_age() {
    let world = short_lived().await;
    let caller = world.caller().await;
    let (began, mut calls, mut unsent) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_secs(3) {
        calls += 1;
        match caller.recv(ask(&format!("{calls}"))).await.end {
            Ok(_) => {}
            // A request that hyper had not begun to send when the GOAWAY came: tonic
            // reports it without a word of the worker, and does not retry by itself.
            Err(failure) if failure.reason.is_empty() && failure.code == Code::Cancelled => {
                unsent += 1;
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }
    println!("tonic: {calls} calls over connections of 150 ms, {unsent} of them not sent");
    assert!(unsent * 10 < calls, "{unsent} of {calls} were not sent");
}

#[tokio::test]
async fn a_client_of_grpcio_sees_no_failure_as_connections_age() {
    let world = short_lived().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = folder.join("clients/python/.venv/bin/python");
    assert!(python.exists(), "{} is missing: run tests/setup", python.display());
    let mut command = Command::new(python);
    let request: String =
        ask("x").request().encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
    command
        .arg(folder.join("tests/it/ingress/looping.py"))
        .arg(world.worker.to_string())
        .arg(request);
    let run = timeout(PATIENCE * 2, command.kill_on_drop(true).output()).await;
    let output = run.expect("in time").expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    print!("{said}");
}

#[tokio::test]
async fn an_old_connection_gets_goaway_and_is_then_cut() {
    let world = World::with(Options::instant(), |config| {
        let (limit, grace) = (Duration::from_millis(100), Duration::from_millis(400));
        config.ingress.age = Some(ConnectionAge { limit, grace });
    })
    .await;
    let began = Instant::now();
    let mut connection = Frames::connect(world.worker).await;
    // A call whose message never comes keeps it open beyond its GOAWAY.
    connection.send(&frame(HEADERS, END_HEADERS, 1, &head(EXECUTE))).await;
    let mut reported = None;
    while let Some((kind, _)) = connection.next().await {
        if kind == GOAWAY {
            reported.get_or_insert_with(|| began.elapsed());
        }
    }
    let (reported, cut) = (reported.expect("a GOAWAY"), began.elapsed());
    println!("GOAWAY after {reported:?}, cut after {cut:?}");
    assert!(reported >= Duration::from_millis(100) && cut >= Duration::from_millis(450));
    assert!(reported < cut && cut < Duration::from_secs(5));
}

/// Begins a call as gRPC's C core does when the GOAWAY arrives just then: the PONG
/// overtakes the call. Returns the kinds of the frames that come until the call is
/// answered.
async fn cross_the_goaway(connection: &mut Frames) -> Vec<u8> {
    while connection.next().await.expect("a GOAWAY").0 != GOAWAY {}
    let mut sent = Vec::new();
    if let Ok(Some((PING, payload))) = timeout(Duration::from_millis(50), connection.next()).await {
        sent.extend(frame(PING, ACK, 0, &payload));
    }
    sent.extend(frame(HEADERS, END_HEADERS, 1, &head(LIST)));
    sent.extend(frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 5]));
    sent.extend(frame(DATA, END_STREAM, 1, &[0; 5]));
    connection.send(&sent).await;
    let mut kinds = Vec::new();
    while !kinds.contains(&HEADERS) {
        let (kind, payload) = connection.next().await.expect("an answer, not the end");
        let error = payload.get(4..8).filter(|_| kind == GOAWAY);
        assert!(matches!(error, None | Some([0, 0, 0, 0])), "a GOAWAY with error {error:?}");
        kinds.push(kind);
    }
    kinds
}

#[tokio::test]
async fn a_call_that_crosses_the_goaway_of_age_is_answered() {
    let world = short_lived().await;
    let mut connection = Frames::connect(world.worker).await;
    cross_the_goaway(&mut connection).await;
}

#[tokio::test]
async fn a_call_that_crosses_the_goaway_of_a_drain_is_answered() {
    let mut world = World::start().await;
    let mut connection = Frames::connect(world.worker).await;
    world.stop();
    cross_the_goaway(&mut connection).await;
}

/// The frames of so many calls that are begun, and then cancelled.
fn cancelled(calls: u32) -> Vec<u8> {
    let streams = || (0..calls).map(|number| 2 * number + 1);
    let begun = streams().flat_map(|stream| frame(HEADERS, END_HEADERS, stream, &head(EXECUTE)));
    let ended = streams().flat_map(|stream| frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
    begun.chain(ended).collect()
}

#[tokio::test]
async fn all_calls_of_a_connection_may_be_cancelled_at_once() {
    let world = World::start().await;
    for _ in 0..5 {
        let mut connection = Frames::connect(world.worker).await;
        connection.send(&cancelled(1000)).await;
        connection.send(&frame(PING, 0, 0, b"and then")).await;
        assert_eq!(connection.until(PING).await.expect("it goes on"), b"and then");
    }
}

#[tokio::test]
async fn a_flood_of_cancelled_calls_ends_its_connection() {
    let world = World::with(Options::instant(), |config| {
        config.ingress.streams_per_connection = 10;
    })
    .await;
    let mut connection = Frames::connect(world.worker).await;
    let both = |number: u32| {
        let mut both = frame(HEADERS, END_HEADERS, 2 * number + 1, &head(EXECUTE));
        both.extend(frame(RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 8]));
        both
    };
    connection.send(&(0..400).flat_map(both).collect::<Vec<u8>>()).await;
    // It may be closed so hard that its GOAWAY is lost on the way.
    while connection.next().await.is_some() {}
    world.caller().await.answer(ask("others are answered")).await;
}

#[tokio::test]
async fn what_is_not_grpc_is_refused_as_http_has_it() {
    let world = World::start().await;
    let socket = TcpStream::connect(world.worker).await.expect("it listens");
    let io = TokioIo::new(socket);
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    spawn(connection);
    for (media_type, expected) in [
        (Some("application/json"), 415),
        (Some("application/grpc-web+proto"), 415),
        (Some("application/grpcx"), 415),
        (None, 415),
        (Some("application/grpc"), 200),
        (Some("Application/gRPC+proto"), 200),
        (Some("application/grpc; charset=utf-8"), 200),
    ] {
        let mut request = hyper::Request::post(format!("http://{}{EXECUTE}", world.worker));
        if let Some(media_type) = media_type {
            request = request.header("content-type", media_type);
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).expect("a request");
        let response = requests.send_request(request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), expected, "{media_type:?}");
    }
}

/// Resolves when the worker has closed the connection.
async fn closed(mut socket: TcpStream) -> Duration {
    let began = Instant::now();
    let mut sink = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut sink)).await.expect("it is closed");
    began.elapsed()
}

async fn saying(address: SocketAddr, said: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.expect("it listens");
    socket.write_all(said).await.expect("it reads");
    socket
}

async fn with_health() -> World {
    World::with(Options::instant(), |config| {
        config.ingress.health_listen = Some(([127, 0, 0, 1], 0).into());
    })
    .await
}

#[tokio::test]
async fn silent_and_half_said_connections_end_on_every_port() {
    let world = with_health().await;
    let health = world.health.expect("a port");
    let half = b"GET /livez HTTP/1.1\r\nHost: x\r\nX";
    let kept = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
    let all = tokio::join!(
        closed(saying(world.worker, b"").await),
        closed(saying(world.worker, b"PRI * HTTP/2.0").await),
        closed(saying(world.admin, b"").await),
        closed(saying(world.admin, half).await),
        closed(saying(world.admin, kept).await),
        closed(saying(health, b"").await),
        closed(saying(health, b"PRI * HTTP/2.0").await),
        // It greets, and answers no ping.
        closed(saying(health, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await),
    );
    println!("closed after {all:?}");
}

#[tokio::test]
async fn probes_get_through_a_crowd_of_silent_connections() {
    let world = with_health().await;
    let mut crowd = Vec::new();
    for _ in 0..400 {
        crowd.push(saying(world.admin, b"").await);
        crowd.push(saying(world.health.expect("a port"), b"").await);
    }
    assert_eq!(timeout(PATIENCE, page(world.admin, "/livez")).await.expect("in time").0, 200);
    let health = super::watching::check(world.health.expect("a port")).await;
    health.expect("it answers");
    // The oldest has given way, well before its time is over.
    let oldest = timeout(Duration::from_secs(5), crowd[0].read(&mut [0])).await;
    assert!(matches!(oldest, Ok(Ok(0) | Err(_))), "{oldest:?}");
}
