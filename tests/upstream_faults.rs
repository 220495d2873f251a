//! Every way in which the provider can fail, and what the caller is told: one
//! row a fault. And what looks odd and is no failure.

mod support;

use std::time::Duration;

use serde_json::json;
use sparkler::fireworks::Protocol;
use sparkler::simulator::{BodyForm, Fault, Options, Refusal, Rule, ScriptedToolCall};
use tonic::Code;

use self::support::{Ask, Caller, World, ask};

/// How much an answer may hold here.
const MAX_ANSWER_BYTES: usize = 32 * 1024;

/// What a caller is told of a failure, and what it took.
#[derive(Debug, PartialEq)]
struct Told {
    code: Code,
    reason: String,
    domain: String,
    http_status: Option<u16>,
    safe_to_retry: bool,
    retry_after: Option<Duration>,
    attempts: u32,
    upstream_calls: u64,
}

impl Told {
    /// What no repeat helps with.
    fn final_one(code: Code, reason: &str, http_status: u16) -> Told {
        Told {
            code,
            reason: reason.to_owned(),
            domain: "fireworks.ai".to_owned(),
            http_status: Some(http_status),
            safe_to_retry: false,
            retry_after: None,
            attempts: 1,
            upstream_calls: 1,
        }
    }

    /// What was tried as often as allowed.
    fn transient(code: Code, reason: &str, http_status: Option<u16>) -> Told {
        Told {
            http_status,
            safe_to_retry: true,
            attempts: 3,
            upstream_calls: 3,
            ..Told::final_one(code, reason, 0)
        }
    }

    fn rejected(http_status: u16) -> Told {
        Told::final_one(Code::InvalidArgument, "REQUEST_REJECTED", http_status)
    }

    fn unavailable(http_status: u16) -> Told {
        Told::transient(Code::Unavailable, "PROVIDER_UNAVAILABLE", Some(http_status))
    }

    fn interrupted() -> Told {
        Told::transient(Code::Unavailable, "STREAM_INTERRUPTED", None)
    }

    /// The same, after output had gone to the caller.
    fn once(self) -> Told {
        Told { attempts: 1, upstream_calls: 1, ..self }
    }
}

/// A worker that does not wait between attempts, and has small bounds.
async fn impatient() -> World {
    impatiently(Protocol::Http1).await
}

async fn impatiently(protocol: Protocol) -> World {
    World::with(Options::instant(), |config| {
        config.fireworks.protocol = protocol;
        config.retry.base = Duration::from_millis(1);
        config.retry.scaling_up_poll = Duration::from_millis(1);
        config.retry.scaling_up_budget = Duration::ZERO;
        config.flights.max_answer_bytes = MAX_ANSWER_BYTES;
        config.fireworks.max_event_bytes = MAX_ANSWER_BYTES;
    })
    .await
}

fn all(faults: impl IntoIterator<Item = Fault>) -> Rule {
    Rule { faults: faults.into_iter().collect(), ..Rule::always(Fault::NoDone) }
}

