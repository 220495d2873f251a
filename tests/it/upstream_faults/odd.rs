//! What looks odd and is no failure.

use std::time::Duration;

use fireworks_simulator::{BodyForm, Fault, Rule, ScriptedToolCall};
use serde_json::json;

use super::{all, impatient, refuse};
use crate::support::ask;

#[tokio::test]
async fn what_looks_odd_is_no_failure() {
    let world = impatient().await;
    let caller = world.caller().await;
    let whole = caller.answer(ask("Tell me about odd streams")).await.choices[0].text.clone();
    let usage = |usage| Fault::Usage(usage);
    for faults in [
        vec![Fault::Comments],
        vec![Fault::Pings],
        vec![Fault::CrLf],
        vec![Fault::BareCr],
        vec![Fault::ByteOrderMark],
        vec![Fault::SeveralDataLines],
        vec![Fault::Shred { bytes: 1 }],
        vec![Fault::Shred { bytes: 7 }, Fault::CrLf, Fault::Comments, Fault::ByteOrderMark],
        vec![Fault::Shred { bytes: 1 }, Fault::BareCr, Fault::Pings, Fault::SeveralDataLines],
        vec![Fault::DataAfterDone],
        vec![Fault::NoDone],
        vec![Fault::Garbage { after_deltas: 2 }],
        vec![Fault::SlowHead { delay: Duration::from_millis(20) }],
        vec![Fault::NoUsage],
        vec![usage(json!(null))],
        vec![usage(json!("many"))],
        vec![usage(json!({"prompt_tokens": -1, "completion_tokens": 1.5}))],
        vec![usage(json!({"prompt_tokens": 3, "prompt_tokens_details": null}))],
    ] {
        world.simulator.clear_script();
        world.simulator.script(all(faults.clone()));
        let received = caller.recv(ask("Tell me about odd streams")).await;
        assert_eq!(received.text, whole, "{faults:?}");
        let completed = received.completed();
        assert_eq!(completed.choices[0].text, whole, "{faults:?}");
        assert_eq!(completed.attempts, 1, "{faults:?}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_whole_is_taken() {
    let world = impatient().await;
    let whole = json!({
        "id": "chatcmpl-1",
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": "All at once."},
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4},
    });
    world.simulator.script(Rule::once(refuse(200, BodyForm::Json(whole))));
    let received = world.caller().await.recv(ask("x")).await;
    assert_eq!(received.text, "All at once.");
    assert_eq!(received.completed().usage.expect("usage").total_tokens, Some(4));
}

#[tokio::test]
async fn absent_usage_is_absent_and_has_no_cost() {
    let world = impatient().await;
    world.simulator.script(Rule::always(Fault::Usage(json!(null))));
    let completed = world.caller().await.answer(ask("x")).await;
    let usage = completed.usage.unwrap_or_default();
    assert_eq!((usage.completion_tokens, usage.total_tokens), (None, None));
    assert_eq!(completed.cost, None);
}

#[tokio::test]
async fn a_broken_tool_call_is_handed_over_as_the_model_wrote_it() {
    let world = impatient().await;
    let call = ScriptedToolCall { name: "f".to_owned(), arguments: vec!["{\"a\":".to_owned()] };
    world.simulator.script(Rule::once(Fault::Answer {
        deltas: Vec::new(),
        reasoning: Vec::new(),
        tool_calls: vec![call],
    }));
    let completed = world.caller().await.answer(ask("Call f")).await;
    assert_eq!(completed.choices[0].tool_calls[0].arguments, "{\"a\":");
    assert_eq!(completed.choices[0].finish_reason, "tool_calls");
}
