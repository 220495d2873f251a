//! gRPC's own client, with nothing but `examples/service_config.json`, in front of
//! several workers.

use std::{net::SocketAddr, process::Stdio};

use fireworks_simulator::Options;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout},
    time::{Duration, timeout},
};

use crate::{
    clients::client::{installed, root},
    support::{PATIENCE, World},
};

/// Answers in a row from one worker of two that are not by chance.
const IN_A_ROW: usize = 20;

/// A client that calls without end.
struct Calls {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Calls {
    fn of(workers: &[SocketAddr]) -> Calls {
        let mut child = installed("clients/python", ".venv/bin/python")
            .arg(root().join("tests/it/clients/several.py"))
            .args(workers.iter().map(SocketAddr::to_string))
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Calls { child, lines }
    }

    /// Who answered the next call, or its failure.
    async fn next(&mut self) -> String {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("it calls on");
        line.expect("text").expect("it calls on")
    }

    /// Calls until this one has answered so many in a row; every call before
    /// was answered, too.
    async fn until_only(&mut self, worker: &str, names: &[&str]) {
        let called = async {
            let mut in_a_row = 0;
            while in_a_row < IN_A_ROW {
                let line = self.next().await;
                assert!(names.contains(&line.as_str()), "a call failed: {line}");
                in_a_row = if line == worker { in_a_row + 1 } else { 0 };
            }
        };
        timeout(PATIENCE, called).await.expect("in the end only one is called");
    }

    async fn end(mut self) {
        drop(self.child.stdin.take());
        let ended = timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        assert!(ended.expect("it was waited for").success());
    }
}

async fn named(name: &str, pre_drain_delay: Duration) -> World {
    World::with(Options::instant(), |config| {
        config.execution.worker_id = name.to_owned();
        config.drain.pre_drain_delay = pre_drain_delay;
    })
    .await
}

#[tokio::test]
async fn a_draining_worker_gets_no_more_calls_and_none_is_lost() {
    // Longer than the test: the worker would take calls all the while.
    let mut leaving = named("leaving", PATIENCE * 10).await;
    let staying = named("staying", Duration::ZERO).await;
    let names = ["leaving", "staying"];
    let mut calls = Calls::of(&[leaving.worker, staying.worker]);
    let mut received = [calls.next().await, calls.next().await, calls.next().await];
    received.sort();
    assert!(
        received.starts_with(&["leaving".to_owned()]) && received[2] == "staying",
        "{received:?}"
    );
    leaving.stop();
    calls.until_only("staying", &names).await;
    calls.end().await;
}

#[tokio::test]
async fn a_worker_that_stops_in_the_midst_of_calls_costs_none() {
    let mut stopping = named("stopping", Duration::from_millis(500)).await;
    let staying = named("staying", Duration::ZERO).await;
    let names = ["stopping", "staying"];
    let mut calls = Calls::of(&[stopping.worker, staying.worker]);
    calls.next().await;
    stopping.stop();
    stopping.stopped().await;
    calls.until_only("staying", &names).await;
    calls.end().await;
}
