//! Requests on their way in: each has so long to arrive whole, so much memory
//! while it does, and a connection so many of them.

use std::time::Duration;

use bytes::{BufMut, Bytes};
use fireworks_simulator::{Fault, Options, Rule};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use prost::Message;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::support::{Caller, Failure, PATIENCE, World, ask, spawn};

/// A prompt whose answer stands still on the way.
const STALLS: &str = "Stand still";

/// One connection, on which requests are sent as they are.
struct Raw(hyper::client::conn::http2::SendRequest<Pieces>);

type Pieces = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

#[derive(Clone)]
struct Executor;

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Executor {
    fn execute(&self, task: F) {
        spawn(task);
    }
}

impl Raw {
    async fn connect(world: &World) -> Raw {
        let socket = tokio::net::TcpStream::connect(world.worker).await.expect("it listens");
        let socket = hyper_util::rt::TokioIo::new(socket);
        let greeted = hyper::client::conn::http2::handshake(Executor, socket).await;
        let (sender, connection) = greeted.expect("it greets");
        spawn(async move {
            let _ = connection.await;
        });
        Raw(sender)
    }

    /// Calls with a body in pieces; how the call is refused.
    async fn call(
        &mut self,
        method: &str,
        pieces: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Failure {
        self.0.ready().await.expect("a stream");
        let body = StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece))));
        let request = http::Request::post(format!("http://worker{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body.boxed_unsync())
            .expect("a request");
        let response = timeout(PATIENCE, self.0.send_request(request)).await.expect("in time");
        let response = response.expect("an answer");
        Failure::from(Status::from_header_map(response.headers()).expect("a refusal"))
    }
}

const EXECUTE: &str = "/sparkler.worker.v1.WorkerService/ExecuteNode";
const CHECK: &str = "/sparkler.worker.v1.WorkerService/CheckNode";

/// A message with its head.
fn framed(message: &impl Message) -> Bytes {
    let mut framed = vec![0];
    framed.put_u32(u32::try_from(message.encoded_len()).expect("short"));
    message.encode(&mut framed).expect("a vector takes everything");
    framed.into()
}

fn never() -> stream::Pending<Bytes> {
    stream::pending()
}

#[tokio::test]
async fn a_request_that_is_not_whole_in_time_frees_its_stream() {
    let world = World::with(Options::instant(), |config| {
        config.ingress.request_timeout = Duration::from_millis(300);
        config.ingress.streams_per_connection = 1;
    })
    .await;
    let mut raw = Raw::connect(&world).await;
    let whole = framed(&ask("x").request());
    let half = whole.slice(..whole.len() / 2);
    let byte = Bytes::from_static(&[0]);
    let drips = stream::unfold((), move |()| {
        let byte = byte.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((byte, ()))
        }
    });
    let announced = stream::iter([Bytes::from_static(&[0, 0, 1, 0, 0])]);
    // With one stream, each call comes to its turn only when the one before has
    // freed it.
    for failure in [
        raw.call(EXECUTE, never()).await,
        raw.call(EXECUTE, stream::iter([half]).chain(never())).await,
        raw.call(EXECUTE, stream::iter([whole]).chain(never())).await,
        raw.call(EXECUTE, announced.chain(drips)).await,
        raw.call(CHECK, never()).await,
        raw.call("/grpc.health.v1.Health/Check", never()).await,
    ] {
        assert_eq!(failure.code, Code::DeadlineExceeded, "{failure:?}");
        assert_eq!(failure.reason, "REQUEST_TIMEOUT");
        assert!(failure.message.contains("300ms") && failure.safe_to_retry(), "{failure:?}");
    }
    assert_eq!(world.upstream_calls(), 0);
    assert_eq!(world.admission.bytes(), 0);
}

#[tokio::test]
async fn a_request_is_charged_as_it_arrives_and_health_is_free() {
    let world = World::with(Options::instant(), |config| {
        config.admission.bytes = 256 << 10;
    })
    .await;
    let mut raw = Raw::connect(&world).await;
    let piece = Bytes::from(vec![0; 16 << 10]);
    let endless = stream::iter([Bytes::from_static(&[0, 0, 0x40, 0, 0])])
        .chain(stream::repeat(piece).take(64))
        .chain(never());
    let failure = raw.call(EXECUTE, endless).await;
    assert_eq!(failure.code, Code::ResourceExhausted, "{failure:?}");
    assert_eq!(failure.reason, "WORKER_SATURATED");
    assert!(failure.message.contains("no memory left"), "{}", failure.message);
    assert_eq!(world.admission.bytes(), 0, "it is given back");
    world.caller().await.answer(ask("and now well")).await;

    let starved = World::with(Options::instant(), |config| config.admission.bytes = 1024).await;
    let failure = starved.caller().await.failure(ask("x")).await;
    assert_eq!(failure.reason, "WORKER_SATURATED");
    let channel = tonic::transport::Endpoint::from_shared(starved.url()).expect("a URL");
    let channel = channel.connect().await.expect("it listens");
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
    health.check(tonic_health::pb::HealthCheckRequest::default()).await.expect("an answer");
}

#[tokio::test]
async fn a_call_beyond_a_connections_streams_waits_for_one() {
    let rules = vec![Rule::always(Fault::stall(30)).prompt(STALLS)];
    let world = World::with(Options { rules, ..Options::instant() }, |config| {
        config.ingress.streams_per_connection = 2;
    })
    .await;
    let caller = world.caller().await;
    let hold = async |caller: &Caller| {
        let mut holding = caller.execute(ask(STALLS)).await.expect("a stream");
        holding.first_text().await;
        holding
    };
    let first = hold(&caller).await;
    let _second = hold(&caller).await;
    let third = spawn({
        let caller = caller.clone();
        async move { caller.answer(ask("Third")).await }
    });
    world.caller().await.answer(ask("Elsewhere")).await;
    assert!(!third.is_finished(), "it waits for a stream");
    assert_eq!(world.upstream_calls(), 3);
    drop(first);
    timeout(PATIENCE, third).await.expect("a stream is free").expect("no panic");
}
