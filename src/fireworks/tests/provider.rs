//! The fake provider of these tests: it does as its script says.

use std::{future::Future, net::SocketAddr, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, StatusCode};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
};

use super::super::{Client, ClientConfig, Protocol};

/// The provider's response to every request.
#[derive(Debug, Clone)]
pub(super) struct ResponseScript {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<ScriptStep>,
    /// Withholds the head.
    pub(super) no_head: bool,
    /// Refuses requests without a key in the form of Fireworks, and does not note them.
    pub(super) is_fireworks: bool,
}

#[derive(Debug, Clone)]
pub(super) enum ScriptStep {
    Send(Vec<u8>),
    /// The body continues when the test opens the gate.
    Gate,
    /// The body never ends.
    Hang,
    /// The connection breaks.
    Break,
}

/// A provider on loopback.
#[derive(Debug)]
pub(super) struct TestProvider {
    pub(super) address: SocketAddr,
    pub(super) requests: mpsc::UnboundedReceiver<ReceivedRequest>,
    gate: watch::Sender<bool>,
    /// One item for each exchange that ended or that the client gave up.
    pub(super) closed: mpsc::UnboundedReceiver<()>,
}

#[derive(Debug)]
pub(super) struct ReceivedRequest {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) peer: SocketAddr,
    pub(super) version: http::Version,
}

/// Sends a message on drop.
struct Closing(mpsc::UnboundedSender<()>);

impl Drop for Closing {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

impl ResponseScript {
    pub(super) fn stream(body: &str) -> ResponseScript {
        ResponseScript::steps(vec![ScriptStep::Send(body.into())])
    }

    pub(super) fn steps(body: Vec<ScriptStep>) -> ResponseScript {
        ResponseScript {
            status: 200,
            headers: vec![("content-type", "text/event-stream; charset=utf-8".into())],
            body,
            no_head: false,
            is_fireworks: true,
        }
    }

    pub(super) fn status(status: u16, body: &str) -> ResponseScript {
        ResponseScript {
            status,
            headers: vec![("content-type", "application/json".into())],
            body: vec![ScriptStep::Send(body.into())],
            no_head: false,
            is_fireworks: true,
        }
    }

    pub(super) fn silence() -> ResponseScript {
        ResponseScript { no_head: true, ..ResponseScript::stream("") }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> ResponseScript {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }
}

impl TestProvider {
    pub(super) async fn start(script: ResponseScript) -> TestProvider {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        TestProvider::serve(listener, script)
    }

    fn serve(listener: TcpListener, script: ResponseScript) -> TestProvider {
        let address = listener.local_addr().expect("an address");
        let (received, requests) = mpsc::unbounded_channel();
        let (closing, closed) = mpsc::unbounded_channel();
        let (gate, _) = watch::channel(false);
        let shared = Arc::new((script, received, closing, gate.clone()));
        let answer =
            move |axum::extract::ConnectInfo(peer): axum::extract::ConnectInfo<SocketAddr>,
                  request: axum::extract::Request| {
                let shared = Arc::clone(&shared);
                async move {
                    let (script, received, closing, gate) = &*shared;
                    if script.is_fireworks && request.method() == http::Method::GET {
                        return refusal_without_key();
                    }
                    let closing = Closing(closing.clone());
                    let (parts, body) = request.into_parts();
                    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
                    let _ = received.send(ReceivedRequest {
                        path: parts.uri.path().to_owned(),
                        headers: parts.headers,
                        body,
                        peer,
                        version: parts.version,
                    });
                    if script.no_head {
                        std::future::pending::<()>().await;
                    }
                    let mut response = http::Response::builder()
                        .status(StatusCode::from_u16(script.status).expect("a status"));
                    for (name, value) in &script.headers {
                        response = response.header(*name, value);
                    }
                    let body = script_body(script.body.clone(), gate.subscribe(), closing);
                    response.body(Body::from_stream(body)).expect("a response")
                }
            };
        let app = axum::Router::new()
            .fallback(answer)
            .into_make_service_with_connect_info::<SocketAddr>();
        in_background(async move { axum::serve(listener, app).await.expect("serving") });
        TestProvider { address, requests, gate, closed }
    }

    pub(super) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    pub(super) fn config(&self) -> ClientConfig {
        ClientConfig {
            base_url: format!("http://{}/inference/v1", self.address).parse().expect("a URL"),
            ..ClientConfig::default()
        }
    }

    pub(super) fn client(&self) -> Client {
        Client::new(self.config()).expect("a client")
    }

    pub(super) fn client_speaking(&self, protocol: Protocol) -> Client {
        let config = ClientConfig { protocol, ..self.config() };
        Client::new(config).expect("a client")
    }
}

fn refusal_without_key() -> http::Response<Body> {
    let body = r#"{"error":{"message":"x","code":"UNAUTHORIZED","type":"error"}}"#;
    http::Response::builder().status(401).body(Body::from(body)).expect("a response")
}

fn script_body(
    steps: Vec<ScriptStep>,
    gate: watch::Receiver<bool>,
    closing: Closing,
) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let steps = stream::iter(steps).then(move |step| {
        let mut gate = gate.clone();
        async move {
            match step {
                ScriptStep::Send(bytes) => Ok(bytes.into()),
                ScriptStep::Gate => {
                    gate.wait_for(|open| *open).await.expect("a test");
                    Ok(Bytes::new())
                }
                ScriptStep::Hang => std::future::pending().await,
                ScriptStep::Break => Err(std::io::Error::other("broken by the script")),
            }
        }
    });
    stream::unfold((Box::pin(steps), closing), |(mut steps, closing)| async {
        let step = steps.next().await?;
        Some((step, (steps, closing)))
    })
}

#[expect(clippy::disallowed_methods, reason = "a test's own actor")]
pub(super) fn in_background<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(work)
}
