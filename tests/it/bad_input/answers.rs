//! Answers, and schemas for them, that go too deep.

use std::time::Duration;

use fireworks_simulator::{Fault, Rule};
use serde_json::json;

use crate::support::{World, ask};

#[tokio::test]
async fn an_answer_of_a_thousand_levels_is_no_json() {
    let world = World::start().await;
    let deep = "[".repeat(1000) + &"]".repeat(1000);
    world.simulator.script(Rule::once(Fault::answer([deep.clone()])));
    let failure = world.caller().await.failure(ask("x").json()).await;
    assert_eq!(failure.reason, "OUTPUT_NOT_JSON");
    world.simulator.script(Rule::once(Fault::answer([deep.clone()])));
    assert_eq!(world.caller().await.answer(ask("x")).await.choices[0].text, deep);
}

#[tokio::test]
async fn an_answer_whose_check_would_not_end_comes_unchecked() {
    let world = World::start().await;
    // Two branches at every level, and the difference only at the bottom.
    let schema = json!({
        "anyOf": [
            {"type": "object", "properties": {"a": {"$ref": "#"}, "b": false}},
            {"type": "object", "properties": {"a": {"$ref": "#"}, "c": false}},
        ]
    });
    let answer = r#"{"a":"#.repeat(60) + "1" + &"}".repeat(60);
    world.simulator.script(Rule::once(Fault::answer([answer.clone()])).prompt("forever"));
    let caller = world.caller().await;
    let checked = caller.answer(ask("forever").schema(&schema).cached());
    let others = async {
        for _ in 0..5 {
            caller.answer(ask("meanwhile")).await;
        }
    };
    let both = async { tokio::join!(checked, others).0 };
    let completed = tokio::time::timeout(Duration::from_secs(15), both).await.expect("it ends");
    // It is paid for: its caller has it, marked as such; others do not get it.
    let choice = &completed.choices[0];
    assert!(choice.json_unchecked && choice.json == answer, "{choice:?}");
    assert_eq!(completed.cache.expect("an outcome").not_stored_reason, "unchecked");
    world.simulator.script(Rule::once(Fault::answer(["{\"a\":{}}"])).prompt("forever"));
    let checked = caller.answer(ask("forever").schema(&schema).cached()).await;
    assert!(!checked.choices[0].json_unchecked, "{checked:?}");
}
