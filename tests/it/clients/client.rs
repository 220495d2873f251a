//! Runs the clients, and what was installed with them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

/// Far more than any scenario takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A client, by its language.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    Python,
    Node,
}

/// What a finished run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) client: Client,
    pub(crate) succeeded: bool,
    pub(crate) stdout: String,
    stderr: String,
}

impl Client {
    pub(crate) const ALL: [Client; 2] = [Client::Python, Client::Node];

    /// Runs scenarios with these arguments, on this worker.
    pub(crate) async fn run(self, worker: &str, arguments: &[&str]) -> Run {
        self.check_generated();
        let mut command = match self {
            Client::Python => installed("clients/python", ".venv/bin/python"),
            Client::Node => Command::new("node"),
        };
        let program = match self {
            Client::Python => "scenarios.py",
            Client::Node => "scenarios.mjs",
        };
        command
            .current_dir(root().join("tests/it/clients"))
            .arg(program)
            .args(["--worker", worker])
            .args(arguments)
            .env("FIREWORKS_API_KEY", "fw_clients");
        let output = finish(command).await;
        Run {
            client: self,
            succeeded: output.status.success(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The generated code is that of the schema as it is now.
    fn check_generated(self) {
        let stamp = match self {
            Client::Python => "clients/python/.venv/worker.proto",
            Client::Node => "clients/typescript/client/src/gen/worker.proto",
        };
        let schema = fs::read(root().join("proto/sparkler/worker/v1/worker.proto"));
        let stamp_is_it = fs::read(root().join(stamp))
            .is_ok_and(|made_of| made_of == schema.expect("the schema is there"));
        assert!(
            stamp_is_it,
            "{stamp} is missing or old: run ./test, which makes it (or tests/setup)"
        );
    }
}

impl Run {
    /// The output of a run that went well.
    pub(crate) fn output(&self) -> &str {
        assert!(self.succeeded && self.stderr.is_empty(), "{self:#?}");
        &self.stdout
    }

    /// Whether all of these are in the output, in this order.
    pub(crate) fn says(&self, expected: &[&str]) {
        let mut rest = self.stdout.as_str();
        for text in expected {
            let found = rest.find(text);
            assert!(found.is_some(), "{:?} does not say {text:?} there: {self:#?}", self.client);
            rest = &rest[found.unwrap_or_default() + text.len()..];
        }
    }
}

/// A program that `tests/setup` has installed in a folder.
pub(crate) fn installed(folder: &str, program: &str) -> Command {
    let path = root().join(folder).join(program);
    assert!(
        path.exists(),
        "{folder}/{program} is missing: run ./test, which installs it (or tests/setup)"
    );
    Command::new(path)
}

/// Runs a program to its end. Proxies of the machine are not for the loopback.
pub(crate) async fn finish(mut command: Command) -> Output {
    command
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("no_proxy", "127.0.0.1,localhost")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    output.expect("the program ends in time").expect("the program starts")
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
