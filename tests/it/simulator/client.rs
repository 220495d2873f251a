//! The actor of these tests: starts a simulator and calls it over HTTP.

use std::{net::SocketAddr, time::Duration};

use fireworks_simulator::{Handle, Options, Report, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Waits end here, if what they wait for never comes.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// A model without habits.
pub(crate) const PLAIN: &str = "accounts/simulator/models/plain";

/// A running simulator and a client of it.
pub(crate) struct Client {
    pub(crate) handle: Handle,
    pub(crate) http: reqwest::Client,
    pub(crate) addr: SocketAddr,
    server: JoinHandle<std::io::Result<()>>,
}

impl Client {
    pub(crate) async fn start() -> Client {
        Client::with(Options::instant()).await
    }

    /// The same simulator over HTTP/2.
    pub(crate) fn http2(mut self) -> Client {
        let http = reqwest::Client::builder().http2_prior_knowledge().build();
        self.http = http.expect("a client");
        self
    }

    pub(crate) async fn with(options: Options) -> Client {
        let simulator = Simulator::bind(([127, 0, 0, 1], 0).into(), options).await.expect("a port");
        let (handle, addr) = (simulator.handle(), simulator.local_addr());
        #[expect(clippy::disallowed_methods, reason = "a test owns its server")]
        let server = tokio::spawn(simulator.run(std::future::pending()));
        Client { handle, http: reqwest::Client::new(), addr, server }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http.post(self.url(path)).bearer_auth("fw_test").body(body.to_string())
    }

    pub(crate) fn chat(&self, body: &Value) -> reqwest::RequestBuilder {
        self.post("/inference/v1/chat/completions", body)
    }

    /// Status and body of a chat call.
    pub(crate) async fn ask(&self, body: Value) -> (u16, Value) {
        let response = self.chat(&body).send().await.expect("a response");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The body of a streamed chat call, whole.
    pub(crate) async fn stream(&self, mut body: Value) -> String {
        body["stream"] = json!(true);
        let response = self.chat(&body).send().await.expect("a response");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        response.text().await.expect("a body")
    }

    pub(crate) async fn wait_until(&self, wanted: impl FnMut(&Report) -> bool) -> Report {
        self.handle.wait_until(wanted, LIMIT).await.expect("the report as wanted")
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A chat request with one message of the user.
pub(crate) fn chat(prompt: &str) -> Value {
    json!({"model": PLAIN, "messages": [{"role": "user", "content": prompt}]})
}

/// The same with more fields.
pub(crate) fn with(mut body: Value, more: Value) -> Value {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// The JSON of a stream's events, `[DONE]` left out.
pub(crate) fn events(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str(data).expect("JSON in every event"))
        .collect()
}

/// What a choice says over all events, in a member of its deltas.
pub(crate) fn said(events: &[Value], choice: u64, member: &str) -> String {
    events
        .iter()
        .filter_map(|event| event["choices"].get(0))
        .filter(|said| said["index"] == choice)
        .filter_map(|said| said["delta"][member].as_str())
        .collect()
}
