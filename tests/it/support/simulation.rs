//! A simulated provider in a process of its own, which takes nothing from the test's.

use std::process::Stdio;

use fireworks_simulator::{Report, Rule};
use reqwest::{Client, RequestBuilder};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{program::binary, spawn};

/// A `sparkler simulate`, ended with the value.
pub(crate) struct Simulation {
    pub(crate) base_url: String,
    client: Client,
    _child: Child,
}

impl Simulation {
    /// Starts it on a free port, with more arguments, and waits until it listens.
    pub(crate) async fn start(more: &[&str]) -> Simulation {
        let mut child = Command::new(binary())
            .args(["simulate", "--listen=127.0.0.1:0"])
            .args(more)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let base_url = loop {
            let line = lines.next_line().await.expect("readable").expect("it listens first");
            if let Some(url) = line.trim().strip_prefix("base URL") {
                break url.trim().to_owned();
            }
        };
        // Read on all the while: a full pipe would hold the program.
        spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let client = Client::builder().no_proxy().build().expect("a client");
        Simulation { base_url, client, _child: child }
    }

    /// Adds rules to its script.
    pub(crate) async fn script(&self, rules: &[Rule]) {
        let body = serde_json::to_vec(rules).expect("JSON");
        self.send(self.client.post(self.control("faults")).body(body)).await;
    }

    /// Returns its report so far.
    pub(crate) async fn report(&self) -> Report {
        let body = self.send(self.client.get(self.control("report"))).await;
        serde_json::from_slice(&body).expect("a report")
    }

    fn control(&self, path: &str) -> String {
        let origin = self.base_url.strip_suffix("/inference/v1").expect("a base URL");
        format!("{origin}/simulator/{path}")
    }

    async fn send(&self, request: RequestBuilder) -> bytes::Bytes {
        let response = request.send().await.expect("it answers");
        assert!(response.status().is_success(), "{response:?}");
        response.bytes().await.expect("a body")
    }
}
