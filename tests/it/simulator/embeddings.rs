//! The vectors that texts get, and what is counted of them.

use fireworks_simulator::{Endpoint, Fault, Rule};
use serde_json::{Value, json};

use crate::simulator::client::{Client, PLAIN, chat, with};

const MODEL: &str = "accounts/simulator/models/embedding";

/// Status and body of a call for embeddings.
async fn embed(client: &Client, more: Value) -> (u16, Value) {
    let body = with(json!({"model": MODEL}), more);
    let response = client.post("/v1/embeddings", &body).send().await.expect("a response");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn vectors(client: &Client, more: Value) -> Vec<Value> {
    let (status, reply) = embed(client, more).await;
    assert_eq!(status, 200, "{reply}");
    let data = reply["data"].as_array().expect("a list");
    data.iter().map(|item| item["embedding"].clone()).collect()
}

#[tokio::test]
async fn a_vector_depends_on_its_text_alone() {
    let client = Client::start().await;
    let alone = vectors(&client, json!({"input": "rivers"})).await;
    let among = vectors(&client, json!({"input": ["lakes", "rivers", "rivers", "seas"]})).await;
    assert_eq!(alone[0].as_array().expect("numbers").len(), 64);
    assert_eq!([&among[1], &among[2]], [&alone[0], &alone[0]]);
    assert!(among[0] != alone[0] && among[3] != alone[0] && among[0] != among[3]);
    for other in [json!({"prompt_template": "q: {text}"}), json!({"normalize": true})] {
        let other = vectors(&client, with(json!({"input": "rivers"}), other)).await;
        assert_ne!(other, alone);
    }
}

#[tokio::test]
async fn a_shorter_vector_is_a_beginning_of_length_1_if_normalized() {
    let client = Client::start().await;
    let full = vectors(&client, json!({"input": "rivers"})).await;
    let short = vectors(&client, json!({"input": "rivers", "dimensions": 8})).await;
    assert_eq!(short[0].as_array().expect("numbers"), &full[0].as_array().expect("numbers")[..8]);
    let normalized = vectors(&client, json!({"input": "rivers", "normalize": true})).await;
    let numbers = normalized[0].as_array().expect("numbers").iter();
    let length: f64 = numbers.map(|number| number.as_f64().expect("a number").powi(2)).sum();
    assert!((length - 1.0).abs() < 1e-5, "{length}");
}

#[tokio::test]
async fn a_model_has_its_short_name_too() {
    let client = Client::start().await;
    let asked = |name: &str| json!({"model": name, "input": "rivers"});
    let full = vectors(&client, asked(MODEL)).await;
    assert_eq!(vectors(&client, asked("simulator/embedding")).await, full);
    for other in
        ["embedding", "simulator/embeddings", "fireworks/embedding", "simulator/models/embedding"]
    {
        assert_eq!(embed(&client, asked(other)).await.0, 404, "{other}");
    }
}

#[tokio::test]
async fn texts_and_their_tokens_are_counted() {
    let client = Client::start().await;
    let (_, reply) = embed(&client, json!({"input": ["two words", "two words", "three"]})).await;
    assert_eq!(reply["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    assert_eq!(embed(&client, json!({"input": ["three", "more"]})).await.0, 200);
    let report = client.handle.report();
    assert_eq!((report.texts, report.distinct_texts), (5, 3));
    assert_eq!(report.by_endpoint.get(&Endpoint::Embeddings), Some(&2));
    assert_eq!(report.completed, 2);
}

#[tokio::test]
async fn a_text_that_cannot_be_embedded_is_refused() {
    let client = Client::start().await;
    for (more, words) in [
        (json!({"input": []}), "1 to 2048 items"),
        (json!({"input": ["fine", ""]}), "field: 'input[1]'"),
        (json!({"input": "word ".repeat(600)}), "model maximum context length: 512"),
        (json!({"input": "x", "dimensions": 65}), "field: 'dimensions'"),
        (json!({"input": "x", "encoding_format": "int8"}), "field: 'encoding_format'"),
        (json!({"input": "x", "temperature": 1}), "field: 'temperature'"),
        (json!({"input": "x", "model": PLAIN}), "does not support embeddings"),
    ] {
        let (status, body) = embed(&client, more.clone()).await;
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert!(status == 400 && message.contains(words), "{more}: {status} {body}");
    }
    let (status, _) = client.ask(with(chat("Hi"), json!({"model": MODEL}))).await;
    assert_eq!(status, 400);
    assert_eq!(client.handle.report().texts, 0);
}

#[tokio::test]
async fn faults_hit_the_calls_whose_texts_they_name() {
    let client = Client::start().await;
    client.handle.script(Rule::always(Fault::status(429)).prompt("rivers"));
    assert_eq!(embed(&client, json!({"input": ["lakes", "rivers"]})).await.0, 429);
    assert_eq!(embed(&client, json!({"input": ["lakes", "seas"]})).await.0, 200);
}
