//! Refusals: statuses, and the forms they come in.

use std::time::Duration;

use fireworks_simulator::{BodyForm, Fault, Refusal, Rule};
use serde_json::json;
use sparkler::internals::Protocol;
use tonic::Code;

use super::{Reported, check, fail, impatient, impatiently, model_server, refuse};
use crate::support::ask;

#[tokio::test]
async fn every_refusal_has_its_name() {
    use Code::{FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unavailable};
    let too_long = model_server("The prompt is too long: 9000, model maximum context length: 8192");
    let mut rate_limited =
        Reported::transient(Code::ResourceExhausted, "PROVIDER_RATE_LIMITED", Some(429));
    let limited_for = Refusal::rate_limited().header("retry-after-ms", "20");
    let limited = Fault::status(429);
    let scaling = Refusal::scaling_up();
    let rows = [
        ("400", Fault::status(400), Reported::rejected(400)),
        (
            "400 too long",
            refuse(400, too_long),
            Reported::final_one(InvalidArgument, "CONTEXT_TOO_LONG", 400),
        ),
        (
            "401",
            Fault::status(401),
            Reported::final_one(FailedPrecondition, "CREDENTIAL_REJECTED", 401),
        ),
        (
            "402",
            Fault::status(402),
            Reported::final_one(FailedPrecondition, "BILLING_REQUIRED", 402),
        ),
        ("403", Fault::status(403), Reported::final_one(PermissionDenied, "MODEL_FORBIDDEN", 403)),
        ("404", Fault::status(404), Reported::final_one(NotFound, "MODEL_NOT_FOUND", 404)),
        ("405", Fault::status(405), Reported::rejected(405)),
        ("408", Fault::status(408), Reported::unavailable(408)),
        ("409", Fault::status(409), Reported::rejected(409)),
        (
            "412",
            Fault::status(412),
            Reported::final_one(FailedPrecondition, "ACCOUNT_SUSPENDED", 412),
        ),
        ("413", Fault::status(413), Reported::rejected(413)),
        ("418", Fault::status(418), Reported::rejected(418)),
        ("422", Fault::status(422), Reported::rejected(422)),
        ("425", Fault::status(425), Reported::unavailable(425)),
        (
            "429",
            limited,
            Reported {
                retry_after: None,
                ..Reported::transient(Code::ResourceExhausted, "PROVIDER_RATE_LIMITED", Some(429))
            },
        ),
        ("429 with a wait", limited_for.into(), {
            rate_limited.retry_after = Some(Duration::from_millis(20));
            rate_limited
        }),
        ("500", Fault::status(500), Reported::unavailable(500)),
        ("502", Fault::status(502), Reported::unavailable(502)),
        ("503", Fault::status(503), Reported::unavailable(503)),
        ("504", Fault::status(504), Reported::unavailable(504)),
        ("520", Fault::status(520), Reported::unavailable(520)),
        ("599", Fault::status(599), Reported::unavailable(599)),
        (
            "scaling up",
            scaling.into(),
            Reported::transient(Unavailable, "DEPLOYMENT_SCALING_UP", Some(503)).once(),
        ),
        (
            "redirect",
            Refusal::status(307).header("location", "/v1/elsewhere").into(),
            Reported::rejected(307),
        ),
        (
            "204",
            Fault::status(204),
            Reported::transient(Unavailable, "STREAM_INTERRUPTED", Some(204)),
        ),
    ];
    check(rows.map(|(name, fault, reported)| (name, Rule::always(fault), reported)), ask).await;
}

#[tokio::test]
async fn a_provider_that_hangs_up_is_asked_as_often_as_allowed() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let world = impatiently(protocol).await;
        let caller = world.caller().await;
        let expected = Reported { http_status: None, ..Reported::unavailable(0) };
        let fresh = fail(&world, &caller, Rule::always(Fault::HangUp), ask("fresh")).await;
        assert_eq!(fresh, expected, "{protocol:?}");
        caller.answer(ask("well")).await;
        let pooled = fail(&world, &caller, Rule::always(Fault::HangUp), ask("pooled")).await;
        // A pooled connection that closes is not counted as an attempt.
        let calls = pooled.upstream_calls;
        assert!((3..=4).contains(&calls), "{protocol:?}: {calls}");
        assert_eq!(Reported { upstream_calls: 3, ..pooled }, expected, "{protocol:?}");
    }
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
