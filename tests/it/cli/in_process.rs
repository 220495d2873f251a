//! The program with everything real: the worker in its own process or another,
//! the simulated Fireworks behind it.

use std::time::Duration;

use fireworks_simulator::{Handle, Options, Pace, Simulator, UNKNOWN_KEY};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Child,
    task::JoinHandle,
};

use crate::cli::program::{Program, file, finish, interrupt, path, terminate};

const MODEL: &str = "accounts/fireworks/models/glm-5p3-flash";
const LIMIT: Duration = Duration::from_secs(20);

/// A simulated Fireworks in the test's process.
pub(super) struct Fireworks {
    base_url: String,
    pub(super) handle: Handle,
    running: JoinHandle<()>,
}

impl Fireworks {
    pub(super) async fn start(options: Options) -> Fireworks {
        let address = "127.0.0.1:0".parse().expect("an address");
        let simulator = Simulator::bind(address, options).await.expect("a free port");
        let (base_url, handle) = (simulator.base_url(), simulator.handle());
        #[expect(clippy::disallowed_methods, reason = "aborted with the value")]
        let running = tokio::spawn(async move {
            simulator.run(std::future::pending::<()>()).await.expect("it runs");
        });
        Fireworks { base_url, handle, running }
    }

    /// The program, with this as its Fireworks and a key that is let in.
    pub(super) fn program(&self, arguments: &[&str]) -> Program {
        Program::new(arguments)
            .env("SPARKLER_FIREWORKS_BASE_URL", &self.base_url)
            .env("SPARKLER_MODEL", MODEL)
            .env("FIREWORKS_API_KEY", "fw_test")
    }
}

impl Drop for Fireworks {
    fn drop(&mut self) {
        self.running.abort();
    }
}

#[tokio::test]
async fn execute_starts_a_worker_of_its_own_where_none_is_named() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let run = fireworks.program(&["execute", "Say hello."]).run().await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.len() > 10, "{}", run.stdout);
    assert!(run.stderr.contains("cache off · 1 attempt"), "{}", run.stderr);
    assert_eq!(fireworks.handle.report().calls, 1);
}

#[tokio::test]
async fn both_nodes_execute() {
    let fireworks = Fireworks::start(Options::instant()).await;
    for node in ["fireworks", "chatFireworks"] {
        let run = fireworks.program(&["execute", "--node", node, "-q", "Hello."]).run().await;
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{node}");
    }
}

#[tokio::test]
async fn the_events_begin_with_started_and_end_with_completed() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let run = fireworks.program(&["execute", "--events", "-q", "Hello."]).run().await;
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with(r#"{"started":{"executionToken":""#), "{}", lines[0]);
    // Merged deltas carry the last one's number.
    assert!(lines[1].starts_with(r#"{"sequence":""#), "{}", lines[1]);
    assert!(lines[1].contains(r#","delta":{"#), "{}", lines[1]);
    let last = lines.last().expect("lines");
    assert!(last.contains(r#""completed":{"choices":[{"text":""#), "{last}");
}

#[tokio::test]
async fn ctrl_c_stops_fireworks() {
    let pace = Pace { first_token: Duration::ZERO, tokens_per_second: 20.0 };
    let options = Options { pace, answer_tokens: 2000, ..Options::default() };
    let fireworks = Fireworks::start(options).await;
    let mut child = fireworks.program(&["execute", "A long text."]).start().await;
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    stdout.read_u8().await.expect("the first piece comes");
    interrupt(&child);
    let run = finish(child).await;
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    let left = fireworks.handle.wait_until(|report| report.aborted == 1, LIMIT).await;
    assert_eq!(left.expect("Fireworks notices").in_flight, 0);
}

#[tokio::test]
async fn a_refused_key_and_an_unknown_model_are_named_plainly() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let run =
        fireworks.program(&["execute", "Hello."]).env("FIREWORKS_API_KEY", UNKNOWN_KEY).run().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.starts_with("CREDENTIAL_REJECTED: "), "{}", run.stderr);
    assert!(run.stderr.contains("\n  safe to retry: no\n"), "{}", run.stderr);

    let run = fireworks.program(&["execute", "--model", "no/such/model", "Hello."]).run().await;
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.starts_with("MODEL_NOT_FOUND: "), "{}", run.stderr);
}

#[tokio::test]
async fn every_wrong_field_is_on_its_own_line() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let config = r#"{"temperature": 9, "topKay": 1}"#;
    let run = fireworks.program(&["execute", "--config", config, "Hello."]).run().await;
    assert_eq!(run.code, Some(1));
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines[0].starts_with("INVALID_NODE_CONFIG: "), "{}", run.stderr);
    for field in ["config.temperature", "config.topKay"] {
        let own = lines.iter().filter(|line| line.trim_start().starts_with(field)).count();
        assert_eq!(own, 1, "{}", run.stderr);
        assert!(!lines[0].contains(field), "{}", run.stderr);
    }
    assert_eq!(fireworks.handle.report().calls, 0);
}

#[tokio::test]
async fn json_that_does_not_meet_its_schema_is_shown_on_stderr_only() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let not_json = fireworks_simulator::Fault::NotJson;
    fireworks.handle.script(fireworks_simulator::Rule::always(not_json));
    let schema = file(r#"{"type": "object"}"#);
    let flag = format!("--json-output={}", path(&schema));
    let run = fireworks.program(&["execute", &flag, "A person."]).run().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.starts_with("OUTPUT_NOT_JSON: "), "{}", run.stderr);
    assert!(run.stderr.contains("the answer was:\n"), "{}", run.stderr);
}

