//! The connections to the provider.
//!
//! The HTTP library keeps one HTTP/2 connection per client and host, and
//! providers limit the streams on one; the rest would queue there, invisibly.
//! So there are several clients, called lanes, each filled before the next is
//! used. A lane that is never reached costs nothing.
//!
//! Requests on a lane obtain their connection one at a time. On an open
//! connection that takes a single poll; on a lane without one, it keeps a
//! hundred first requests from opening a hundred connections, of which TLS
//! would prove ninety-nine superfluous.
//!
//! The proxy environment variables are honoured, except for a provider on
//! loopback. Redirects are not followed, and there are no cookies: a request
//! goes only to the operator's base URL.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use anyhow::Context as _;
use hyper_util::client::proxy::matcher::Matcher;
use tower::{Layer, Service};
use url::{Host, Url};

use super::{ClientConfig, Protocol, sending::SentFlag};

/// Maximum streams on one lane before the next is used: the limit of the most
/// restrictive providers.
const STREAMS_PER_LANE: usize = 100;
const USER_AGENT: &str = concat!("sparkler/", env!("CARGO_PKG_VERSION"));

/// All lanes.
#[derive(Debug)]
pub(super) struct Connections {
    config: ClientConfig,
    lanes: Vec<Lane>,
    /// The client of the first lane, which every configuration has.
    first: reqwest::Client,
    /// For checks of a node: they must not hold up executions.
    questions: OnceLock<reqwest::Client>,
}

/// One client of the HTTP library, and so one HTTP/2 connection.
#[derive(Debug, Default)]
struct Lane {
    /// Created on first use: it takes milliseconds.
    client: OnceLock<reqwest::Client>,
    streams: AtomicUsize,
    connecting: Connecting,
    /// True if one connection carries many requests, as far as known.
    multiplexed: AtomicBool,
    turn: tokio::sync::Mutex<()>,
}

/// A slot on a lane, released on drop.
#[derive(Debug)]
pub(super) struct StreamSlot<'a> {
    lane: &'a Lane,
    client: &'a reqwest::Client,
}

impl Connections {
    pub(super) fn new(config: &ClientConfig) -> anyhow::Result<Connections> {
        let multiplexed = match config.protocol {
            Protocol::Http1 => false,
            Protocol::Http2 => true,
            Protocol::Auto => config.base_url.scheme() == "https",
        };
        let count = if multiplexed { config.connections.max(1) } else { 1 };
        let lanes: Vec<Lane> = (0..count).map(|_| Lane::new(multiplexed)).collect();
        let first = build(config, lanes[0].connecting.clone())?;
        Ok(Connections { config: config.clone(), lanes, first, questions: OnceLock::new() })
    }

    /// Takes a slot on the first lane that is not full, or else on the emptiest.
    pub(super) fn place(&self) -> StreamSlot<'_> {
        let free = self.lanes.iter().find(|lane| lane.enter_if_free());
        let lane = free.unwrap_or_else(|| self.enter_emptiest());
        StreamSlot { lane, client: lane.client.get_or_init(|| self.client_for(lane)) }
    }

    /// Returns a client with connections of its own, for requests that are not
    /// executions.
    pub(super) fn questions(&self) -> &reqwest::Client {
        self.questions.get_or_init(|| {
            build(&self.config, Connecting::default()).unwrap_or_else(|_| self.first.clone())
        })
    }

    fn enter_emptiest(&self) -> &Lane {
        let streams = |lane: &&Lane| lane.streams.load(Ordering::Relaxed);
        let lane = self.lanes.iter().min_by_key(streams);
        let lane = lane.unwrap_or(&self.lanes[0]);
        lane.streams.fetch_add(1, Ordering::Relaxed);
        lane
    }

    /// Returns the lane's client. If it cannot be built, the lane shares the first one.
    fn client_for(&self, lane: &Lane) -> reqwest::Client {
        if std::ptr::eq(lane, &self.lanes[0]) {
            return self.first.clone();
        }
        build(&self.config, lane.connecting.clone()).unwrap_or_else(|_| self.first.clone())
    }
}

