//! Streams that fail, early and late, and that are cut anywhere.

use std::time::Duration;

use fireworks_simulator::{BodyForm, Fault, Refusal, Rule};
use serde_json::json;
use tonic::Code;

use super::{MAX_ANSWER_BYTES, Reported, all, check, fail, impatient, refuse};
use crate::support::ask;

fn as_stream(body: BodyForm) -> Fault {
    Refusal::status(200).body(body).header("content-type", "text/event-stream").into()
}

/// Faults of a stream, the same whether they come early or late.
fn stream_faults(after: u32) -> Vec<(&'static str, Fault, Reported)> {
    let status = |status: u16| Fault::StreamError {
        after_deltas: Some(after),
        status: Some(status),
        code: None,
        message: "it failed".to_owned(),
    };
    let no_status = |code: Option<&str>| Fault::StreamError {
        after_deltas: Some(after),
        status: None,
        code: code.map(str::to_owned),
        message: "it failed".to_owned(),
    };
    let event = |data: &str| Fault::ErrorEvent { after_deltas: Some(after), data: data.to_owned() };
    vec![
        ("cut", Fault::Cut { after_deltas: after }, Reported::interrupted()),
        ("end", Fault::EndEarly { after_deltas: Some(after) }, Reported::interrupted()),
        ("[DONE]", Fault::DoneEarly { after_deltas: Some(after) }, Reported::interrupted()),
        ("no JSON", Fault::NotJsonEvent { after_deltas: after }, Reported::interrupted()),
        ("endless line", Fault::EndlessLine { after_deltas: after }, Reported::interrupted()),
        ("error", no_status(None), Reported::interrupted()),
        ("error 503", status(503), Reported::unavailable(503)),
        (
            "error 429",
            status(429),
            Reported::transient(Code::ResourceExhausted, "PROVIDER_RATE_LIMITED", Some(429)),
        ),
        ("error 400", status(400), Reported::rejected(400)),
        (
            "error event",
            event(r#"{"error":{"message":"no","status":500}}"#),
            Reported::unavailable(500),
        ),
        ("error event in text", event("it failed"), Reported::interrupted()),
        ("error event without data", event(""), Reported::interrupted()),
    ]
}

#[tokio::test]
async fn a_stream_that_fails_before_any_output_is_tried_again() {
    let mut rows = stream_faults(0);
    let finish = |reason: &str| Fault::FinishReason(reason.to_owned());
    rows.extend([
        ("cut in a character", Fault::CutInCharacter, Reported::interrupted()),
        ("empty body", Fault::CutAfterBytes { bytes: 0 }, Reported::interrupted()),
        ("finish reason error", finish("error"), Reported::interrupted()),
        ("late error", Fault::LateError { message: "late".to_owned() }, Reported::unavailable(500)),
        ("nothing", refuse(200, BodyForm::Empty), Reported::interrupted()),
    ]);
    let rows =
        rows.into_iter().map(|(name, fault, reported)| (name, Rule::always(fault), reported));
    // Without deltas nothing has gone to the caller, wherever the fault is.
    check(rows, |name| ask(name).no_deltas()).await;
}

#[tokio::test]
async fn what_would_come_out_the_same_again_is_not_tried_again() {
    let finish = |reason: &str| Fault::FinishReason(reason.to_owned());
    let rows = [
        ("finish reason nobody knows", finish("\u{1b}[2Jboom")),
        ("HTML", refuse(200, BodyForm::Html)),
        ("HTML as a stream", as_stream(BodyForm::Html)),
        ("JSON that is no answer", refuse(200, BodyForm::Json(json!([])))),
        ("an object that is no answer", refuse(200, BodyForm::Json(json!({})))),
    ];
    let rows = rows.map(|(name, fault)| (name, Rule::always(fault), Reported::invalid()));
    check(rows, |name| ask(name).no_deltas()).await;
}

#[tokio::test]
async fn a_stream_that_fails_after_output_is_not_tried_again() {
    // The pause lets what came before reach the caller.
    let pause = Fault::Stall { after_deltas: 2, lasting: Some(Duration::from_millis(150)) };
    let rows = stream_faults(2)
        .into_iter()
        .map(|(name, fault, reported)| (name, all([pause.clone(), fault]), reported.once()));
    check(rows, ask).await;
}

#[tokio::test]
async fn an_answer_beyond_the_bound_ends_and_is_cancelled() {
    let world = impatient().await;
    let caller = world.caller().await;
    let whole = Fault::HugeEvent { after_deltas: 1, bytes: MAX_ANSWER_BYTES + 1 };
    let reported = fail(&world, &caller, Rule::always(Fault::EndlessStream), ask("go on")).await;
    let too_large = Reported {
        code: Code::ResourceExhausted,
        reason: "OUTPUT_TOO_LARGE".to_owned(),
        domain: "sparkler".to_owned(),
        http_status: None,
        ..Reported::rejected(0)
    };
    assert_eq!(reported, too_large);
    let stopped =
        world.simulator.wait_until(|report| report.aborted == 1, crate::support::PATIENCE);
    stopped.await.expect("the provider is stopped");
    let reported = fail(&world, &caller, Rule::always(whole), ask("at once").no_deltas()).await;
    assert_eq!(reported, Reported::interrupted(), "an event beyond the bound cannot be read");
    caller.answer(ask("and now well")).await;
}

#[tokio::test]
async fn no_part_is_taken_for_the_whole_wherever_it_breaks() {
    let world = impatient().await;
    let caller = world.caller().await;
    let answer = || Fault::answer(["One 🎈, ", "two 日本, ", "three."]);
    let mut completed = 0;
    let mut bytes = 0;
    while completed < 2 {
        world.simulator.clear_script();
        world.simulator.script(all([answer(), Fault::CutAfterBytes { bytes }]));
        let received = caller.recv(ask("Count").attempts(1)).await;
        assert!(
            "One 🎈, two 日本, three.".starts_with(&received.text),
            "{bytes}: {}",
            received.text
        );
        match received.end {
            Ok(whole) => {
                assert_eq!(whole.choices[0].text, "One 🎈, two 日本, three.", "{bytes}");
                completed += 1;
            }
            Err(failure) => {
                assert_eq!(completed, 0, "{bytes}: what was whole stays whole");
                assert_eq!(failure.reason, "STREAM_INTERRUPTED", "{bytes}: {failure:?}");
            }
        }
        bytes += 13;
        assert!(bytes < 10_000, "the stream never ends");
    }
    assert!(bytes > 500, "the cuts went through the whole stream");
}
