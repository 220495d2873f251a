//! Neither the credential nor the prompt appears where it does not belong:
//! in no status, in no log line, whatever fails, even where the provider says
//! them itself. Against the program, with everything it can log.

mod support;

use std::{net::SocketAddr, process::Stdio, time::Duration};

use serde_json::json;
use sparkler::simulator::{BodyForm, Fault, Handle, Options, Refusal, Rule, Simulator};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
};

use self::support::{Ask, Caller, Failure, MODEL, PATIENCE, spawn};

const KEY: &str = "fw_c4n4ry7d1e5b0c9a8f6e3d2c1b0a9f8e";
const PROMPT: &str = "the canary of the prompt sings at dawn";

fn ask() -> Ask {
    support::ask(PROMPT).key(KEY)
}

/// The program as a worker, its log collected.
struct Program {
    child: Child,
    address: SocketAddr,
    log: JoinHandle<Vec<String>>,
}

impl Program {
    async fn serve(base_url: &str, protocol: &str, secrets: &str) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sparkler"))
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log", "trace", "--log-format", "json", "--leave-grace", "0s"])
            .args(["--fireworks-base-url", base_url, "--fireworks-protocol", protocol])
            .args(["--secrets-dir", secrets])
            .env_clear()
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut begun = Vec::new();
        let address = listening(&mut lines, &mut begun).await;
        // Read on all the while: a full pipe would hold the program.
        let log = spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                begun.push(line);
            }
            begun
        });
        Program { child, address, log }
    }

    /// Stops it; what it has logged.
    async fn stop(mut self) -> Vec<String> {
        let id = i32::try_from(self.child.id().expect("it runs")).expect("a process id");
        let process = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("sent");
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        assert!(ended.expect("it stops").expect("it was waited for").success());
        self.log.await.expect("the log was read")
    }
}

async fn listening(
    lines: &mut Lines<BufReader<ChildStderr>>,
    begun: &mut Vec<String>,
) -> SocketAddr {
    loop {
        let line = lines.next_line().await.expect("readable").expect("it listens before it ends");
        let value: serde_json::Value = serde_json::from_str(&line).expect("a log line is JSON");
        begun.push(line);
        if value["message"] == "listening" {
            return value["listen"].as_str().expect("an address").parse().expect("an address");
        }
    }
}

/// Everything the provider can say, with the key in it.
fn telling_faults() -> Vec<Fault> {
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
    let told = format!("{failure:?}");
    assert!(!told.contains(KEY), "{what} tells the key: {told}");
    assert!(!told.contains(PROMPT), "{what} tells the prompt: {told}");
    assert!(!failure.reason.is_empty(), "{what}: {told}");
}

async fn fail_in_every_way(caller: &Caller, provider: &Handle) {
    for fault in telling_faults().into_iter().chain(silent_faults()) {
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
        let heard = caller.hear(asked).await;
        let token = heard.started.as_ref().expect("started").execution_token.clone();
        assert!(!token.contains(KEY));
        assert_eq!(heard.completed().model, MODEL);
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
        let program = Program::serve(&base_url, protocol, secrets).await;
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
