//! An upgrade, and an accident: workers that are replaced while callers stream. One that is
//! asked to stop breaks no stream; if one is killed, every caller still ends whole.

#![expect(clippy::print_stdout, reason = "the figures are to be read")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{Caller, Program, Received, ask, spawn};
use fireworks_simulator::{Options, Pace, Simulator};
use sparkler::proto::AttachExecutionRequest;
use tonic::transport::Endpoint;

const STREAMS: usize = 500;
const WORKERS: usize = 3;

/// A client that takes the workers in turn, one connection each.
struct Fleet {
    callers: Mutex<Vec<Caller>>,
    turn: AtomicUsize,
    /// Refused before the first event, and taken elsewhere.
    refused: AtomicUsize,
    /// Ended in a failure after the first event.
    broken: AtomicUsize,
}

impl Fleet {
    fn of(workers: &[Program]) -> Arc<Fleet> {
        Arc::new(Fleet {
            callers: Mutex::new(workers.iter().map(caller).collect()),
            turn: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            broken: AtomicUsize::new(0),
        })
    }

    fn next(&self) -> Caller {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.callers.lock().expect("not poisoned")[turn % WORKERS].clone()
    }

    fn replace(&self, index: usize, worker: &Program) {
        self.callers.lock().expect("not poisoned")[index] = caller(worker);
    }

    /// Executes, again where that is needed, to a whole answer.
    async fn whole(&self, index: usize) {
        let asked = || ask(&format!("Number {index}?")).idempotency_key(&index.to_string());
        for _ in 0..200 {
            let Ok(call) = self.next().execute(asked()).await else {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let received = call.finish().await;
            let token = received.started.as_ref().expect("started").execution_token.clone();
            if is_whole(received) {
                return;
            }
            self.broken.fetch_add(1, Ordering::Relaxed);
            let attachment =
                AttachExecutionRequest { execution_token: token, ..Default::default() };
            if let Ok(call) = self.next().attach(attachment).await
                && is_whole(call.finish().await)
            {
                return;
            }
        }
        panic!("stream {index} never ends whole");
    }

    fn count(&self) -> (usize, usize) {
        (self.refused.load(Ordering::Relaxed), self.broken.load(Ordering::Relaxed))
    }
}

fn caller(worker: &Program) -> Caller {
    let endpoint = Endpoint::from_shared(format!("http://{}", worker.address)).expect("a URL");
    Caller::over(endpoint.connect_lazy())
}

/// Whether it completed, with all that was sent on the way.
fn is_whole(received: Received) -> bool {
    let text = received.text.clone();
    match received.end {
        Ok(completed) => {
            assert_eq!(completed.choices[0].text, text);
            true
        }
        Err(_) => false,
    }
}

/// A provider that takes about a second for an answer.
async fn provider() -> String {
    let pace = Pace { first_token: Duration::from_millis(100), tokens_per_second: 30.0 };
    let options = Options { pace, ..Options::default() };
    let simulator = Simulator::bind(([127, 0, 0, 1], 0).into(), options).await.expect("a port");
    let base_url = simulator.base_url();
    spawn(simulator.run(std::future::pending()));
    base_url.to_string()
}

async fn workers(base_url: &str) -> Vec<Program> {
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(Program::serve(base_url, &[]).await);
    }
    workers
}

/// Streams that begin over five seconds.
fn streams(fleet: &Arc<Fleet>) -> Vec<tokio::task::JoinHandle<()>> {
    let stream = |index: usize| {
        let fleet = fleet.clone();
        spawn(async move {
            tokio::time::sleep(Duration::from_millis(10) * index as u32).await;
            fleet.whole(index).await;
        })
    };
    (0..STREAMS).map(stream).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_worker_is_replaced_in_turn_and_no_stream_breaks() {
    let base_url = provider().await;
    let old = workers(&base_url).await;
    let fleet = Fleet::of(&old);
    let streams = streams(&fleet);
    let mut new = Vec::new();
    for (index, worker) in old.into_iter().enumerate() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        new.push(Program::serve(&base_url, &[]).await);
        let stopping = spawn(worker.stop());
        // The balancer notices it a little later than the worker.
        tokio::time::sleep(Duration::from_millis(200)).await;
        fleet.replace(index, &new[index]);
        stopping.await.expect("it stops well");
    }
    for stream in streams {
        stream.await.expect("whole");
    }
    let (refused, broken) = fleet.count();
    println!("{STREAMS} streams, {WORKERS} workers replaced: {broken} broken, {refused} refused");
    assert_eq!(broken, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_killed_and_every_caller_ends_whole() {
    let base_url = provider().await;
    let mut workers = workers(&base_url).await;
    let fleet = Fleet::of(&workers);
    let streams = streams(&fleet);
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(workers.remove(0));
    let replacement = Program::serve(&base_url, &[]).await;
    fleet.replace(0, &replacement);
    for stream in streams {
        stream.await.expect("whole");
    }
    let (refused, broken) = fleet.count();
    println!(
        "{STREAMS} streams, one of {WORKERS} workers killed: {broken} broken and made whole, {refused} refused"
    );
    assert!(broken > 0, "it was killed while nobody streamed");
}
