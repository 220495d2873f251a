//! The operator's telemetry settings as plain values. `config` builds them from the
//! standard `OTEL_…` variables and Sparkler's own flags.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::conventions::Conventions;

/// The operator's telemetry settings.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// The collector of traces; none by default.
    pub traces: Option<Collector>,
    /// The collector of metrics besides the Prometheus page; none by default.
    pub metrics: Option<Collector>,
    /// The export interval of metrics.
    pub metrics_interval: Duration,
    /// The sampling of traces.
    pub sampling: Sampling,
    /// The queue of spans before their export.
    pub queue: Queue,
    /// Attributes of the resource, which identify this worker.
    pub resource: Vec<(String, String)>,
    /// The baggage entries of callers that are copied onto spans; no others are.
    pub baggage: Vec<String>,
    /// The limit in bytes of a prompt or an answer on a span; `None` records
    /// neither.
    pub content_bytes: Option<usize>,
    /// The time that shutdown may wait for the last spans.
    pub flush_limit: Duration,
    /// The names of metrics for generative AI.
    pub conventions: Conventions,
}

/// An OTLP collector.
#[derive(Debug, Clone)]
pub struct Collector {
    /// The full URL: with the path for HTTP.
    pub url: Url,
    /// The transport.
    pub protocol: OtlpProtocol,
    /// The headers of every request; values may be secrets.
    pub headers: Vec<(String, SecretString)>,
    /// True to compress requests with gzip.
    pub gzip: bool,
    /// The time limit of one export, retries included.
    pub timeout: Duration,
    /// CA certificates that replace the system's, as PEM.
    pub ca: Option<Vec<u8>>,
    /// The worker's client certificate.
    pub identity: Option<ClientIdentity>,
}

/// A certificate and its private key, as PEM.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The certificate chain, the worker's own first.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: SecretString,
}

/// The transports of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC.
    Grpc,
    /// Protobuf over HTTP.
    Http,
}

/// The sampling of traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The ratio of sampled traces among those that begin here, from 0 to 1.
    pub ratio: f64,
    /// True to follow a caller's own sampling decision.
    pub parent_based: bool,
    /// The ratio of traces recorded here among those that callers have sampled.
    pub remote_ratio: f64,
}

/// The bounds of the span queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// The spans that may wait; those beyond are dropped and counted.
    pub spans: usize,
    /// The most spans in one export.
    pub batch: usize,
    /// The time that a span waits for others to be exported with.
    pub delay: Duration,
}

impl Default for TelemetrySettings {
    /// Exports nothing.
    fn default() -> TelemetrySettings {
        TelemetrySettings {
            traces: None,
            metrics: None,
            metrics_interval: Duration::from_secs(60),
            sampling: Sampling { ratio: 1.0, parent_based: true, remote_ratio: 1.0 },
            queue: Queue::default(),
            resource: Vec::new(),
            baggage: Vec::new(),
            content_bytes: None,
            flush_limit: Duration::from_secs(5),
            conventions: Conventions::default(),
        }
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue { spans: 2048, batch: 512, delay: Duration::from_secs(5) }
    }
}

impl Collector {
    /// Creates a collector without headers or TLS settings.
    pub fn new(protocol: OtlpProtocol, url: Url) -> Collector {
        Collector {
            url,
            protocol,
            headers: Vec::new(),
            gzip: false,
            timeout: Duration::from_secs(10),
            ca: None,
            identity: None,
        }
    }
}
