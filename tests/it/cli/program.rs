//! Runs the program.

use std::{io::Write, process::Stdio};

use tempfile::NamedTempFile;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

use crate::support::scripted_worker::ScriptedWorker;

/// What a finished run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// One run to be.
pub(crate) struct Program {
    command: Command,
    stdin: String,
}

impl Program {
    /// `sparkler` with these arguments, and nothing of the test's environment.
    pub(crate) fn new(arguments: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sparkler"));
        command
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Program { command, stdin: String::new() }
    }

    /// The same, as a caller of `worker`, with a key.
    pub(crate) fn calling(worker: &ScriptedWorker, arguments: &[&str]) -> Program {
        Program::new(arguments)
            .env("SPARKLER_WORKER", &worker.url())
            .env("FIREWORKS_API_KEY", "fw_environment")
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Program {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without_env(mut self, name: &str) -> Program {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Program {
        text.clone_into(&mut self.stdin);
        self
    }

    /// Starts it, stdin closed after its text.
    pub(crate) async fn start(mut self) -> Child {
        let mut child = self.command.spawn().expect("the program starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A program that does not read its input may have closed it.
        let _ = stdin.write_all(self.stdin.as_bytes()).await;
        child
    }

    /// Runs it to its end.
    pub(crate) async fn run(self) -> Run {
        finish(self.start().await).await
    }
}

/// Waits for the end of a run.
pub(crate) async fn finish(child: Child) -> Run {
    let output = child.wait_with_output().await.expect("the program ends");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("stdout is text"),
        stderr: String::from_utf8(output.stderr).expect("stderr is text"),
    }
}

/// A file with this content, gone with the value.
pub(crate) fn file(content: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(content.as_bytes()).expect("it is written");
    file
}

/// The path of such a file.
pub(crate) fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("a path that is text")
}

/// As Ctrl-C does.
pub(crate) fn interrupt(child: &Child) {
    signal(child, "-INT");
}

/// As an orchestrator of containers does.
pub(crate) fn terminate(child: &Child) {
    signal(child, "-TERM");
}

fn signal(child: &Child, signal: &str) {
    let id = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill").args([signal, &id]).status();
    assert!(sent.expect("kill runs").success());
}
