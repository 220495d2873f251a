//! A hit is the whole answer again: every kind of output, the tokens it took,
//! and the money it saved.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Rule, ScriptedToolCall};
use serde_json::{Value, json};
use sparkler::{
    internals::{PriceList, Prices},
    proto::{CacheStatus, Completed},
};

use super::status;
use crate::support::{Ask, MODEL, PATIENCE, Received, World, ask};

const UNPRICED: &str = "accounts/simulator/models/plain";
const THINKING: &str = "accounts/simulator/models/reasoning";

/// The same twice: an answer and its hit.
async fn twice(world: &World, asked: Ask) -> (Received, Received) {
    let caller = world.caller().await;
    let first = caller.recv(asked.clone()).await;
    let second = caller.recv(asked).await;
    assert_eq!(world.upstream_calls(), 1);
    (first, second)
}

/// A hit says what the answer said, down to the tokens.
fn assert_same_answer(first: &Completed, hit: &Completed) {
    assert_eq!(status(hit), CacheStatus::Hit);
    assert_eq!(hit.choices, first.choices);
    assert_eq!(hit.usage, first.usage);
    assert_eq!(hit.model, first.model);
    assert_eq!(hit.provider_request_id, first.provider_request_id);
    assert_eq!(hit.attempts, 0);
    assert!(hit.timing.as_ref().expect("timing").connect.is_none());
}

#[tokio::test]
async fn a_hit_streams_text_and_reasoning_as_the_first_time() {
    let world = World::start().await;
    let (first, hit) = twice(&world, ask("Think").cached().model(THINKING)).await;
    assert!(!first.reasoning.is_empty());
    assert_eq!((&hit.text, &hit.reasoning), (&first.text, &first.reasoning));
    let reasoning = hit.reasoning.clone();
    let (first, hit) = (first.completed(), hit.completed());
    assert_same_answer(&first, &hit);
    assert_eq!(hit.choices[0].reasoning, reasoning);
}

#[tokio::test]
async fn a_hit_without_deltas_is_started_and_completed_alone() {
    let world = World::start().await;
    let caller = world.caller().await;
    let first = caller.answer(ask("x").cached()).await;
    let hit = caller.recv(ask("x").cached().no_deltas()).await;
    assert!(hit.deltas.is_empty());
    assert!(hit.started.is_some());
    assert_same_answer(&first, &hit.completed());
}

#[tokio::test]
async fn a_hit_of_json_is_json_again_letter_by_letter() {
    let world = World::start().await;
    let text = r#"{"n": 12345678901234567890.10, "a": [1, 2]}"#;
    world.simulator.script(Rule::always(Fault::answer([&text[..9], &text[9..]])));
    let (first, hit) = twice(&world, ask("x").cached().json()).await;
    let (first, hit) = (first.completed(), hit.completed());
    assert_eq!(first.choices[0].json, text);
    assert_same_answer(&first, &hit);
}

