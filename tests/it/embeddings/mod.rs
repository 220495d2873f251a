//! Texts become vectors: each is its own execution to the cache, to others in progress
//! and to the fleet, and a few requests to the provider carry them all.

mod fleet;
mod gathering;
mod mixes;
mod requests;
mod sharing;

use fireworks_simulator::{Options, Simulator};
use serde_json::{Value, json};
use sparkler::proto::{Completed, Embeddings};

use crate::support::spawn;

/// What the provider says of texts, each asked for alone.
pub(crate) async fn alone(texts: &[String]) -> Vec<Vec<u8>> {
    asked(texts, 1).await
}

/// What it says of texts that are asked for in batches.
pub(crate) async fn asked(texts: &[String], batch: usize) -> Vec<Vec<u8>> {
    let loopback = ([127, 0, 0, 1], 0).into();
    let simulator = Simulator::bind(loopback, Options::instant()).await.expect("a free port");
    let url = format!("{}/embeddings", simulator.base_url());
    let simulating = spawn(simulator.run(std::future::pending()));
    let client = reqwest::Client::new();
    let mut vectors = Vec::new();
    for texts in texts.chunks(batch) {
        let body = json!({"model": "accounts/simulator/models/embedding", "input": texts});
        let request = client.post(&url).bearer_auth("fw_test").body(body.to_string());
        let reply = request.send().await.expect("a response").text().await.expect("a body");
        let reply: Value = serde_json::from_str(&reply).expect("JSON");
        let data = reply["data"].as_array().expect("a list");
        vectors.extend(data.iter().map(|item| packed(&item["embedding"])));
    }
    simulating.abort();
    vectors
}

fn packed(numbers: &Value) -> Vec<u8> {
    let numbers = numbers.as_array().expect("numbers").iter();
    let number = |number: &Value| number.as_f64().expect("a number") as f32;
    numbers.flat_map(|value| number(value).to_le_bytes()).collect()
}

pub(crate) fn embeddings(completed: &Completed) -> &Embeddings {
    completed.embeddings.as_ref().expect("embeddings")
}

/// Each text's vector.
pub(crate) fn vectors(completed: &Completed) -> Vec<Vec<u8>> {
    let Embeddings { dimensions, vectors, .. } = embeddings(completed);
    vectors.chunks(*dimensions as usize * 4).map(<[u8]>::to_vec).collect()
}

/// Texts that were cached, joined, executed and repeated.
pub(crate) fn sources(completed: &Completed) -> [u32; 4] {
    let Embeddings { cached, joined, executed, repeated, .. } = *embeddings(completed);
    [cached, joined, executed, repeated]
}

/// Names of texts, as texts.
pub(crate) fn texts(names: impl IntoIterator<Item = usize>) -> Vec<String> {
    names.into_iter().map(|name| format!("the text number {name}")).collect()
}