impl Lane {
    fn new(multiplexed: bool) -> Lane {
        Lane { multiplexed: AtomicBool::new(multiplexed), ..Lane::default() }
    }

    fn enter_if_free(&self) -> bool {
        self.streams
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |streams| {
                (streams < STREAMS_PER_LANE).then_some(streams + 1)
            })
            .is_ok()
    }
}

impl Drop for StreamSlot<'_> {
    fn drop(&mut self) {
        self.lane.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl StreamSlot<'_> {
    /// Returns true while a connection of this lane is being opened.
    pub(super) fn is_connecting(&self) -> bool {
        self.lane.connecting.is_any()
    }

    /// Sends the request, whose body marks `sent` when it is first polled.
    /// Dropping the future releases the turn and cancels the request.
    pub(super) async fn send(
        &self,
        request: reqwest::Request,
        sent: &SentFlag,
    ) -> reqwest::Result<reqwest::Response> {
        let lane = self.lane;
        let mut answering = pin!(self.client.execute(request));
        if lane.multiplexed.load(Ordering::Relaxed) {
            let _turn = lane.turn.lock().await;
            let mut connecting = false;
            let early = poll_fn(|context| {
                sent.register(context.waker());
                if let Poll::Ready(answer) = answering.as_mut().poll(context) {
                    return Poll::Ready(Some(answer));
                }
                connecting |= lane.connecting.is_any();
                if sent.is_sent() || !connecting {
                    return Poll::Ready(None);
                }
                Poll::Pending
            })
            .await;
            if let Some(answer) = early {
                return answer;
            }
        }
        let response = answering.await?;
        let multiplexed = response.version() == http::Version::HTTP_2;
        lane.multiplexed.store(multiplexed, Ordering::Relaxed);
        Ok(response)
    }
}

fn build(config: &ClientConfig, connecting: Connecting) -> anyhow::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Retries belong to the execution, which knows the deadlines.
        .retry(reqwest::retry::never())
        .connect_timeout(config.connect_timeout)
        .connector_layer(connecting)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_idle_timeout(Duration::from_secs(90))
        .http2_initial_stream_window_size(1024 * 1024)
        .http2_initial_connection_window_size(16 * 1024 * 1024)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .http2_keep_alive_timeout(Duration::from_secs(10))
        .http2_keep_alive_while_idle(true);
    let builder = if is_loopback(&config.base_url) { builder.no_proxy() } else { builder };
    let builder = match config.protocol {
        Protocol::Auto => builder,
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_prior_knowledge(),
    };
    builder.build().context("cannot set up the HTTP client")
}

/// Returns the proxy that the environment names for a provider, without its
/// password: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in either
/// case.
pub(crate) fn proxy(base_url: &Url) -> Option<String> {
    if is_loopback(base_url) {
        return None;
    }
    let proxy = Matcher::from_env().intercept(&base_url.as_str().parse().ok()?)?;
    let uri = proxy.uri();
    let host = uri.authority().map(|authority| authority.as_str().rsplit('@').next())??;
    Some(format!("{}://{host}", uri.scheme_str().unwrap_or("http")))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Counts the connections that are being opened, TLS handshake included.
#[derive(Debug, Clone, Default)]
struct Connecting(Arc<AtomicUsize>);

impl Connecting {
    fn is_any(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    fn begin(&self) -> Opening {
        self.0.fetch_add(1, Ordering::AcqRel);
        Opening(self.clone())
    }
}

struct Opening(Connecting);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<S> Layer<S> for Connecting {
    type Service = CountingConnector<S>;

    fn layer(&self, inner: S) -> CountingConnector<S> {
        CountingConnector { inner, connecting: self.clone() }
    }
}

/// Wraps the HTTP library's connector to count open attempts.
#[derive(Debug, Clone)]
struct CountingConnector<S> {
    inner: S,
    connecting: Connecting,
}

impl<S, R> Service<R> for CountingConnector<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = futures_util::future::BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let opening = self.connecting.begin();
        let connection = self.inner.call(target);
        Box::pin(async move {
            let result = connection.await;
            drop(opening);
            result
        })
    }
}
