//! What is no request of the API, byte by byte.

use bytes::{Buf, BufMut};
use prost::Message;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use crate::support::{Failure, World, ask};

/// A frame as it is.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

async fn send(world: &World, frame: Vec<u8>) -> Result<(), Status> {
    let channel = Channel::from_shared(format!("http://{}", world.worker)).expect("an address");
    let mut grpc = Grpc::new(channel.connect().await.expect("the worker listens"));
    grpc.ready().await.expect("a channel");
    let path = "/sparkler.worker.v1.WorkerService/ExecuteNode".parse().expect("a path");
    let mut stream = grpc.server_streaming(Request::new(frame), path, Raw).await?.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

/// A request whose config has a value of so many lists in each other, written
/// without recursion.
fn deep(levels: usize) -> Vec<u8> {
    let tagged = |tag: u8, content: &[u8]| {
        let mut bytes = vec![tag];
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend_from_slice(content);
        bytes
    };
    const VALUE_BOOL: [u8; 2] = [0x20, 1];
    let value = (0..levels).fold(VALUE_BOOL.to_vec(), |inner, _| {
        let list = tagged(0x0a, &inner);
        tagged(0x32, &list)
    });
    let entry = [tagged(0x0a, b"tools"), tagged(0x12, &value)].concat();
    tagged(0x12, &tagged(0x0a, &entry))
}

#[tokio::test]
async fn a_frame_that_is_no_request_is_refused_by_name() {
    let world = World::start().await;
    let good = ask("x").request().encode_to_vec();
    for (name, frame) in [
        ("invalid UTF-8", vec![0x0a, 2, 0xff, 0xfe]),
        ("no message", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a length beyond the end", vec![0x0a, 0xff, 0xff, 0xff, 0x7f]),
        ("a cut message", good[..good.len() - 3].to_vec()),
        ("1,000 levels", deep(1000)),
        ("5,000 levels", deep(5000)),
        ("the wrong type", vec![0x08, 1]),
        ("nothing", Vec::new()),
    ] {
        let failure = Failure::from(send(&world, frame).await.expect_err(name));
        assert_eq!(failure.code, Code::InvalidArgument, "{name}: {failure:?}");
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG", "{name}: {failure:?}");
        assert!(!failure.violations.is_empty(), "{name}: {failure:?}");
    }
    send(&world, good).await.expect("a good frame");
    world.caller().await.answer(ask("and now well")).await;
}

#[tokio::test]
async fn a_body_that_is_no_frame_is_refused_by_name() {
    let world = World::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build();
    let client = client.expect("a client");
    let url = format!("http://{}/sparkler.worker.v1.WorkerService/ExecuteNode", world.worker);
    for (name, body) in [
        ("an unknown flag", &[7, 0, 0, 0, 1, 0][..]),
        ("compressed, and not said how", &[1, 0, 0, 0, 1, 0]),
        ("shorter than it says", &[0, 0, 0, 0, 9, 0]),
        ("half a head", &[0, 0]),
        ("nothing", &[]),
        ("four gigabytes", &[0, 0xff, 0xff, 0xff, 0xff, 0]),
    ] {
        let request = client.post(&url).header("content-type", "application/grpc");
        let response = request.header("te", "trailers").body(body.to_vec()).send().await;
        let response = response.expect(name);
        let status = Status::from_header_map(response.headers()).expect(name);
        let failure = Failure::from(status);
        assert_eq!(failure.code, Code::InvalidArgument, "{name}: {failure:?}");
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG", "{name}: {failure:?}");
        assert_eq!(failure.violations[0].0, "request", "{name}: {failure:?}");
    }
    world.caller().await.answer(ask("and now well")).await;
}

#[tokio::test]
async fn a_compressed_request_is_refused_by_name_and_not_inflated() {
    let world = World::start().await;
    let mut client = world.caller().await.client().send_compressed(CompressionEncoding::Gzip);
    // As much as is read of one that comes as it is.
    let refused = client.execute_node(ask(&" ".repeat(8 << 20)).request()).await;
    let status = refused.expect_err("it is compressed");
    let accepted = status.metadata().get("grpc-accept-encoding").cloned();
    assert_eq!(accepted.expect("it says what it takes"), "identity");
    let failure = Failure::from(status);
    assert_eq!(failure.code, Code::Unimplemented, "{failure:?}");
    assert_eq!(failure.reason, "COMPRESSION_UNSUPPORTED", "{failure:?}");
    assert!(!failure.safe_to_retry());
    assert_eq!(world.upstream_calls(), 0);
    world.caller().await.answer(ask("and now well")).await;
}
