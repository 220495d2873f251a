//! What is asked for, and what is sent of it.

use fireworks_simulator::{Endpoint, Fault, Rule};
use serde_json::json;
use sparkler::proto::{
    CacheStatus, ExecuteNodeRequest, Texts, execute_node_request::Input, output_options::Format,
};

use super::{alone, embeddings, sources, texts, vectors};
use crate::support::{World, ask, embed};

#[tokio::test]
async fn texts_come_back_as_vectors_in_their_order() {
    let world = World::start().await;
    let asked = texts([3, 1, 2, 1]);
    let completed = world.caller().await.answer(embed(asked.clone())).await;
    assert_eq!(vectors(&completed), alone(&asked).await);
    assert_eq!(embeddings(&completed).dimensions, 64);
    assert_eq!(sources(&completed), [0, 0, 3, 1]);
    assert!(completed.choices.is_empty());
    assert_eq!(completed.model, "accounts/simulator/models/embedding");
    assert_eq!(completed.attempts, 1);
    let usage = completed.usage.expect("counted");
    assert_eq!((usage.prompt_tokens, usage.total_tokens), (Some(12), Some(12)));
    assert_eq!(usage.completion_tokens, None);
    assert!(!embeddings(&completed).tokens_estimated, "they were all in one request");
    let report = world.simulator.report();
    assert_eq!((report.texts, report.distinct_texts), (3, 3));
}

#[tokio::test]
async fn every_field_reaches_the_provider_and_decides_the_vector() {
    let world = World::start().await;
    let caller = world.caller().await;
    let plain = caller.answer(embed(["one"]).cached()).await;
    for (field, value, wire) in [
        ("dimensions", json!(8), json!(8)),
        ("dimensions", json!("16"), json!(16)),
        ("normalize", json!(true), json!(true)),
        ("promptTemplate", json!("query: {text}"), json!("query: {text}")),
    ] {
        let other = caller.answer(embed(["one"]).set(field, value).cached()).await;
        assert_ne!(vectors(&other), vectors(&plain), "{field}");
        let body = world.simulator.report().requests.back().expect("a request").body.clone();
        let name = if field == "promptTemplate" { "prompt_template" } else { field };
        assert_eq!(body[name], wire);
        assert_eq!(body["input"], json!(["one"]));
    }
    let batch = caller.answer(embed(["one"]).set("batchSize", json!(1)).cached()).await;
    assert_eq!(sources(&batch), [1, 0, 0, 0], "the batch size decides nothing");
    let off = caller.answer(embed(["one"]).set("normalize", json!(false)).cached()).await;
    assert_eq!(sources(&off), [1, 0, 0, 0], "false is the default");
}

#[tokio::test]
async fn a_request_carries_no_more_texts_than_the_batch_size() {
    let world = World::start().await;
    let asked = texts(0..25);
    let caller = world.caller().await;
    let completed = caller.answer(embed(asked.clone()).set("batchSize", json!(10))).await;
    assert_eq!(vectors(&completed), alone(&asked).await);
    let report = world.simulator.report();
    assert_eq!(report.by_endpoint.get(&Endpoint::Embeddings), Some(&3));
    assert_eq!(report.texts, 25);
    assert_eq!(completed.attempts, 3);
    assert!(!embeddings(&completed).tokens_estimated);
}

#[tokio::test]
async fn a_price_is_paid_for_what_was_executed_alone() {
    let world = World::start().await;
    let caller = world.caller().await;
    let priced = |texts: &[&str]| {
        embed(texts.iter().copied()).model("accounts/fireworks/models/qwen3-embedding-8b").cached()
    };
    let first = caller.answer(priced(&["two words", "three more words"])).await;
    let cost = first.cost.as_ref().expect("a price");
    assert_eq!((cost.spent_nanodollars, cost.saved_nanodollars), (500, 0));
    let second = caller.answer(priced(&["three more words", "new"])).await;
    let cost = second.cost.as_ref().expect("a price");
    assert_eq!(cost.spent_nanodollars, 100);
    assert_eq!(cost.original_nanodollars, cost.spent_nanodollars + cost.saved_nanodollars);
    assert!((200..=400).contains(&cost.saved_nanodollars), "{cost:?}");
    assert!(embeddings(&second).tokens_estimated, "a share of the first request");
    let third = caller.answer(priced(&["new"])).await;
    let cost = third.cost.as_ref().expect("a price");
    assert_eq!((cost.spent_nanodollars, cost.saved_nanodollars), (0, 100));
    assert!(!embeddings(&third).tokens_estimated, "it was alone in its request");
    assert_eq!(third.cache.expect("said").status(), CacheStatus::Hit);
    assert_eq!(third.attempts, 0);
}

#[tokio::test]
async fn what_is_wrong_is_said_with_its_path() {
    let world = World::start().await;
    let caller = world.caller().await;
    let chat_with_texts = ExecuteNodeRequest {
        input: Some(Input::Texts(Texts { texts: vec!["x".to_owned()] })),
        ..ask("x").request()
    };
    let mut as_json = embed(["x"]).request();
    as_json.output.get_or_insert_default().format = Format::Json.into();
    for (asked, field) in [
        (embed(Vec::<String>::new()), "texts.texts"),
        (embed(["fine", ""]), "texts.texts[1]"),
        (embed(texts(0..2049)), "texts.texts"),
        (embed(["x"]).set("dimensions", json!(0)), "config.dimensions"),
        (embed(["x"]).set("batchSize", json!(4096)), "config.batchSize"),
        (embed(["x"]).set("temperature", json!(1)), "config.temperature"),
        (embed(["x"]).set("stripNewLines", json!(true)), "config.stripNewLines"),
        (ask("x").node("fireworksEmbeddings"), "prompt"),
        (chat_with_texts.into(), "texts"),
        (as_json.into(), "output.format"),
    ] {
        let failure = caller.failure(asked).await;
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG");
        let fields: Vec<&str> =
            failure.violations.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, [field]);
    }
    assert_eq!(world.upstream_calls(), 0);
}

#[tokio::test]
async fn a_refused_request_is_retried_and_then_named() {
    let world = World::start().await;
    let caller = world.caller().await;
    world.simulator.script(Rule::once(Fault::status(503)));
    let completed = caller.answer(embed(["one", "two"])).await;
    assert_eq!(completed.attempts, 2);
    let long = embed(["word ".repeat(600).as_str(), "short"]);
    let failure = caller.failure(long).await;
    assert_eq!(failure.reason, "CONTEXT_TOO_LONG");
    world.simulator.script(Rule::always(Fault::status(404)));
    assert_eq!(caller.failure(embed(["one"])).await.reason, "MODEL_NOT_FOUND");
}

#[tokio::test]
async fn an_answer_cut_short_is_retried() {
    let world = World::start().await;
    let caller = world.caller().await;
    for fault in [Fault::CutAfterBytes { bytes: 100 }, Fault::Garbage { after_deltas: 0 }] {
        world.simulator.script(Rule::once(fault));
        let completed = caller.answer(embed(["one", "two"])).await;
        assert_eq!(vectors(&completed), alone(&["one".to_owned(), "two".to_owned()]).await);
        assert_eq!(completed.attempts, 2);
    }
}
