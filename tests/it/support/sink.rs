//! A collector of traces and metrics in the test's process, over real OTLP.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::{
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span as ProtoSpan, span::SpanKind, status::StatusCode},
};
use prost::Message;
use sparkler::{
    config::Config,
    internals::{Collector, CollectorProtocol},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Certificate, Identity, Server, ServerTlsConfig},
};

use crate::support::{PATIENCE, spawn};

/// How a collector behaves.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Manner {
    /// Takes everything.
    #[default]
    Takes,
    /// Takes nothing.
    Refuses,
    /// Answers after so long.
    Dawdles(Duration),
}

/// A collector, for as long as the value lives.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    taken: watch::Receiver<Taken>,
    running: JoinHandle<()>,
}

/// What a collector that speaks TLS shows, and whose clients it accepts, as PEM.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) certificate: String,
    pub(crate) key: String,
    /// Whose clients it takes; it asks for no certificate where that is nobody.
    pub(crate) clients_of: Option<String>,
}

/// What it has taken.
#[derive(Debug, Clone, Default)]
struct Taken {
    spans: Vec<Span>,
    bytes: Vec<Arc<Vec<u8>>>,
    resource: BTreeMap<String, String>,
    headers: MetadataMap,
    metrics: Vec<String>,
}

/// A span as it was exported.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) events: Vec<(String, BTreeMap<String, String>)>,
    /// The span ids of what it points to.
    pub(crate) links: Vec<String>,
    pub(crate) failed: bool,
    pub(crate) duration: Duration,
}

impl Sink {
    pub(crate) async fn start() -> Sink {
        Sink::with(Manner::Takes).await
    }

    pub(crate) async fn with(manner: Manner) -> Sink {
        Sink::over_grpc(manner, None).await
    }

    /// One that speaks TLS.
    pub(crate) async fn over_tls(shown: Shown) -> Sink {
        Sink::over_grpc(Manner::Takes, Some(shown)).await
    }

    async fn over_grpc(manner: Manner, shown: Option<Shown>) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (taken, takes) = watch::channel(Taken::default());
        let collector = Collecting { manner, taken: Arc::new(Mutex::new(taken)) };
        let gzip = tonic::codec::CompressionEncoding::Gzip;
        let (mut server, scheme) = (Server::builder(), scheme(shown.as_ref()));
        if let Some(shown) = shown {
            let identity = Identity::from_pem(shown.certificate, shown.key);
            let mut tls = ServerTlsConfig::new().identity(identity);
            if let Some(authority) = shown.clients_of {
                tls = tls.client_ca_root(Certificate::from_pem(authority));
            }
            server = server.tls_config(tls).expect("TLS");
        }
        let serving = server
            .add_service(TraceServiceServer::new(collector.clone()).accept_compressed(gzip))
            .add_service(MetricsServiceServer::new(collector).accept_compressed(gzip))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let running = spawn(async move { serving.await.expect("it serves") });
        Sink { address, scheme, taken: takes, running }
    }

    /// The same over HTTP, which is for traces only here.
    pub(crate) async fn over_http(shown: Option<Shown>) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let (taken, takes) = watch::channel(Taken::default());
        let collector = Collecting { manner: Manner::Takes, taken: Arc::new(Mutex::new(taken)) };
        let take = |headers: http::HeaderMap, body: axum::body::Bytes| async move {
            let body = inflated(&headers, &body);
            let message = ExportTraceServiceRequest::decode(&*body).expect("a message");
            let mut request = Request::new(message);
            *request.metadata_mut() = MetadataMap::from_headers(headers);
            TraceService::export(&collector, request).await.expect("it takes everything");
        };
        let pages = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        let scheme = scheme(shown.as_ref());
        let running = spawn(async move {
            match shown {
                None => axum::serve(listener, pages).await.expect("it serves"),
                Some(shown) => {
                    let listener = Greeting { listener, acceptor: acceptor(&shown) };
                    axum::serve(listener, pages).await.expect("it serves");
                }
            }
        });
        Sink { address, scheme, taken: takes, running }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Has a worker send its traces here, soon after they end.
    pub(crate) fn traces(&self) -> impl FnOnce(&mut Config) + use<> {
        let collector = Collector::new(CollectorProtocol::Grpc, self.url().parse().expect("a URL"));
        move |config| {
            config.telemetry.traces = Some(collector);
            config.telemetry.queue.delay = Duration::from_millis(20);
        }
    }

    /// Waits for as many spans of a name, and gives everything that came so far.
    pub(crate) async fn wait_for(&self, count: usize, name: &str) -> Spans {
        self.wait_until(&format!("{count} of {name:?}"), |spans| spans.named(name).len() >= count)
            .await
    }

    /// Waits until the spans are such.
    pub(crate) async fn wait_until(&self, what: &str, such: impl Fn(&Spans) -> bool) -> Spans {
        let mut taken = self.taken.clone();
        let enough = taken.wait_for(|taken| such(&Spans(taken.spans.clone())));
        let waited = timeout(PATIENCE, enough).await.map(drop);
        let spans = self.spans();
        assert!(waited.is_ok(), "no {what} among: {:#?}", spans.0);
        spans
    }

    /// What came so far.
    pub(crate) fn spans(&self) -> Spans {
        Spans(self.taken.borrow().spans.clone())
    }

    /// Whether a text is anywhere in what came.
    pub(crate) fn has(&self, text: &str) -> bool {
        let taken = self.taken.borrow();
        let text = text.as_bytes();
        taken.bytes.iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text))
    }

    /// The attributes of the resource.
    pub(crate) fn resource(&self) -> BTreeMap<String, String> {
        self.taken.borrow().resource.clone()
    }

    /// A header of the last delivery.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        Some(self.taken.borrow().headers.get(name)?.to_str().ok()?.to_owned())
    }

    /// The names of the metrics that came.
    pub(crate) fn metrics(&self) -> Vec<String> {
        self.taken.borrow().metrics.clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn scheme(shown: Option<&Shown>) -> &'static str {
    if shown.is_some() { "https" } else { "http" }
}

