//! What each cache mode reads and writes, and what the node's own field says
//! where the request is silent.

use serde_json::{Value, json};
use sparkler::proto::{CacheStatus, StoreStatus, cache_policy::Mode};
use tonic::Code;

use super::{outcome, status};
use crate::support::{World, ask};

#[tokio::test]
async fn off_reads_nothing_and_writes_nothing() {
    let world = World::start().await;
    let caller = world.caller().await;
    caller.answer(ask("x").cached()).await;
    let off = caller.answer(ask("x").mode(Mode::Off)).await;
    assert_eq!(world.upstream_calls(), 2);
    assert_eq!(status(&off), CacheStatus::Disabled);
    assert_eq!(outcome(&off).store(), StoreStatus::Unspecified);
    assert_eq!(outcome(&off).key_fingerprint, "");
    caller.answer(ask("y").mode(Mode::Off)).await;
    let failure = caller.failure(ask("y").mode(Mode::OnlyIfCached)).await;
    assert_eq!(failure.reason, "NOT_CACHED");
}

#[tokio::test]
async fn read_write_stores_what_it_had_to_ask_for() {
    let world = World::start().await;
    let caller = world.caller().await;
    let miss = caller.answer(ask("x").cached()).await;
    assert_eq!(status(&miss), CacheStatus::Miss);
    assert_eq!(outcome(&miss).store(), StoreStatus::Stored);
    assert_eq!(outcome(&miss).key_fingerprint.len(), 16);
    assert!(outcome(&miss).age.is_none());
    let hit = caller.answer(ask("x").cached()).await;
    assert_eq!(world.upstream_calls(), 1);
    assert_eq!(status(&hit), CacheStatus::Hit);
    assert_eq!(outcome(&hit).store(), StoreStatus::Unspecified);
    assert_eq!(outcome(&hit).key_fingerprint, outcome(&miss).key_fingerprint);
    assert_eq!(outcome(&hit).source_execution, outcome(&miss).source_execution);
    assert!(outcome(&hit).age.is_some());
}

#[tokio::test]
async fn read_only_uses_the_cache_and_adds_nothing_to_it() {
    let world = World::start().await;
    let caller = world.caller().await;
    let miss = caller.answer(ask("x").mode(Mode::ReadOnly)).await;
    assert_eq!(status(&miss), CacheStatus::Miss);
    assert_eq!(outcome(&miss).store(), StoreStatus::NotStored);
    assert_eq!(outcome(&miss).not_stored_reason, "mode");
    assert_eq!(status(&caller.answer(ask("x").cached()).await), CacheStatus::Miss);
    assert_eq!(status(&caller.answer(ask("x").mode(Mode::ReadOnly)).await), CacheStatus::Hit);
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn refresh_asks_again_and_stores_over_what_is_there() {
    let world = World::start().await;
    let caller = world.caller().await;
    let old = caller.answer(ask("x").cached()).await;
    let new = caller.answer(ask("x").mode(Mode::Refresh)).await;
    assert_eq!(world.upstream_calls(), 2);
    assert_eq!(status(&new), CacheStatus::Bypassed);
    assert_eq!(outcome(&new).store(), StoreStatus::Stored);
    assert_ne!(outcome(&new).source_execution, outcome(&old).source_execution);
    let hit = caller.answer(ask("x").cached()).await;
    assert_eq!(outcome(&hit).source_execution, outcome(&new).source_execution);
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn only_if_cached_never_reaches_fireworks() {
    let world = World::start().await;
    let caller = world.caller().await;
    let failure = caller.failure(ask("x").mode(Mode::OnlyIfCached)).await;
    assert_eq!((failure.code, failure.reason.as_str()), (Code::NotFound, "NOT_CACHED"));
    assert!(!failure.safe_to_retry());
    assert_eq!(world.upstream_calls(), 0);
    let miss = caller.answer(ask("x").cached()).await;
    let hit = caller.answer(ask("x").mode(Mode::OnlyIfCached)).await;
    assert_eq!(status(&hit), CacheStatus::Hit);
    assert_eq!(hit.choices, miss.choices);
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn the_nodes_own_field_decides_where_the_request_is_silent() {
    let world = World::start().await;
    let caller = world.caller().await;
    let fields: [(Option<Value>, CacheStatus); 8] = [
        (None, CacheStatus::Disabled),
        (Some(json!(false)), CacheStatus::Disabled),
        (Some(json!("false")), CacheStatus::Disabled),
        (Some(json!("")), CacheStatus::Disabled),
        (Some(json!(true)), CacheStatus::Miss),
        (Some(json!("true")), CacheStatus::Miss),
        (Some(json!("{{redisCache_0.data.instance}}")), CacheStatus::Miss),
        (Some(json!({"instance": "redisCache_0"})), CacheStatus::Miss),
    ];
    for (index, (field, expected)) in fields.into_iter().enumerate() {
        let mut asked = ask(&format!("Field {index}?"));
        if let Some(field) = &field {
            asked = asked.set("cache", field.clone());
        }
        assert_eq!(status(&caller.answer(asked.clone()).await), expected, "{field:?}");
        let again = status(&caller.answer(asked).await);
        assert_eq!(again == CacheStatus::Hit, expected == CacheStatus::Miss, "{field:?}");
    }
}

#[tokio::test]
async fn the_requests_mode_beats_the_nodes_field() {
    let world = World::start().await;
    let caller = world.caller().await;
    let node_caches = || ask("x").set("cache", json!(true));
    let node_does_not = || ask("x").set("cache", json!(false));
    caller.answer(node_caches().mode(Mode::Off)).await;
    assert_eq!(status(&caller.answer(node_does_not().cached()).await), CacheStatus::Miss);
    assert_eq!(status(&caller.answer(node_caches()).await), CacheStatus::Hit);
    assert_eq!(status(&caller.answer(node_caches().mode(Mode::Off)).await), CacheStatus::Disabled);
}
