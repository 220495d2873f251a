//! The program as a worker, its log collected.

use std::{env, ffi::OsString, net::SocketAddr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    task::JoinHandle,
    time::timeout,
};

use super::spawn;

/// What runs may take up to the drain limit to end, on a busy machine.
const STOPPING: Duration = Duration::from_secs(90);

/// The program to measure: the one that `SPARKLER_BINARY` names, such as an optimized one,
/// else that of this build.
pub(crate) fn binary() -> OsString {
    env::var_os("SPARKLER_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_sparkler").into())
}

/// A `sparkler serve` of its own process.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: JoinHandle<Vec<String>>,
}

impl Program {
    /// Starts it on a free port, with more arguments, and waits until it
    /// listens.
    pub(crate) async fn serve(base_url: &str, more: &[&str]) -> Program {
        Program::serve_in(base_url, more, &[]).await
    }

    /// The same in an environment with these variables, and no others.
    pub(crate) async fn serve_in(
        base_url: &str,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> Program {
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log-format", "json", "--pre-drain-delay", "0s"])
            .args(["--fireworks-base-url", base_url])
            .args(more)
            .env_clear()
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mut begun = Vec::new();
        let (address, admin) = listening(&mut lines, &mut begun).await;
        // Read on all the while: a full pipe would hold the program.
        let log = spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                begun.push(line);
            }
            begun
        });
        Program { child, address, admin, log }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Kills it, and waits until it is gone.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("it ran");
    }

    /// Stops it; what it has logged.
    pub(crate) async fn stop(self) -> Vec<String> {
        self.stop_by(rustix::process::Signal::TERM).await
    }

    /// The same by this signal.
    pub(crate) async fn stop_by(mut self, signal: rustix::process::Signal) -> Vec<String> {
        let id = i32::try_from(self.child.id().expect("it runs")).expect("a process id");
        let process = rustix::process::Pid::from_raw(id).expect("a process id");
        rustix::process::kill_process(process, signal).expect("sent");
        let ended = timeout(STOPPING, self.child.wait()).await;
        assert!(ended.expect("it stops").expect("it was waited for").success());
        self.log.await.expect("the log was read")
    }
}

async fn listening(
    lines: &mut Lines<BufReader<ChildStderr>>,
    begun: &mut Vec<String>,
) -> (SocketAddr, SocketAddr) {
    loop {
        let line = lines.next_line().await.expect("readable").expect("it listens before it ends");
        let value: serde_json::Value = serde_json::from_str(&line).expect("a log line is JSON");
        begun.push(line);
        if value["message"] == "listening" {
            return (address(&value["listen"]), address(&value["admin_listen"]));
        }
    }
}

fn address(value: &serde_json::Value) -> SocketAddr {
    value.as_str().and_then(|text| text.parse().ok()).expect("an address")
}