/// Runs a table over both protocols: every row's failure, then a good call on
/// the same worker.
async fn check(rows: impl IntoIterator<Item = (&str, Rule, Told)>, ask: impl Fn(&str) -> Ask) {
    let worlds = [impatiently(Protocol::Http1).await, impatiently(Protocol::Http2).await];
    let mut wrong = Vec::new();
    for (name, rule, expected) in rows {
        for world in &worlds {
            let caller = world.caller().await;
            let told = fail(world, &caller, rule.clone(), ask(name)).await;
            if told != expected {
                wrong.push(format!("{name}:\n  told     {told:?}\n  expected {expected:?}"));
            }
            caller.answer(ask(name)).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn fail(world: &World, caller: &Caller, rule: Rule, ask: Ask) -> Told {
    world.simulator.reset();
    world.simulator.script(rule);
    let failure = caller.failure(ask).await;
    let report = world.simulator.report();
    world.simulator.clear_script();
    Told {
        code: failure.code,
        http_status: failure
            .metadata
            .get("http_status")
            .map(|status| status.parse().expect("a status")),
        safe_to_retry: failure.safe_to_retry(),
        reason: failure.reason,
        domain: failure.domain,
        retry_after: failure.retry_after,
        attempts: failure.detail.expect("a failed execution has a detail").attempts,
        upstream_calls: report.calls,
    }
}

fn refuse(status: u16, body: BodyForm) -> Fault {
    Refusal::status(status).body(body).into()
}

fn as_stream(body: BodyForm) -> Fault {
    Refusal::status(200).body(body).header("content-type", "text/event-stream").into()
}

fn model_server(message: &str) -> BodyForm {
    BodyForm::ModelServer { message: message.to_owned() }
}

#[tokio::test]
async fn every_refusal_has_its_name() {
    use Code::{FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unavailable};
    let too_long = model_server("The prompt is too long: 9000, model maximum context length: 8192");
    let mut rate_limited =
        Told::transient(Code::ResourceExhausted, "PROVIDER_RATE_LIMITED", Some(429));
    let limited_for = Refusal::rate_limited().header("retry-after-ms", "20");
    let limited = Fault::status(429);
    let scaling = Refusal::scaling_up();
    let rows = [
        ("400", Fault::status(400), Told::rejected(400)),
        (
            "400 too long",
            refuse(400, too_long),
            Told::final_one(InvalidArgument, "CONTEXT_TOO_LONG", 400),
        ),
        (
            "401",
            Fault::status(401),
            Told::final_one(FailedPrecondition, "CREDENTIAL_REJECTED", 401),
        ),
        ("402", Fault::status(402), Told::final_one(FailedPrecondition, "BILLING_REQUIRED", 402)),
        ("403", Fault::status(403), Told::final_one(PermissionDenied, "MODEL_FORBIDDEN", 403)),
        ("404", Fault::status(404), Told::final_one(NotFound, "MODEL_NOT_FOUND", 404)),
        ("405", Fault::status(405), Told::rejected(405)),
        ("408", Fault::status(408), Told::unavailable(408)),
        ("409", Fault::status(409), Told::rejected(409)),
        ("412", Fault::status(412), Told::final_one(FailedPrecondition, "ACCOUNT_SUSPENDED", 412)),
        ("413", Fault::status(413), Told::rejected(413)),
        ("418", Fault::status(418), Told::rejected(418)),
        ("422", Fault::status(422), Told::rejected(422)),
        ("425", Fault::status(425), Told::unavailable(425)),
        (
            "429",
            limited,
            Told {
                retry_after: None,
                ..Told::transient(Code::ResourceExhausted, "PROVIDER_RATE_LIMITED", Some(429))
            },
        ),
        ("429 with a wait", limited_for.into(), {
            rate_limited.retry_after = Some(Duration::from_millis(20));
            rate_limited
        }),
        ("500", Fault::status(500), Told::unavailable(500)),
        ("502", Fault::status(502), Told::unavailable(502)),
        ("503", Fault::status(503), Told::unavailable(503)),
        ("504", Fault::status(504), Told::unavailable(504)),
        ("520", Fault::status(520), Told::unavailable(520)),
        ("599", Fault::status(599), Told::unavailable(599)),
        (
            "scaling up",
            scaling.into(),
            Told::transient(Unavailable, "DEPLOYMENT_SCALING_UP", Some(503)).once(),
        ),
        (
            "redirect",
            Refusal::status(307).header("location", "/v1/elsewhere").into(),
            Told::rejected(307),
        ),
        ("204", Fault::status(204), Told::transient(Unavailable, "STREAM_INTERRUPTED", Some(204))),
        ("hang-up", Fault::HangUp, Told { http_status: None, ..Told::unavailable(0) }),
    ];
    check(rows.map(|(name, fault, told)| (name, Rule::always(fault), told)), ask).await;
}

#[tokio::test]
async fn the_provider_is_understood_in_every_form_it_speaks() {
    let world = impatient().await;
    let caller = world.caller().await;
    let long = "long ".repeat(10_000);
    let text = |text: &str| BodyForm::Text(text.to_owned());
    for (body, words) in [
        (
            BodyForm::Gateway {
                code: "BAD_REQUEST".into(),
                message: "Gateway words.".into(),
                param: None,
            },
            "Gateway words.",
        ),
        (model_server("Server words."), "Server words."),
        (BodyForm::BareString { error: "Bare words".into(), message: None }, "Bare words"),
        (BodyForm::FastApi { detail: json!("Detail words") }, "Detail words"),
        (
            BodyForm::FastApi {
                detail: json!([{"loc": ["a"], "msg": "First"}, {"msg": "second"}]),
            },
            "First; second",
        ),
        (BodyForm::ControlPlane { code: 3, message: "Control words".into() }, "Control words"),
        (BodyForm::Apigee { faultstring: "Fault words".into() }, "Fault words"),
        (text("Plain words\r\n"), "Plain words"),
        (text("\u{1b}[31mRed\u{202e} words"), "[31mRed words"),
        (text(&long), "long long"),
        (BodyForm::Json(json!({"error": {"message": null, "code": 17}})), "HTTP 400"),
        (BodyForm::Json(json!([1, 2, 3])), "HTTP 400"),
        (BodyForm::Html, "HTTP 400"),
        (BodyForm::Empty, "HTTP 400"),
    ] {
        world.simulator.clear_script();
        world.simulator.script(Rule::once(refuse(400, body.clone())));
        let failure = caller.failure(ask("x")).await;
        assert_eq!(failure.reason, "REQUEST_REJECTED", "{body:?}");
        assert!(failure.message.contains(words), "{body:?}: {}", failure.message);
        assert!(
            !failure.message.contains('<') && failure.message.len() < 600,
            "{}",
            failure.message
        );
        assert!(!failure.message.contains(['\n', '\u{1b}', '\u{202e}']), "{}", failure.message);
    }
}

/// Faults of a stream, the same whether they come early or late.
fn stream_faults(after: u32) -> Vec<(&'static str, Fault, Told)> {
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
        ("cut", Fault::Cut { after_deltas: after }, Told::interrupted()),
        ("end", Fault::EndEarly { after_deltas: Some(after) }, Told::interrupted()),
        ("[DONE]", Fault::DoneEarly { after_deltas: Some(after) }, Told::interrupted()),
        ("no JSON", Fault::NotJsonEvent { after_deltas: after }, Told::interrupted()),
        ("endless line", Fault::EndlessLine { after_deltas: after }, Told::interrupted()),
        ("error", no_status(None), Told::interrupted()),
        ("error 503", status(503), Told::unavailable(503)),
        (
            "error 429",
            status(429),
            Told::transient(Code::ResourceExhausted, "PROVIDER_RATE_LIMITED", Some(429)),
        ),
        ("error 400", status(400), Told::rejected(400)),
        (
            "error event",
            event(r#"{"error":{"message":"no","status":500}}"#),
            Told::unavailable(500),
        ),
        ("error event in text", event("it failed"), Told::interrupted()),
        ("error event without data", event(""), Told::interrupted()),
    ]
}

#[tokio::test]
async fn a_stream_that_fails_before_any_output_is_tried_again() {
    let mut rows = stream_faults(0);
    let finish = |reason: &str| Fault::FinishReason(reason.to_owned());
    rows.extend([
        ("cut in a character", Fault::CutInCharacter, Told::interrupted()),
        ("empty body", Fault::CutAfterBytes { bytes: 0 }, Told::interrupted()),
        ("finish reason error", finish("error"), Told::interrupted()),
        ("finish reason content_filter", finish("content_filter"), Told::interrupted()),
        ("finish reason nobody knows", finish("\u{1b}[2Jboom"), Told::interrupted()),
        ("late error", Fault::LateError { message: "late".to_owned() }, Told::unavailable(500)),
        ("HTML", refuse(200, BodyForm::Html), Told::interrupted()),
        ("HTML as a stream", as_stream(BodyForm::Html), Told::interrupted()),
        ("nothing", refuse(200, BodyForm::Empty), Told::interrupted()),
        ("JSON that is no answer", refuse(200, BodyForm::Json(json!([]))), Told::interrupted()),
        (
            "an object that is no answer",
            refuse(200, BodyForm::Json(json!({}))),
            Told::interrupted(),
        ),
    ]);
    let rows = rows.into_iter().map(|(name, fault, told)| (name, Rule::always(fault), told));
    // Without deltas nothing has gone to the caller, wherever the fault is.
    check(rows, |name| ask(name).no_deltas()).await;
}

#[tokio::test]
async fn a_stream_that_fails_after_output_is_not_tried_again() {
    // The pause lets what came before reach the caller.
    let pause = Fault::Stall { after_deltas: 2, lasting: Some(Duration::from_millis(150)) };
    let rows = stream_faults(2)
        .into_iter()
        .map(|(name, fault, told)| (name, all([pause.clone(), fault]), told.once()));
    check(rows, ask).await;
}

#[tokio::test]
async fn an_answer_beyond_the_bound_ends_there_and_the_provider_is_stopped() {
    let world = impatient().await;
    let caller = world.caller().await;
    let whole = Fault::HugeEvent { after_deltas: 1, bytes: MAX_ANSWER_BYTES + 1 };
    let told = fail(&world, &caller, Rule::always(Fault::EndlessStream), ask("go on")).await;
    let too_large = Told {
        code: Code::ResourceExhausted,
        reason: "OUTPUT_TOO_LARGE".to_owned(),
        domain: "sparkler".to_owned(),
        http_status: None,
        ..Told::rejected(0)
    };
    assert_eq!(told, too_large);
    let stopped = world.simulator.wait_until(|report| report.aborted == 1, support::PATIENCE);
    stopped.await.expect("the provider is stopped");
    let told = fail(&world, &caller, Rule::always(whole), ask("at once").no_deltas()).await;
    assert_eq!(told, Told::interrupted(), "an event beyond the bound cannot be read");
    caller.answer(ask("and now well")).await;
}

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
        let heard = caller.hear(ask("Tell me about odd streams")).await;
        assert_eq!(heard.text, whole, "{faults:?}");
        let completed = heard.completed();
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
    let heard = world.caller().await.hear(ask("x")).await;
    assert_eq!(heard.text, "All at once.");
    assert_eq!(heard.completed().usage.expect("usage").total_tokens, Some(4));
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
async fn wherever_the_connection_breaks_no_part_is_taken_for_the_whole() {
    let world = impatient().await;
    let caller = world.caller().await;
    let answer = || Fault::answer(["One 🎈, ", "two 日本, ", "three."]);
    let mut completed = 0;
    let mut bytes = 0;
    while completed < 2 {
        world.simulator.clear_script();
        world.simulator.script(all([answer(), Fault::CutAfterBytes { bytes }]));
        let heard = caller.hear(ask("Count").attempts(1)).await;
        assert!("One 🎈, two 日本, three.".starts_with(&heard.text), "{bytes}: {}", heard.text);
        match heard.end {
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
