//! What makes two executions the same: everything that can change the answer,
//! and nothing else.

use serde_json::{Value, json};
use sparkler::proto::{CacheStatus, ChatMessage, cache_policy::Mode};

use super::status;
use crate::support::{Ask, World, ask};

const OTHER_MODEL: &str = "accounts/fireworks/models/deepseek-v4p1-flash";

fn plain() -> Ask {
    ask("What is the same?").cached()
}

fn user(text: &str) -> Vec<ChatMessage> {
    vec![ChatMessage { role: "user".to_owned(), content: text.to_owned(), ..Default::default() }]
}

#[tokio::test]
async fn what_can_change_the_answer_separates() {
    let world = World::start().await;
    let caller = world.caller().await;
    caller.answer(plain()).await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let other = json!({"type": "object", "properties": {"b": {"type": "string"}}});
    let different: Vec<(&str, Ask)> = vec![
        ("prompt", ask("What is the same!").cached()),
        ("model", plain().model(OTHER_MODEL)),
        ("node type", plain().node("fireworks")),
        ("salt", plain().salt("2")),
        ("temperature", plain().set("temperature", json!(0))),
        ("maxTokens", plain().set("maxTokens", json!(500))),
        ("topP", plain().set("topP", json!(0.5))),
        ("topK", plain().set("topK", json!(5))),
        ("seed", plain().set("seed", json!(1))),
        ("stop", plain().set("stop", json!(["zzz"]))),
        ("n", plain().set("n", json!(2))),
        ("logprobs", plain().set("logprobs", json!(true))),
        ("reasoningEffort", plain().set("reasoningEffort", json!("low"))),
        ("JSON", plain().json()),
        ("a schema", plain().schema(&schema)),
        ("another schema", plain().schema(&other)),
    ];
    for (calls, (what, asked)) in (2..).zip(different) {
        assert_eq!(status(&caller.answer(asked).await), CacheStatus::Miss, "{what}");
        assert_eq!(world.upstream_calls(), calls, "{what}");
    }
}

#[tokio::test]
async fn what_never_changes_the_answer_is_shared_across() {
    let world = World::start().await;
    let caller = world.caller().await;
    caller.answer(plain()).await;
    let same: [(&str, Ask); 9] = [
        ("serviceTier", plain().set("serviceTier", json!("default"))),
        ("user", plain().set("user", json!("u-17"))),
        ("promptCacheKey", plain().set("promptCacheKey", json!("k"))),
        ("promptCacheIsolationKey", plain().set("promptCacheIsolationKey", json!("k"))),
        ("metadata", plain().set("metadata", json!({"run": "7"}))),
        ("streaming", plain().set("streaming", json!(false))),
        ("deltas", plain().no_deltas()),
        ("attempts and tenant", plain().attempts(1).tenant("acme")),
        ("the node's cache field", plain().set("cache", json!(true))),
    ];
    for (what, asked) in same {
        assert_eq!(status(&caller.answer(asked).await), CacheStatus::Hit, "{what}");
    }
    assert_eq!(world.upstream_calls(), 1);
}

#[tokio::test]
async fn one_thing_in_two_spellings_is_one() {
    let world = World::start().await;
    let caller = world.caller().await;
    let with = |fields: &[(&str, Value)]| {
        fields.iter().fold(plain(), |asked, (name, value)| asked.set(name, value.clone()))
    };
    let pairs = [
        (with(&[("temperature", json!(0.5))]), with(&[("temperature", json!("0.5"))])),
        (with(&[("topP", json!(0.25))]), with(&[("top_p", json!(0.25))])),
        (with(&[("maxTokens", json!(2000))]), with(&[("maxCompletionTokens", json!("2000"))])),
        (with(&[("stop", json!("zzz"))]), with(&[("stop", json!(["zzz"]))])),
        // The default of the node's form is what its absence says.
        (with(&[("seed", json!(4))]), with(&[("seed", json!(4)), ("temperature", json!(0.9))])),
        (ask("As a chat").cached(), ask("").chat(user("As a chat")).cached()),
    ];
    for (calls, (one, other)) in (1..).zip(pairs) {
        let miss = caller.answer(one).await;
        let hit = caller.answer(other.mode(Mode::OnlyIfCached)).await;
        assert_eq!(hit.choices, miss.choices);
        assert_eq!(world.upstream_calls(), calls);
    }
}
