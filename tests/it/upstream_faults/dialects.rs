//! Every form of another provider that the simulator has, and what the worker
//! makes of it: the same answer, or the right reason in the provider's words.

use fireworks_simulator::{
    BodyForm, Dialect, ErrorShape, Fault, ForeignError, Refusal, Rule, ScriptedToolCall,
};
use serde_json::json;
use sparkler::proto::{Completed, ToolCall};
use tonic::Code;

use super::{Reported, all, check, impatient};
use crate::support::{Received, ask};

const WORDS: &str = "the upstream worker died";

fn answer(with_calls: bool) -> Fault {
    let call = |name: &str, arguments: [&str; 2]| ScriptedToolCall {
        name: name.to_owned(),
        arguments: arguments.map(str::to_owned).to_vec(),
    };
    let calls = vec![call("read", ["{\"p\":", "1}"]), call("list", ["{", "}"])];
    Fault::Answer {
        reasoning: vec!["hm".to_owned()],
        deltas: vec!["It ".to_owned(), "is.".to_owned()],
        tool_calls: if with_calls { calls } else { Vec::new() },
    }
}

fn functions(calls: &[ToolCall]) -> Vec<(&str, &str)> {
    calls.iter().map(|call| (call.name.as_str(), call.arguments.as_str())).collect()
}

/// Checks the parts that every dialect has in common.
fn check_answer(received: Received, finish: &str, name: &str) -> Completed {
    assert_eq!(received.text, "It is.", "{name}");
    let completed = received.completed();
    let choice = &completed.choices[0];
    assert_eq!((choice.text.as_str(), choice.reasoning.as_str()), ("It is.", "hm"), "{name}");
    assert_eq!(choice.finish_reason, finish, "{name}");
    assert_eq!(completed.attempts, 1, "{name}");
    completed
}

#[tokio::test]
async fn an_answer_of_any_dialect_is_read_like_the_usual_one() {
    let world = impatient().await;
    let caller = world.caller().await;
    let finish = |reason: &str| Fault::FinishReason(reason.to_owned());
    let dialect = Fault::Dialect;
    for (fault, with_calls, reason) in [
        (dialect(Dialect::CallsInOneDelta), true, "tool_calls"),
        (dialect(Dialect::CallPerDelta), true, "tool_calls"),
        (dialect(Dialect::CallsAtOneIndex), true, "tool_calls"),
        (dialect(Dialect::LateCallNames), true, "tool_calls"),
        (dialect(Dialect::Reasoning), false, "stop"),
        (dialect(Dialect::ContentParts), false, "stop"),
        (dialect(Dialect::Refusal), false, "refusal"),
        (finish("content_filter"), false, "content_filter"),
        (finish("eos"), false, "stop"),
        (finish("end_turn"), false, "stop"),
        (finish("STOP"), false, "stop"),
        (finish("max_tokens"), false, "length"),
        (finish("model_length"), false, "length"),
        (finish("tool_use"), true, "tool_calls"),
    ] {
        let name = format!("{fault:?}");
        world.simulator.clear_script();
        world.simulator.script(all([answer(with_calls), fault]));
        let received = caller.recv(ask("Say it in another way")).await;
        let completed = check_answer(received, reason, &name);
        let calls = &completed.choices[0].tool_calls;
        let expected: &[_] =
            if with_calls { &[("read", "{\"p\":1}"), ("list", "{}")] } else { &[] };
        assert_eq!(functions(calls), expected, "{name}");
        let mut ids: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
        ids.dedup();
        assert_eq!(ids.len(), calls.len(), "{name}: {ids:?}");
        assert!(ids.iter().all(|id| id.starts_with("call_")), "{name}: {ids:?}");
    }
}

