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
    berth::Place,
    step::{Answer, Step},
};
use crate::{
    lifecycle::Lifecycle,
    redis::{Cause, Connection, Unavailable},
};

/// Where leaders hand over what they tell. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Courier(mpsc::UnboundedSender<Letter>);

/// What one leader tells.
#[derive(Debug)]
struct Letter {
    place: Place,
    step: Step,
    answer: oneshot::Sender<Result<Answer, Unavailable>>,
}

/// Flights that are told of with one command: the server does nothing else
/// meanwhile.
const MOST_LETTERS: usize = 64;
/// What they may weigh together, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// How often those who are due at the same time are given a chance to be there.
const PATIENCE: usize = 8;

impl Courier {
    /// Begins to carry.
    pub(super) fn new(redis: Connection, lifecycle: &Lifecycle) -> Courier {
        let (sender, letters) = mpsc::unbounded_channel();
        lifecycle.spawn(carry(redis, letters));
        Courier(sender)
    }

    /// Has a step done soon. Dropped, it may still be done.
    pub(super) async fn take(&self, place: Place, step: Step) -> Result<Answer, Unavailable> {
        let (answer, answered) = oneshot::channel();
        let stopped = || Unavailable(Cause::NotAsked);
        self.0.send(Letter { place, step, answer }).map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

async fn carry(redis: Connection, mut letters: mpsc::UnboundedReceiver<Letter>) {
    while let Some(first) = letters.recv().await {
        let round = gather(first, &mut letters).await;
        if redis.is_one_server() {
            deliver(&redis, round).await;
        } else {
            join_all(round.into_iter().map(|letter| deliver(&redis, vec![letter]))).await;
        }
    }
}

/// The letters that are there, and those of the same moment.
async fn gather(first: Letter, letters: &mut mpsc::UnboundedReceiver<Letter>) -> Vec<Letter> {
    let mut bytes = first.bytes();
    let mut round = vec![first];
    for _ in 0..PATIENCE {
        yield_now().await;
        while round.len() < MOST_LETTERS && bytes < MOST_BYTES {
            let Ok(letter) = letters.try_recv() else { break };
            bytes += letter.bytes();
            round.push(letter);
        }
    }
    round
}

async fn deliver(redis: &Connection, round: Vec<Letter>) {
    let answers = ask(redis, &round).await;
    for (index, letter) in round.into_iter().enumerate() {
        let answer = match &answers {
            Ok(answers) => Ok(answers[index].clone()),
            Err(unavailable) => Err(*unavailable),
        };
        // Whoever asked may have gone.
        let _ = letter.answer.send(answer);
    }
}

async fn ask(redis: &Connection, round: &[Letter]) -> Result<Vec<Answer>, Unavailable> {
    let keys: Vec<&[u8]> =
        round.iter().flat_map(|letter| letter.step.keys(&letter.place)).collect();
    let arguments: Vec<Vec<u8>> =
        round.iter().flat_map(|letter| letter.step.arguments(&letter.place)).collect();
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let answer = redis.script(round[0].step.script(), &keys, &arguments).await?;
    Answer::read_each(answer, round.len())
}

impl Letter {
    fn bytes(&self) -> usize {
        match &self.step {
            Step::Append { batch: Some(batch), .. } => batch.events.len(),
            _ => 0,
        }
    }
}
