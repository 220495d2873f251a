//! Every way in which the provider can fail, and the error that the caller gets: one
//! row a fault. And what looks odd and is no failure.

mod dialects;
mod odd;
mod refusals;
mod streams;

use std::time::Duration;

use fireworks_simulator::{BodyForm, Fault, Options, Refusal, Rule};
use sparkler::internals::Protocol;
use tonic::Code;

use crate::support::{Ask, Caller, World};

/// How much an answer may hold here.
const MAX_ANSWER_BYTES: usize = 32 * 1024;

/// The error that a caller gets, and what it took.
#[derive(Debug, Clone, PartialEq)]
struct Reported {
    code: Code,
    reason: String,
    domain: String,
    http_status: Option<u16>,
    safe_to_retry: bool,
    retry_after: Option<Duration>,
    attempts: u32,
    upstream_calls: u64,
}

impl Reported {
    /// What no repeat helps with.
    fn final_one(code: Code, reason: &str, http_status: u16) -> Reported {
        Reported {
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
    fn transient(code: Code, reason: &str, http_status: Option<u16>) -> Reported {
        Reported {
            http_status,
            safe_to_retry: true,
            attempts: 3,
            upstream_calls: 3,
            ..Reported::final_one(code, reason, 0)
        }
    }

    fn rejected(http_status: u16) -> Reported {
        Reported::final_one(Code::InvalidArgument, "REQUEST_REJECTED", http_status)
    }

    fn unavailable(http_status: u16) -> Reported {
        Reported::transient(Code::Unavailable, "PROVIDER_UNAVAILABLE", Some(http_status))
    }

    fn interrupted() -> Reported {
        Reported::transient(Code::Unavailable, "STREAM_INTERRUPTED", None)
    }

    fn invalid() -> Reported {
        let code = Code::FailedPrecondition;
        Reported { http_status: None, ..Reported::final_one(code, "PROVIDER_ANSWER_INVALID", 0) }
    }

    /// The same, after output had gone to the caller.
    fn once(self) -> Reported {
        Reported { attempts: 1, upstream_calls: 1, ..self }
    }
}

/// A worker that does not wait between attempts, and has small bounds.
async fn impatient() -> World {
    impatiently(Protocol::Http1).await
}

async fn impatiently(protocol: Protocol) -> World {
    World::with(Options::instant(), |config| {
        // Each fault is a row of its own, with the same key.
        config.refusals_for = Duration::ZERO;
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
async fn check(rows: impl IntoIterator<Item = (&str, Rule, Reported)>, ask: impl Fn(&str) -> Ask) {
    let worlds = [impatiently(Protocol::Http1).await, impatiently(Protocol::Http2).await];
    let mut wrong = Vec::new();
    for (name, rule, expected) in rows {
        for world in &worlds {
            let caller = world.caller().await;
            let reported = fail(world, &caller, rule.clone(), ask(name)).await;
            if reported != expected {
                wrong.push(format!("{name}:\n  reported {reported:?}\n  expected {expected:?}"));
            }
            caller.answer(ask(name)).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn fail(world: &World, caller: &Caller, rule: Rule, ask: Ask) -> Reported {
    world.simulator.reset();
    world.simulator.script(rule);
    let failure = caller.failure(ask).await;
    let report = world.simulator.report();
    world.simulator.clear_script();
    Reported {
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

fn model_server(message: &str) -> BodyForm {
    BodyForm::ModelServer { message: message.to_owned() }
}
