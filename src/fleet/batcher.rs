//! Sends the appends of this worker's leaders to Redis: all that are due at the same time
//! in one command, so that the number of commands does not grow with the number of
//! flights.
//!
//! One command is in progress at a time; appends that become due meanwhile join the next,
//! so a slow Redis receives fewer commands. In a Cluster, where flights are spread over
//! several servers, each append has its own command.
//!
//! The batcher does not interpret the steps.

use futures_util::future::join_all;
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
};

use super::{
    key::RedisKeys,
    protocol::{Step, StepResult},
};
use crate::{
    lifecycle::Lifecycle,
    redis::{Cause, Connection, Unavailable},
};

/// A handle to the batching task. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct AppendBatcher(mpsc::UnboundedSender<PendingAppend>);

/// One leader's append and its reply channel.
#[derive(Debug)]
struct PendingAppend {
    keys: RedisKeys,
    step: Step,
    answer: oneshot::Sender<Result<StepResult, Unavailable>>,
}

/// Maximum number of appends in one command: the server does nothing else meanwhile.
const MAX_APPENDS: usize = 64;
/// A command takes no more appends once its events reach this size, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// Number of yields that let other leaders due at the same tick join a batch.
const PATIENCE: usize = 8;

impl AppendBatcher {
    /// Spawns the batching task.
    pub(super) fn new(redis: Connection, lifecycle: &Lifecycle) -> AppendBatcher {
        let (sender, appends) = mpsc::unbounded_channel();
        lifecycle.spawn(run(redis, appends));
        AppendBatcher(sender)
    }

    /// Queues a step and waits for its answer. If dropped, the step may still run.
    pub(super) async fn take(
        &self,
        keys: RedisKeys,
        step: Step,
    ) -> Result<StepResult, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let stopped = || Unavailable(Cause::NotAsked);
        self.0.send(PendingAppend { keys, step, answer }).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

async fn run(redis: Connection, mut appends: mpsc::UnboundedReceiver<PendingAppend>) {
    while let Some(first) = appends.recv().await {
        let round = collect(first, &mut appends).await;
        if redis.is_one_server() {
            deliver(&redis, round).await;
        } else {
            join_all(round.into_iter().map(|append| deliver(&redis, vec![append]))).await;
        }
    }
}

/// Collects the queued appends and those that arrive during a few yields.
async fn collect(
    first: PendingAppend,
    appends: &mut mpsc::UnboundedReceiver<PendingAppend>,
) -> Vec<PendingAppend> {
    let mut bytes = first.bytes();
    let mut round = vec![first];
    for _ in 0..PATIENCE {
        yield_now().await;
        while round.len() < MAX_APPENDS && bytes < MOST_BYTES {
            let Ok(append) = appends.try_recv() else { break };
            bytes += append.bytes();
            round.push(append);
        }
    }
    round
}

async fn deliver(redis: &Connection, round: Vec<PendingAppend>) {
    let answers = ask(redis, &round).await;
    for (index, append) in round.into_iter().enumerate() {
        let answer = match &answers {
            Ok(answers) => Ok(answers[index].clone()),
            Err(unavailable) => Err(*unavailable),
        };
        // The requester may be gone.
        let _ = append.answer.send(answer);
    }
}

async fn ask(redis: &Connection, round: &[PendingAppend]) -> Result<Vec<StepResult>, Unavailable> {
    let keys: Vec<&[u8]> = round.iter().flat_map(|append| append.step.keys(&append.keys)).collect();
    let arguments: Vec<Vec<u8>> =
        round.iter().flat_map(|append| append.step.arguments(&append.keys)).collect();
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let answer = redis.script(round[0].step.script(), &keys, &arguments).await?;
    StepResult::read_each(answer, round.len())
}

impl PendingAppend {
    fn bytes(&self) -> usize {
        match &self.step {
            Step::Append { batch: Some(batch), .. } => batch.events.len(),
            _ => 0,
        }
    }
}
