//! Replicas with a prompt cache each, and the bill.

use fireworks_simulator::{Model, Options};
use serde_json::json;

use crate::simulator::client::{Client, PLAIN, chat, with};

/// A prompt of several hundred tokens, like no other.
fn long(name: &str) -> String {
    format!("{name} and all happy families are alike. ").repeat(40)
}

/// A client of a simulator with this many replicas.
async fn replicas(replicas: usize) -> Client {
    Client::with(Options { replicas, ..Options::instant() }).await
}

/// Asks with a header.
async fn ask_with(client: &Client, prompt: &str, (name, value): (&str, &str)) {
    let response = client.chat(&chat(prompt)).header(name, value).send().await;
    assert_eq!(response.expect("a response").status(), 200);
}

#[tokio::test]
async fn a_session_stays_on_its_replica() {
    let client = replicas(8).await;
    for header in ["x-session-affinity", "x-multi-turn-session-id"] {
        for _ in 0..6 {
            ask_with(&client, &long(header), (header, "one")).await;
        }
    }
    for field in ["user", "prompt_cache_key"] {
        for _ in 0..6 {
            client.ask(with(chat(&long(field)), json!({field: "one"}))).await;
        }
    }
    let report = client.handle.report();
    assert_eq!(report.by_replica.len(), 1, "one name, one replica: {:?}", report.by_replica);
    let share = report.cached_tokens as f64 / report.prompt_tokens as f64;
    assert!((0.75..5.0 / 6.0).contains(&share), "all but the first of six are cached: {share}");
    assert_eq!(report.oracle_cached_tokens, report.cached_tokens);
}

#[tokio::test]
async fn without_a_session_any_replica_serves() {
    let client = replicas(8).await;
    for _ in 0..200 {
        client.ask(chat("Hi")).await;
    }
    let report = client.handle.report();
    assert_eq!(report.by_replica.len(), 8, "{:?}", report.by_replica);
    assert_eq!(report.by_replica.values().map(|replica| replica.calls).sum::<u64>(), 200);
    assert_eq!((report.cached_tokens, report.oracle_cached_tokens), (0, 0), "it is too short");
}

#[tokio::test]
async fn an_isolation_key_separates_a_replica_s_cache() {
    let client = replicas(1).await;
    for key in ["mine", "yours"] {
        ask_with(&client, &long("one"), ("x-prompt-cache-isolation-key", key)).await;
    }
    assert_eq!(client.handle.report().cached_tokens, 0);
    ask_with(&client, &long("one"), ("x-prompt-cache-isolation-key", "mine")).await;
    assert!(client.handle.report().cached_tokens > 300);
}

#[tokio::test]
async fn a_full_cache_forgets_what_was_used_least() {
    let client = Client::with(Options { replica_blocks: 30, ..Options::instant() }).await;
    for name in ["one", "two", "one"] {
        client.ask(chat(&long(name))).await;
    }
    assert_eq!(client.handle.report().cached_tokens, 0, "each prompt fills the cache");
}

#[tokio::test]
async fn cached_tokens_are_billed_at_their_price() {
    let model = Model::new("accounts/me/models/dear").price(10.0, 1.0, 100.0);
    let models = vec![model, Model::new(PLAIN)];
    let client = Client::with(Options { models, ..Options::instant() }).await;
    let asked = with(chat(&long("one")), json!({"model": "accounts/me/models/dear"}));
    client.ask(asked.clone()).await;
    client.ask(asked).await;
    let report = client.handle.report();
    let (prompt, cached) = (report.prompt_tokens as f64, report.cached_tokens as f64);
    let expected = (prompt - cached) * 10.0 + cached + report.completion_tokens as f64 * 100.0;
    assert!(cached > 300.0);
    assert!((report.billed_dollars - expected / 1e6).abs() < 1e-9, "{}", report.billed_dollars);
}
