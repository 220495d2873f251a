//! One execution: it streams, it completes, it says what it cost; and the same
//! again comes from the cache.

use serde_json::json;
use sparkler::proto::{CacheStatus, StoreStatus};

use crate::support::{World, ask};

#[tokio::test]
async fn an_execution_streams_its_answer_and_completes() {
    let world = World::start().await;
    let received = world.caller().await.recv(ask("Why is the sky blue?")).await;
    let started = received.started.as_ref().expect("started comes first");
    assert!(!started.execution_token.is_empty());
    assert_eq!(started.cache_status(), CacheStatus::Disabled);
    let text = received.text.clone();
    let completed = received.completed();
    assert!(!text.is_empty());
    assert_eq!(completed.choices[0].text, text, "the deltas are the answer");
    assert_eq!(completed.choices[0].finish_reason, "stop");
    assert!(completed.usage.expect("usage").completion_tokens() > 0);
    assert!(completed.cost.expect("the model has a price").spent_nanodollars > 0);
    assert_eq!(completed.attempts, 1);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn second_identical_call_does_not_reach_fireworks() {
    let world = World::start().await;
    let caller = world.caller().await;
    let first = caller.answer(ask("Say it once").cached()).await;
    let second = caller.answer(ask("Say it once").cached()).await;
    assert_eq!(world.upstream_calls(), 1);
    assert_eq!(second.choices[0].text, first.choices[0].text);
    assert_eq!(second.usage, first.usage);
    let cache = second.cache.expect("cache");
    assert_eq!(cache.status(), CacheStatus::Hit);
    assert_eq!(first.cache.expect("cache").store(), StoreStatus::Stored);
    let (paid, saved) = (first.cost.expect("a price"), second.cost.expect("a price"));
    assert_eq!(saved.spent_nanodollars, 0);
    assert_eq!(saved.saved_nanodollars, paid.spent_nanodollars);
    assert_eq!(second.attempts, 0);
}

#[tokio::test]
async fn a_misspelt_field_is_named_with_the_nearest_known_one() {
    let world = World::start().await;
    let failure = world
        .caller()
        .await
        .failure(ask("x").set("temprature", json!(0.5)).set("topP", json!(7)))
        .await;
    assert_eq!(failure.reason, "INVALID_NODE_CONFIG");
    let fields: Vec<&str> = failure.violations.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["config.temprature", "config.topP"]);
    assert!(failure.violations[0].1.contains("temperature"), "{failure:?}");
    assert_eq!(world.upstream_calls(), 0);
}
