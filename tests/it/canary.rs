//! Neither the credential nor the prompt appears where it does not belong:
//! in no status, in no log line, whatever fails, even where the provider says
//! them itself. Against the program, with everything it can log.

use std::{net::SocketAddr, time::Duration};

use crate::support::{Ask, Caller, Failure, MODEL, Program, spawn};
use fireworks_simulator::{BodyForm, Fault, Handle, Options, Refusal, Rule, Simulator};
use serde_json::json;

const KEY: &str = "fw_c4n4ry7d1e5b0c9a8f6e3d2c1b0a9f8e";
const PROMPT: &str = "the canary of the prompt sings at dawn";

fn ask() -> Ask {
    crate::support::ask(PROMPT).key(KEY)
}

/// Everything the provider can say, with the key in it.
fn verbose_faults() -> Vec<Fault> {
    let text = format!("Incorrect API key provided: {KEY}. Also Bearer {KEY}, \"{KEY}\".");
    let escaped = KEY.replace('_', "\\u005f");
    let after_deltas = Some(1);
    let mut faults: Vec<Fault> = [400, 401, 403, 404, 412, 429, 500, 503]
        .into_iter()
        .flat_map(|status| {
            let refuse = move |body| Fault::from(Refusal::status(status).body(body));
            let (message, param) = (text.clone(), Some(KEY.to_owned()));
            [
                refuse(BodyForm::Gateway { code: KEY.to_owned(), message, param }),
                refuse(BodyForm::Text(text.clone())),
            ]
        })
        .collect();
    faults.extend([
        Refusal::status(400).body(BodyForm::ModelServer { message: text.clone() }).into(),
        Refusal::status(400).body(BodyForm::FastApi { detail: json!([{"msg": text}]) }).into(),
        Refusal::status(400).body(BodyForm::Text(format!("{{\"error\":\"{escaped}\"}}"))).into(),
        Refusal::status(500).header("x-request-id", KEY).header("cf-ray", KEY).into(),
        Refusal::status(307).header("location", &format!("/?key={KEY}")).into(),
        Fault::StreamError {
            after_deltas,
            status: Some(500),
            code: Some(KEY.to_owned()),
            message: text.clone(),
        },
        Fault::ErrorEvent { after_deltas, data: text.clone() },
        Fault::LateError { message: text },
        Fault::FinishReason(KEY.to_owned()),
    ]);
    faults
}

/// Faults that say nothing of their own.
fn silent_faults() -> Vec<Fault> {
    vec![
        Fault::HangUp,
        Fault::Cut { after_deltas: 1 },
        Fault::CutInCharacter,
        Fault::EndEarly { after_deltas: Some(1) },
        Fault::NotJsonEvent { after_deltas: 1 },
        Fault::EndlessLine { after_deltas: 1 },
        Fault::status(502),
    ]
}

/// Calls that fail before the provider is asked, with the key where it does not
/// belong.
fn wrong_calls() -> Vec<Ask> {
    vec![
        ask().set("temprature", json!(KEY)),
        ask().set("temperature", json!(KEY)),
        ask().set("tools", json!(PROMPT)),
        ask().key(&format!("{KEY}\n")),
        ask().key(&format!("{KEY} ")),
        ask().no_credential().set("credential", json!(KEY)),
        ask().secret(KEY),
        ask().secret(&format!("../{KEY}")),
        ask().schema(&json!({"type": KEY})),
    ]
}

fn assert_silent(what: &str, failure: &Failure) {
    let reported = format!("{failure:?}");
    assert!(!reported.contains(KEY), "{what} reveals the key: {reported}");
    assert!(!reported.contains(PROMPT), "{what} reveals the prompt: {reported}");
    assert!(!failure.reason.is_empty(), "{what}: {reported}");
}

async fn fail_in_every_way(caller: &Caller, provider: &Handle) {
    for fault in verbose_faults().into_iter().chain(silent_faults()) {
        provider.clear_script();
        provider.script(Rule::always(fault.clone()));
        let failure = caller.failure(ask().attempts(1)).await;
        assert_silent(&format!("{fault:?}"), &failure);
    }
    provider.clear_script();
    for (index, asked) in wrong_calls().into_iter().enumerate() {
        assert_silent(&format!("wrong call {index}"), &caller.failure(asked).await);
    }
    provider.script(Rule::once(Fault::stall(1)));
    let idle = ask().idle(Duration::from_millis(100));
    assert_silent("a deadline", &caller.failure(idle).await);
    provider.script(Rule::once(Fault::answer(["no JSON"])));
    assert_silent("no JSON", &caller.failure(ask().json()).await);
    // The provider's words are the caller's own here; the log must not have them.
    let quoting = BodyForm::ModelServer { message: format!("bad value: '{PROMPT}'") };
    provider.script(Rule::once(Refusal::status(400).body(quoting)));
    caller.failure(ask()).await;
}

async fn succeed(caller: &Caller) {
    for asked in [ask(), ask().cached(), ask().cached(), ask().secret("mounted"), ask().json()] {
        let received = caller.recv(asked).await;
        let token = received.started.as_ref().expect("started").execution_token.clone();
        assert!(!token.contains(KEY));
        assert_eq!(received.completed().model, MODEL);
    }
}

#[tokio::test]
async fn the_credential_and_the_prompt_stay_where_they_belong() {
    let secrets = tempfile::tempdir().expect("a folder");
    std::fs::write(secrets.path().join("mounted"), format!("{KEY}\n")).expect("written");
    let secrets = secrets.path().to_str().expect("a path that is text");
    for protocol in ["http1", "http2"] {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::bind(address, Options::instant()).await.expect("a free port");
        let (base_url, provider) = (simulator.base_url(), simulator.handle());
        let simulating = spawn(simulator.run(std::future::pending()));
        let more = ["--log", "trace", "--fireworks-protocol", protocol, "--secrets-dir", secrets];
        // Every fault is to come from the provider itself.
        let more = [&more[..], &["--negative-cache-ttl", "0s"]].concat();
        let program = Program::serve(&base_url, &more).await;
        let caller = Caller::connect(program.address).await;
        fail_in_every_way(&caller, &provider).await;
        provider.clear_script();
        succeed(&caller).await;
        drop(caller);
        let log = program.stop().await;
        simulating.abort();

        assert!(log.iter().any(|line| line.contains("CREDENTIAL_REJECTED")), "failures are logged");
        assert!(log.iter().any(|line| line.contains("TRACE")), "everything is logged");
        for line in &log {
            assert!(!line.contains(KEY), "{protocol}: the key is in the log: {line}");
            assert!(!line.contains(PROMPT), "{protocol}: the prompt is in the log: {line}");
        }
    }
}