#[tokio::test]
async fn a_hit_brings_tool_calls_again() {
    let world = World::start().await;
    let arguments = vec![r#"{"city":"#.to_owned(), r#""Seoul"}"#.to_owned()];
    let call =
        |name: &str| ScriptedToolCall { name: name.to_owned(), arguments: arguments.clone() };
    let tool_calls = vec![call("weather"), call("time")];
    let fault = Fault::Answer { deltas: Vec::new(), reasoning: Vec::new(), tool_calls };
    world.simulator.script(Rule::always(fault));
    let function = |name: &str| {
        let parameters = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        json!({"type": "function", "function": {"name": name, "parameters": parameters}})
    };
    let tools = Value::Array(vec![function("weather"), function("time")]);
    let (first, hit) = twice(&world, ask("x").cached().set("tools", tools)).await;
    let fragments = |received: &Received| -> String {
        let fragments = received.deltas.iter().flat_map(|delta| &delta.tool_calls);
        fragments.map(|fragment| fragment.arguments.as_str()).collect()
    };
    assert_eq!(fragments(&hit), fragments(&first));
    let (first, hit) = (first.completed(), hit.completed());
    assert_eq!(first.choices[0].finish_reason, "tool_calls");
    let names: Vec<&str> =
        hit.choices[0].tool_calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["weather", "time"]);
    assert_eq!(hit.choices[0].tool_calls[1].arguments, r#"{"city":"Seoul"}"#);
    assert_same_answer(&first, &hit);
}

#[tokio::test]
async fn a_hit_brings_every_choice_and_its_logprobs_again() {
    let world = World::start().await;
    let asked = ask("x").cached().set("n", json!(3)).set("logprobs", json!(true));
    let (first, hit) = twice(&world, asked).await;
    let (first, hit) = (first.completed(), hit.completed());
    assert_eq!(first.choices.len(), 3);
    assert!(first.choices.iter().all(|choice| !choice.logprobs.is_empty()));
    assert_same_answer(&first, &hit);
}

#[tokio::test]
async fn a_hit_costs_nothing_and_reports_what_it_saved() {
    let world = World::start().await;
    let (first, hit) = twice(&world, ask("x").cached()).await;
    let (first, hit) = (first.completed(), hit.completed());
    let (paid, saved) = (first.cost.expect("a price"), hit.cost.expect("a price"));
    assert!(paid.spent_nanodollars > 0);
    assert_eq!((paid.original_nanodollars, paid.saved_nanodollars), (paid.spent_nanodollars, 0));
    assert_eq!(saved.spent_nanodollars, 0);
    assert_eq!(saved.original_nanodollars, paid.spent_nanodollars);
    assert_eq!(saved.saved_nanodollars, paid.spent_nanodollars);
    assert_eq!(saved.price_date, paid.price_date);
}

#[tokio::test]
async fn an_unknown_price_is_no_cost_rather_than_none_to_pay() {
    let world = World::start().await;
    let (first, hit) = twice(&world, ask("x").cached().model(UNPRICED)).await;
    let (first, hit) = (first.completed(), hit.completed());
    assert!(first.usage.is_some());
    assert_eq!((first.cost, hit.cost), (None, None));
}

#[tokio::test]
async fn the_operators_price_table_replaces_the_built_in_one() {
    let table = json!({
        "date": "2026-01-31",
        "models": [{"model": UNPRICED, "input": 1.0, "output": 2.0}],
    });
    let prices = Prices::parse(table.to_string().as_bytes()).expect("a table");
    let world = World::with(Options::instant(), |config| config.prices = prices.into()).await;
    let (first, _) = twice(&world, ask("x").cached().model(UNPRICED)).await;
    let completed = first.completed();
    let (usage, cost) = (completed.usage.expect("usage"), completed.cost.expect("a price"));
    let millionths = i64::try_from(usage.prompt_tokens() + 2 * usage.completion_tokens());
    assert_eq!(cost.spent_nanodollars, millionths.expect("few tokens") * 1000);
    assert_eq!(cost.price_date, "2026-01-31");
    let unlisted = world.caller().await.answer(ask("x").model(MODEL)).await;
    assert_eq!(unlisted.cost, None, "the built-in prices are gone");
}

#[tokio::test]
async fn a_changed_price_file_holds_for_the_next_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("prices.json");
    let write = |date: &str| {
        let table = json!({"date": date, "models": [{"model": UNPRICED, "input": 1, "output": 2}]});
        std::fs::write(&file, table.to_string()).expect("written");
    };
    write("2026-01-31");
    let prices = PriceList::read(&file).expect("prices");
    let world = World::with(Options::instant(), |config| config.prices = prices).await;
    let caller = world.caller().await;
    let date = async || {
        let completed = caller.answer(ask("x").model(UNPRICED)).await;
        completed.cost.expect("a price").price_date
    };
    assert_eq!(date().await, "2026-01-31");

    std::fs::write(&file, "no table").expect("written");
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(date().await, "2026-01-31", "a wrong file replaces nothing");

    write("2026-02-28");
    let changed = async {
        while date().await != "2026-02-28" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.expect("the change is noticed");
}