#[tokio::test]
async fn check_spends_no_tokens_and_says_yes_or_no() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let run = fireworks.program(&["check"]).run().await;
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("credential  yes"), "{}", run.stdout);

    let refused = fireworks.program(&["check"]).env("FIREWORKS_API_KEY", UNKNOWN_KEY).run().await;
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    assert!(refused.stdout.contains("credential  no"), "{}", refused.stdout);
    assert_eq!(fireworks.handle.report().completion_tokens, 0);
}

#[tokio::test]
async fn both_nodes_are_listed_with_their_fields() {
    let run = Program::new(&["nodes"]).run().await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for word in ["chatFireworks", "fireworks", "modelName", "temperature"] {
        assert!(run.stdout.contains(word), "{word} is missing in\n{}", run.stdout);
    }
}

#[tokio::test]
async fn the_demo_names_its_simulated_model_and_proves_its_claims() {
    let run = Program::new(&["demo"]).run().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    for words in ["are simulated", "cache hit", "cache joined", "CREDENTIAL_REJECTED: "] {
        assert!(run.stdout.contains(words), "{words:?} is missing in\n{}", run.stdout);
    }
    assert!(!run.stdout.contains('\u{1b}'), "no colours without a terminal");
}

/// Waits for a line of the program's that holds `word`, and returns what follows
/// it up to the next quote or space.
async fn reported(child: &mut Child, from_stderr: bool, word: &str) -> String {
    let output: Box<dyn tokio::io::AsyncRead + Unpin> = match from_stderr {
        true => Box::new(child.stderr.take().expect("stderr is piped")),
        false => Box::new(child.stdout.take().expect("stdout is piped")),
    };
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.expect("lines of text") {
        if let Some((_, rest)) = line.split_once(word) {
            return rest.split(['"', ' ']).next().expect("a first part").to_owned();
        }
    }
    panic!("the program ended without {word}");
}

#[tokio::test]
async fn serve_prints_its_addresses_and_stops_in_order() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let mut child = fireworks
        .program(&["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .env("SPARKLER_ADMIN_LISTEN", "127.0.0.1:0")
        .env("SPARKLER_PRE_DRAIN_DELAY", "0s")
        .start()
        .await;
    let address = reported(&mut child, true, r#""message":"listening","listen":""#).await;
    let url = format!("http://{address}");
    let run = fireworks.program(&["execute", "-q", "--worker", &url, "Hello."]).run().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    terminate(&child);
    let status = tokio::time::timeout(LIMIT, child.wait()).await.expect("it stops");
    assert_eq!(status.expect("a status").code(), Some(0));
}

#[tokio::test]
async fn simulate_prints_a_working_base_url_and_stops_on_a_signal() {
    let mut child = Program::new(&["simulate", "--listen", "127.0.0.1:0"]).start().await;
    let base_url = reported(&mut child, false, "SPARKLER_FIREWORKS_BASE_URL=").await;
    let response = reqwest::Client::new()
        .get(format!("{base_url}/models"))
        .bearer_auth("fw_local")
        .send()
        .await
        .expect("it answers");
    assert_eq!(response.status(), 200);
    terminate(&child);
    let status = tokio::time::timeout(LIMIT, child.wait()).await.expect("it stops");
    assert_eq!(status.expect("a status").code(), Some(0));
}

#[tokio::test]
async fn simulate_takes_its_faults_and_its_keys_from_flags() {
    let keys = file("fw_only\n\n");
    let fault = r#"{"faults": [{"refuse": {"status": 402}}], "endpoint": "models", "times": 1}"#;
    let arguments =
        ["simulate", "--listen", "127.0.0.1:0", "--fault", fault, "--keys-file", path(&keys)];
    let mut child = Program::new(&arguments).start().await;
    let base_url = reported(&mut child, false, "SPARKLER_FIREWORKS_BASE_URL=").await;
    let client = reqwest::Client::new();
    for (key, status) in [("fw_only", 402), ("fw_only", 200), ("fw_other", 401)] {
        let call = client.get(format!("{base_url}/models")).bearer_auth(key);
        assert_eq!(call.send().await.expect("it answers").status(), status, "{key}");
    }
}