/// A body as it was before it was compressed.
fn inflated(headers: &http::HeaderMap, body: &[u8]) -> Vec<u8> {
    let Some(encoding) = headers.get("content-encoding") else {
        return body.to_vec();
    };
    assert_eq!(encoding, "gzip");
    let mut inflated = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut inflated).expect("gzip");
    inflated
}

/// A listener that greets its callers by TLS; those that will not are let go.
struct Greeting {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

fn acceptor(shown: &Shown) -> TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let certificate = CertificateDer::from_pem_slice(shown.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let config = config
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("a certificate")], key)
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

impl axum::serve::Listener for Greeting {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TlsStream<TcpStream>, SocketAddr) {
        loop {
            let (socket, caller) = self.listener.accept().await.expect("it listens");
            if let Ok(stream) = self.acceptor.accept(socket).await {
                return (stream, caller);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Spans, to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Spans(pub Vec<Span>);

impl Spans {
    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    /// The only span of a name.
    pub(crate) fn one(&self, name: &str) -> &Span {
        match self.named(name)[..] {
            [span] => span,
            ref spans => panic!("not one {name:?} but {} in: {:#?}", spans.len(), self.0),
        }
    }

    /// The spans below another.
    pub(crate) fn below(&self, parent: &Span) -> Vec<&Span> {
        self.0.iter().filter(|span| span.parent == parent.id).collect()
    }
}

impl Span {
    /// An attribute as text; empty where there is none.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }

    pub(crate) fn events(&self) -> Vec<&str> {
        self.events.iter().map(|(name, _)| name.as_str()).collect()
    }
}

#[derive(Clone)]
struct Collecting {
    manner: Manner,
    taken: Arc<Mutex<watch::Sender<Taken>>>,
}

impl Collecting {
    async fn behave(&self) -> Result<(), Status> {
        match self.manner {
            Manner::Takes => Ok(()),
            Manner::Refuses => Err(Status::permission_denied("nothing of that")),
            Manner::Dawdles(time) => {
                sleep(time).await;
                Ok(())
            }
        }
    }

    fn take(&self, change: impl FnOnce(&mut Taken)) {
        self.taken.lock().expect("no panic").send_modify(change);
    }
}

#[tonic::async_trait]
impl TraceService for Collecting {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.behave().await?;
        let headers = request.metadata().clone();
        let request = request.into_inner();
        self.take(|taken| {
            taken.headers = headers;
            taken.bytes.push(Arc::new(request.encode_to_vec()));
            for resource in request.resource_spans {
                taken.resource = attributes(resource.resource.unwrap_or_default().attributes);
                let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                taken.spans.extend(spans.map(Span::from));
            }
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collecting {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.behave().await?;
        let request = request.into_inner();
        self.take(|taken| {
            taken.bytes.push(Arc::new(request.encode_to_vec()));
            let scopes = request.resource_metrics.into_iter().flat_map(|one| one.scope_metrics);
            let metrics = scopes.flat_map(|scope| scope.metrics);
            taken.metrics.extend(metrics.map(|metric| metric.name));
        });
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

impl From<ProtoSpan> for Span {
    fn from(span: ProtoSpan) -> Span {
        Span {
            kind: match span.kind() {
                SpanKind::Server => "server",
                SpanKind::Client => "client",
                _ => "internal",
            },
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            attributes: attributes(span.attributes),
            events: span
                .events
                .into_iter()
                .map(|event| (event.name, attributes(event.attributes)))
                .collect(),
            links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
            failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
            duration: Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano),
        }
    }
}

/// Each key is there once.
fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for KeyValue { key, value, .. } in attributes {
        let value = value.map(text).unwrap_or_default();
        let twice = found.insert(key.clone(), value);
        assert!(twice.is_none(), "{key} is there twice");
    }
    found
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(Value::StringValue(text)) => text,
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::ArrayValue(array)) => {
            array.values.into_iter().map(text).collect::<Vec<_>>().join(",")
        }
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
