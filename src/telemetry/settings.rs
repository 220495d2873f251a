//! What the operator has decided about telemetry, as plain values. `config`
//! makes them of the standard `OTEL_…` variables and of our own flags.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// The operator's decisions about telemetry.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where traces go; nowhere by default.
    pub traces: Option<Collector>,
    /// Where metrics go besides the Prometheus page; nowhere by default.
    pub metrics: Option<Collector>,
    /// How often metrics go there.
    pub metrics_interval: Duration,
    /// Which traces are recorded.
    pub sampling: Sampling,
    /// How spans wait for their way out.
    pub queue: Queue,
    /// What tells this worker from others: attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// Entries of the callers' baggage that go onto spans; no others do.
    pub baggage: Vec<String>,
    /// Prompts and answers on spans, each up to so many bytes; without it none.
    pub content_bytes: Option<usize>,
    /// How long the worker's end may wait for the last spans to be delivered.
    pub flush_limit: Duration,
}

/// A collector, by OTLP.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Where, in full: with the path where it is HTTP.
    pub url: Url,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// What every request carries; values may be secrets.
    pub headers: Vec<(String, SecretString)>,
    /// Whether requests are compressed with gzip.
    pub gzip: bool,
    /// How long one delivery may take, with its repeats.
    pub timeout: Duration,
    /// Certificates to trust instead of the system's, as PEM.
    pub ca: Option<Vec<u8>>,
    /// Who the worker is to the collector.
    pub identity: Option<Identity>,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificates, the worker's own first.
    pub certificate: Vec<u8>,
    /// Its key.
    pub key: SecretString,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// Protobuf over HTTP.
    Http,
}

/// Which traces are recorded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share of the traces that begin here.
    pub ratio: f64,
    /// Whether a caller's own decision counts for its traces.
    pub parent_based: bool,
    /// The share of the traces that callers have sampled which are recorded
    /// here too.
    pub remote_ratio: f64,
}

/// How spans wait for their way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Spans that may wait; what comes beyond is dropped and counted.
    pub spans: usize,
    /// Spans in one delivery, at most.
    pub batch: usize,
    /// How long a span waits for others to go with.
    pub delay: Duration,
}

impl Default for Settings {
    /// Nothing goes anywhere.
    fn default() -> Settings {
        Settings {
            traces: None,
            metrics: None,
            metrics_interval: Duration::from_secs(60),
            sampling: Sampling { ratio: 1.0, parent_based: true, remote_ratio: 1.0 },
            queue: Queue::default(),
            resource: Vec::new(),
            baggage: Vec::new(),
            content_bytes: None,
            flush_limit: Duration::from_secs(5),
        }
    }
}

impl Default for Queue {
    fn default() -> Queue {
        Queue { spans: 2048, batch: 512, delay: Duration::from_secs(5) }
    }
}

impl Collector {
    /// A collector in the clear, without headers.
    pub fn new(protocol: Protocol, url: Url) -> Collector {
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
