//! The floor: the least a tonic worker can do and still be honest.
//!
//! A typed request, a typed body upstream, one JSON parse per event, one
//! message per token, a BLAKE3 key and a concurrent map for what is cached.
//! None of what makes a worker safe to run: no validation, time limits,
//! retries, telemetry, bounds, eviction, merging or sharing of flights. What
//! Sparkler costs more than this is the price of those.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use dashmap::DashMap;
use futures_util::{StreamExt, future::BoxFuture, stream::BoxStream};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use prost::Message;
use prost_types::value::Kind;
use serde::{Deserialize, Serialize};
use tonic::{
    Status,
    body::Body,
    codegen::Service,
    server::{Grpc, NamedService, ServerStreamingService},
};
use tonic_prost::ProstCodec;

use crate::{
    relay::{self, Relay, unavailable},
    scene::Protocol,
    wire,
};

/// The options that the parent passes to the floor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    pub(crate) upstream: SocketAddr,
    pub(crate) protocol: Protocol,
    /// 1 is a runtime without a scheduler between threads.
    pub(crate) threads: usize,
    /// Whether an answer that nobody wants streamed is asked for whole.
    pub(crate) asks_whole: bool,
}

/// Serves until killed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let mut builder = match options.threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(options.threads).enable_all().build()?.block_on(async {
        tonic::transport::Server::builder()
            .tcp_nodelay(true)
            .add_service(Floor::new(options))
            .serve(options.address)
            .await?;
        Ok(())
    })
}

type Answers = BoxStream<'static, Result<wire::Response, Status>>;
type Key = [u8; blake3::OUT_LEN];

#[derive(Clone)]
struct Floor {
    client: Client<HttpConnector, Full<Bytes>>,
    url: hyper::Uri,
    asks_whole: bool,
    cache: Arc<DashMap<Key, wire::Completed>>,
}

impl Floor {
    fn new(options: &Options) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .http2_only(options.protocol == Protocol::Http2)
            .http2_initial_stream_window_size(1 << 20)
            .http2_initial_connection_window_size(16 << 20)
            .build(connector);
        let url = format!("http://{}/inference/v1/chat/completions", options.upstream);
        Self {
            client,
            #[expect(clippy::expect_used, reason = "made of a socket address")]
            url: url.parse().expect("a URL"),
            asks_whole: options.asks_whole,
            cache: Arc::default(),
        }
    }

    async fn execute(self, request: wire::Request) -> Result<Answers, Status> {
        let cached = request.cache.is_some_and(|cache| cache.mode == CACHE_READ_WRITE);
        let key = cached.then(|| key(&request));
        if let Some(completed) = key.and_then(|key| self.cache.get(&key).map(|hit| hit.clone())) {
            return Ok(once(completed));
        }
        if request.output.is_none_or(|output| output.deltas.unwrap_or(true)) {
            return Ok(Relay::new(self.call(&request, true).await?).boxed());
        }
        let completed = if self.asks_whole {
            relay::parse_whole(&self.collect(&request, false).await?)?
        } else {
            relay::parse_events(&self.collect(&request, true).await?)?
        };
        if let Some(key) = key {
            self.cache.insert(key, completed.clone());
        }
        Ok(once(completed))
    }

    async fn collect(&self, request: &wire::Request, stream: bool) -> Result<Bytes, Status> {
        let body = self.call(request, stream).await?;
        Ok(body.collect().await.map_err(unavailable)?.to_bytes())
    }

    async fn call(&self, request: &wire::Request, stream: bool) -> Result<Incoming, Status> {
        let body = UpstreamRequest::new(request, stream);
        let body = serde_json::to_vec(&body).map_err(unavailable)?;
        let key = request.credential.as_ref().map_or("", |credential| &credential.api_key);
        let request = hyper::Request::post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .body(Full::from(body))
            .map_err(unavailable)?;
        let response = self.client.request(request).await.map_err(unavailable)?;
        if !response.status().is_success() {
            return Err(Status::unavailable("the upstream refused"));
        }
        Ok(response.into_body())
    }
}

/// `CachePolicy.MODE_READ_WRITE`.
const CACHE_READ_WRITE: i32 = 2;

fn once(completed: wire::Completed) -> Answers {
    let response = wire::Response { sequence: 1, delta: None, completed: Some(completed) };
    futures_util::stream::once(std::future::ready(Ok(response))).boxed()
}

fn key(request: &wire::Request) -> Key {
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(request.node_type.as_bytes());
    part(&request.config.as_ref().map(Message::encode_to_vec).unwrap_or_default());
    part(request.prompt.as_bytes());
    part(request.credential.as_ref().map_or(&[], |credential| credential.api_key.as_bytes()));
    *hasher.finalize().as_bytes()
}

/// The body of a call upstream.
#[derive(Serialize)]
struct UpstreamRequest<'a> {
    model: &'a str,
    messages: [UpstreamMessage<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<f64>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct UpstreamMessage<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize, Deserialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> UpstreamRequest<'a> {
    fn new(request: &'a wire::Request, stream: bool) -> Self {
        let field = |name: &str| {
            let config = request.config.as_ref()?;
            config.fields.get(name)?.kind.as_ref()
        };
        let number = |name: &str| match field(name) {
            Some(Kind::NumberValue(number)) => Some(*number),
            _ => None,
        };
        Self {
            model: match field("modelName") {
                Some(Kind::StringValue(model)) => model,
                _ => "",
            },
            messages: [UpstreamMessage { role: "user", content: &request.prompt }],
            temperature: number("temperature"),
            max_tokens: number("maxTokens"),
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        }
    }
}

impl ServerStreamingService<wire::Request> for Floor {
    type Response = wire::Response;
    type ResponseStream = Answers;
    type Future = BoxFuture<'static, Result<tonic::Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<wire::Request>) -> Self::Future {
        let floor = self.clone();
        Box::pin(async { Ok(tonic::Response::new(floor.execute(request.into_inner()).await?)) })
    }
}

/// By hand, since generated code would bring all of the project's messages.
impl Service<http::Request<Body>> for Floor {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let floor = self.clone();
        Box::pin(async {
            let codec = ProstCodec::<wire::Response, wire::Request>::default();
            Ok(Grpc::new(codec).server_streaming(floor, request).await)
        })
    }
}

impl NamedService for Floor {
    const NAME: &'static str = "sparkler.worker.v1.WorkerService";
}
