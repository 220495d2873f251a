//! The program in processes of its own, which take nothing from the test's.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
};

use super::{program::binary, spawn};

/// A process of the program, ended with the value.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts it, and returns the first piece of a line on stdout or stderr
    /// that `find` finds.
    pub(crate) async fn start(
        arguments: &[&str],
        find: impl Fn(&str) -> Option<String>,
    ) -> (Process, String) {
        let mut command = Command::new(binary());
        command.args(arguments).env_clear().kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let found = tokio::select! {
            found = line(stdout, &find) => found,
            found = line(stderr, &find) => found,
        };
        (Process { child }, found)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }
}

/// Starts a simulated provider with more arguments, and returns its base URL.
pub(crate) async fn simulate(more: &[&str]) -> (Process, String) {
    let arguments = [&["simulate", "--listen=127.0.0.1:0"], more].concat();
    let base_url = |line: &str| Some(line.trim().strip_prefix("base URL")?.trim().to_owned());
    Process::start(&arguments, base_url).await
}

/// Reads until `find` finds something; what follows is read and forgotten.
async fn line(
    output: impl AsyncRead + Unpin + Send + 'static,
    find: &impl Fn(&str) -> Option<String>,
) -> String {
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await.expect("it says text") {
        if let Some(found) = find(&line) {
            spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return found;
        }
    }
    // This one says nothing; the other may.
    std::future::pending().await
}