#[tokio::test]
async fn an_odd_token_count_costs_itself_alone() {
    let world = impatient().await;
    let caller = world.caller().await;
    for odd in [json!(-35), json!("many"), json!(1.5), json!([]), json!({}), json!(null)] {
        world.simulator.clear_script();
        world.simulator.script(Rule::always(Fault::Usage(json!({
            "prompt_tokens": 1000,
            "completion_tokens": odd,
            "total_tokens": 1050,
            "prompt_tokens_details": odd,
            "completion_tokens_details": {"reasoning_tokens": odd},
        }))));
        let usage = caller.answer(ask("Count")).await.usage.expect("usage");
        let counts = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens);
        assert_eq!(counts, (Some(1000), None, Some(1050)), "{odd}");
        assert_eq!((usage.cached_tokens, usage.reasoning_tokens), (None, None), "{odd}");
    }
}

const SHAPES: [ErrorShape; 7] = [
    ErrorShape::Text,
    ErrorShape::TypeAndMessage,
    ErrorShape::TopLevel,
    ErrorShape::Detail,
    ErrorShape::Errors,
    ErrorShape::Choice,
    ErrorShape::Field,
];

fn error(shape: ErrorShape, status: Option<u16>, message: &str) -> ForeignError {
    ForeignError { shape, status, message: message.to_owned() }
}

/// An error before any output and in the middle of it.
fn in_stream(error: &ForeignError) -> [Fault; 2] {
    [0, 2].map(|after| Fault::ForeignError { after_deltas: Some(after), error: error.clone() })
}

fn has_status(shape: ErrorShape) -> bool {
    !matches!(shape, ErrorShape::Text | ErrorShape::Detail | ErrorShape::Errors)
}

#[tokio::test]
async fn an_error_of_any_form_in_a_stream_has_the_right_reason() {
    let long = "This model's maximum context length is 8192 tokens.";
    let too_long = || Reported {
        http_status: None,
        ..Reported::final_one(Code::InvalidArgument, "CONTEXT_TOO_LONG", 0)
    };
    let limited =
        || Reported::transient(Code::ResourceExhausted, "PROVIDER_RATE_LIMITED", Some(429));
    let mut rows = Vec::new();
    for shape in SHAPES {
        let statuses = [
            (None, WORDS, Reported::interrupted()),
            (Some(400), WORDS, Reported::rejected(400)),
            (Some(429), WORDS, limited()),
            (Some(502), WORDS, Reported::unavailable(502)),
            (None, long, too_long()),
        ];
        let statuses = statuses.into_iter().filter(|row| row.0.is_none() || has_status(shape));
        for (status, message, reported) in statuses {
            for fault in in_stream(&error(shape, status, message)) {
                let name = format!("{shape:?} {status:?} {message}");
                rows.push((name, Rule::always(fault), reported.clone()));
            }
        }
    }
    let rows =
        rows.iter().map(|(name, rule, reported)| (name.as_str(), rule.clone(), reported.clone()));
    // Without deltas nothing has gone to the caller, wherever the error is.
    check(rows, |name| ask(name).no_deltas()).await;
}

#[tokio::test]
async fn an_error_of_any_form_with_a_status_has_the_right_reason() {
    let refuse = |status, shape| {
        let body = BodyForm::Foreign(error(shape, None, WORDS));
        Rule::always(Refusal::status(status).body(body))
    };
    let rows = SHAPES.into_iter().flat_map(|shape| {
        [
            ("400", refuse(400, shape), Reported::rejected(400)),
            ("502", refuse(502, shape), Reported::unavailable(502)),
        ]
    });
    check(rows, ask).await;
}

#[tokio::test]
async fn an_error_of_any_form_keeps_the_providers_words() {
    let world = impatient().await;
    let caller = world.caller().await;
    for shape in SHAPES {
        let error = error(shape, None, WORDS);
        let refusal = Refusal::status(500).body(BodyForm::Foreign(error.clone())).into();
        let [early, late] = in_stream(&error);
        for fault in [refusal, early, late] {
            world.simulator.clear_script();
            world.simulator.script(Rule::always(fault));
            let failure = caller.failure(ask("Fail").attempts(1)).await;
            assert!(failure.message.contains(WORDS), "{shape:?}: {}", failure.message);
        }
    }
}
