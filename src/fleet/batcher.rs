//! Takes what this worker's leaders have to tell to Redis: all that is due at the
//! same time with one command, so that the commands a second do not grow with the
//! flights.
//!
//! One command is on its way at a time; what becomes due meanwhile goes with the
//! next. So a slow Redis is asked less often, by itself. In a Cluster, where the
//! flights lie on several servers, each goes with a command of its own.
//!
//! Used by the leases; knows nothing of what the steps mean.

use futures_util::future::join_all;
use tokio::{
    sync::{mpsc, oneshot},
    task::yield_now,
};

use super::{
    key::RedisKeys,
    protocol::{Answer, Step},
};
use crate::{
    lifecycle::Lifecycle,
    redis::{Cause, Connection, Unavailable},
};

/// Where leaders hand over what they tell. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct AppendBatcher(mpsc::UnboundedSender<PendingAppend>);

/// What one leader tells.
#[derive(Debug)]
struct PendingAppend {
    keys: RedisKeys,
    step: Step,
    answer: oneshot::Sender<Result<Answer, Unavailable>>,
}

/// Flights that are told of with one command: the server does nothing else
/// meanwhile.
const MAX_APPENDS: usize = 64;
/// What they may weigh together, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// How often those who are due at the same time are given a chance to be there.
const PATIENCE: usize = 8;

impl AppendBatcher {
    /// Begins to carry.
    pub(super) fn new(redis: Connection, lifecycle: &Lifecycle) -> AppendBatcher {
        let (sender, appends) = mpsc::unbounded_channel();
        lifecycle.spawn(run(redis, appends));
        AppendBatcher(sender)
    }

    /// Has a step done soon. Dropped, it may still be done.
    pub(super) async fn take(&self, keys: RedisKeys, step: Step) -> Result<Answer, Unavailable> {
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

/// The letters that are there, and those of the same moment.
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
        // Whoever asked may have gone.
        let _ = append.answer.send(answer);
    }
}

async fn ask(redis: &Connection, round: &[PendingAppend]) -> Result<Vec<Answer>, Unavailable> {
    let keys: Vec<&[u8]> = round.iter().flat_map(|append| append.step.keys(&append.keys)).collect();
    let arguments: Vec<Vec<u8>> =
        round.iter().flat_map(|append| append.step.arguments(&append.keys)).collect();
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let answer = redis.script(round[0].step.script(), &keys, &arguments).await?;
    Answer::read_each(answer, round.len())
}

impl PendingAppend {
    fn bytes(&self) -> usize {
        match &self.step {
            Step::Append { batch: Some(batch), .. } => batch.events.len(),
            _ => 0,
        }
    }
}
