//! The steps of the fleet protocol, each one script and so atomic, and their answers.
//!
//! The protocol is written twice: in `scripts/*.lua`, which Redis runs, and as a pure
//! state machine in `tests/it/fleet_protocol`, which tries all orders of steps and compares
//! the two.

use std::{fmt, time::Duration};

pub use super::fencing::{FencingToken, RunId};
use super::key::{FlightKey, RedisKeys};
use crate::{
    recording::{FlightId, Key},
    redis::{Cause, Script, Unavailable, Value},
};

/// A script, preceded by the functions that it shares with others.
macro_rules! script {
    ($name:literal $(, $shared:literal)*) => {
        Script::new(
            $name,
            concat!(
                $(include_str!(concat!("scripts/", $shared, ".lua")),)*
                include_str!(concat!("scripts/", $name, ".lua"))
            ),
        )
    };
}

static ACQUIRE: Script = script!("acquire", "standing");
static APPEND: Script = script!("append", "rank", "add");
static RESTORE: Script = script!("restore", "rank");
static COMPLETE: Script = script!("complete", "rank", "add");
static READ: Script = script!("read", "standing");
static LEAVE: Script = script!("leave");
static CLAIM: Script = script!("claim");
static SETTLE: Script = script!("settle");

/// The outcomes that a worker accepts when it acquires a flight key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcquireOptions {
    /// Accept a recording.
    pub may_read: bool,
    /// Accept a completed flight, recorded or not.
    pub joins_completed: bool,
    /// Accept to lead.
    pub may_lead: bool,
    /// The flight's id, if a new one starts.
    pub fresh: FlightId,
    /// The run's id, if the worker leads.
    pub run: RunId,
    /// The leadership that the worker has followed.
    pub known: Option<FencingToken>,
    /// The number of epochs to advance by on a takeover: random, so that no two leaders
    /// get the same epoch from a server that lost its memory.
    pub skip: u64,
}

impl AcquireOptions {
    /// Returns true if a flight of this worker's own may begin, and no other is looked for.
    pub(super) fn begins(&self) -> bool {
        self.may_lead && self.known.is_none() && !self.joins_completed
    }
}

/// A position among a flight's batches of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The number of the batch's last event.
    pub last: u64,
    /// The part of the batch, from 0: an event may be too large for one part.
    pub part: u32,
}

impl LogPosition {
    /// Returns the position after all parts of event `number`.
    pub fn after(number: u64) -> LogPosition {
        LogPosition { last: number, part: u32::MAX }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.last, self.part)
    }
}

/// A batch of events to append to a flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The position of the batch.
    pub position: LogPosition,
    /// True if the batch restarts the flight and voids all earlier events.
    pub voids: bool,
    /// The sealed events.
    pub events: Vec<u8>,
}

/// The status of a flight in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteState {
    /// A leader holds the lease.
    Running,
    /// The lease expired or Redis lost the flight; the leader has been notified.
    Suspected,
    /// A suspected leader did not answer within the grace period.
    Lost,
    /// The leader gave the flight up; a follower may take over.
    Released,
    /// The flight has an answer.
    Completed,
    /// The flight failed, and its followers receive the error.
    Failed,
}

/// One atomic step of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A worker acquires a flight key.
    Acquire {
        /// The worker's instance name.
        worker: String,
        /// The outcomes that it accepts.
        options: AcquireOptions,
        /// Time for which it leads without renewal.
        lease: Duration,
        /// Time for which Redis keeps the flight if its leader vanishes.
        keep: Duration,
        /// Time for a suspected leader to answer.
        grace: Duration,
        /// The flight's subject, sealed.
        about: Vec<u8>,
    },
    /// The leader appends events, or only renews its lease.
    Append {
        /// The leadership that the worker believes it holds.
        fencing_token: FencingToken,
        /// As in `Acquire`.
        lease: Duration,
        /// As in `Acquire`.
        keep: Duration,
        /// The last event known to be in Redis.
        after: u64,
        /// The events, if any.
        batch: Option<Batch>,
    },
    /// The leader restores a flight that Redis has lost.
    Restore {
        /// The leadership that the worker believes it holds.
        fencing_token: FencingToken,
        /// The worker's instance name.
        worker: String,
        /// As in `Acquire`.
        lease: Duration,
        /// As in `Acquire`.
        keep: Duration,
        /// The flight's subject, sealed.
        about: Vec<u8>,
    },
    /// The leader ends the flight, or releases it.
    Complete {
        /// The leadership that the worker believes it holds.
        fencing_token: FencingToken,
        /// Time for which Redis keeps the ended flight.
        retention: Duration,
        /// The last event known to be in Redis.
        after: u64,
        /// The last events, if any are missing.
        batch: Option<Batch>,
        /// The final state: released, completed or failed.
        state: RemoteState,
        /// The answer's end or the failure, sealed.
        outcome: Vec<u8>,
        /// The sealed recording for the cache, and its time to live.
        recording: Option<(Vec<u8>, Duration)>,
    },
    /// A worker reads events.
    Read {
        /// The worker's instance name.
        worker: String,
        /// The flight's id.
        flight: FlightId,
        /// True to be counted as a follower; false only to read.
        follows: bool,
        /// The last position that the worker has.
        after: LogPosition,
        /// Maximum number of batches.
        most: usize,
        /// Approximate maximum size of the batches, in bytes; one is always returned.
        most_bytes: usize,
        /// As in `Acquire`.
        grace: Duration,
    },
    /// A worker stops following.
    Leave {
        /// The worker's instance name.
        worker: String,
        /// The flight's id.
        flight: FlightId,
    },
    /// A flight claims an idempotency key, from which the step's Redis keys are derived.
    Claim {
        /// The digest of the request.
        request: Key,
        /// The key under which the request's flight is found.
        flight_key: FlightKey,
        /// The flight that claims the key, and the only one that settles it.
        owner: FlightId,
        /// True to take the key over from another owner.
        takes_over: bool,
        /// Time for which the claim lasts unless settled.
        keep: Duration,
    },
    /// The owner settles an idempotency key once its flight has ended.
    Settle {
        /// The flight that claimed the key.
        owner: FlightId,
        /// Time for which the key stays valid; `None` frees it, because the flight
        /// failed.
        retention: Option<Duration>,
    },
}

/// The answer to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepResult {
    /// There is a sealed recording.
    Recorded(Vec<u8>),
    /// The worker leads the flight, in this epoch.
    Lead(FlightId, u64),
    /// Another worker leads, under this fencing token.
    Follow(FencingToken),
    /// There is no flight, and the worker may not lead.
    Nothing,
    /// The step took effect; this many workers follow.
    Kept(u64),
    /// No effect: another worker leads.
    Deposed,
    /// No effect: Redis lost the flight, and the leader must restore it.
    Forgotten,
    /// No effect: the events after this one are missing and must be sent again.
    Behind(u64),
    /// The flight has been restored.
    Restored,
    /// The events and the flight's status.
    ReadBatch(ReadBatch),
    /// There is no such flight.
    Gone,
    /// The idempotency key was free and is now claimed.
    Claimed,
    /// The key stands for the same request, whose flight has this key.
    Known(FlightKey),
    /// The key stands for another request.
    Mismatch,
    /// The key is settled.
    Settled,
}

/// The answer to a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBatch {
    /// The flight's status.
    pub state: RemoteState,
    /// The current or last leadership.
    pub fencing_token: FencingToken,
    /// The number of the flight's last event.
    pub last: u64,
    /// The flight's outcome, sealed; empty until it ends.
    pub outcome: Vec<u8>,
    /// The flight's subject, sealed.
    pub about: Vec<u8>,
    /// True if there are more batches.
    pub more: bool,
    /// The position of the last batch; the requested position if there is none.
    pub position: LogPosition,
    /// Batches of sealed events, in order.
    pub batches: Vec<Vec<u8>>,
}

impl RemoteState {
    const ALL: [RemoteState; 6] = [
        RemoteState::Running,
        RemoteState::Suspected,
        RemoteState::Lost,
        RemoteState::Released,
        RemoteState::Completed,
        RemoteState::Failed,
    ];

    fn as_str(self) -> &'static str {
        match self {
            RemoteState::Running => "running",
            RemoteState::Suspected => "suspected",
            RemoteState::Lost => "lost",
            RemoteState::Released => "released",
            RemoteState::Completed => "completed",
            RemoteState::Failed => "failed",
        }
    }
}

impl Step {
    /// Returns the script that performs the step.
    pub fn script(&self) -> &'static Script {
        match self {
            Step::Acquire { .. } => &ACQUIRE,
            Step::Append { .. } => &APPEND,
            Step::Restore { .. } => &RESTORE,
            Step::Complete { .. } => &COMPLETE,
            Step::Read { .. } => &READ,
            Step::Leave { .. } => &LEAVE,
            Step::Claim { .. } => &CLAIM,
            Step::Settle { .. } => &SETTLE,
        }
    }

    /// Returns the Redis keys that the script uses.
    pub fn keys<'a>(&self, keys: &'a RedisKeys) -> Vec<&'a [u8]> {
        match self {
            Step::Acquire { .. } | Step::Complete { .. } => {
                vec![&keys.flight, &keys.events, &keys.followers, &keys.recording]
            }
            Step::Append { .. } | Step::Read { .. } => {
                vec![&keys.flight, &keys.events, &keys.followers]
            }
            Step::Restore { .. } => vec![&keys.flight, &keys.events],
            Step::Leave { .. } => vec![&keys.flight, &keys.followers],
            Step::Claim { .. } | Step::Settle { .. } => vec![&keys.claim],
        }
    }

    /// Returns the script's arguments, in order.
    pub fn arguments(&self, keys: &RedisKeys) -> Vec<Vec<u8>> {
        let mut given = Arguments::default();
        match self {
            Step::Acquire { worker, options, lease, keep, grace, about } => {
                given.text(worker).address(keys).time(*lease).time(*keep).time(*grace);
                given.flag(options.may_read).flag(options.joins_completed).flag(options.may_lead);
                given.flight(options.fresh).text(&options.run.to_string()).bytes(about);
                match &options.known {
                    Some(known) => given.fencing_token(known),
                    None => given.bytes(b"").number(0).bytes(b""),
                };
                given.number(options.skip);
            }
            Step::Append { fencing_token, lease, keep, after, batch } => {
                given.fencing_token(fencing_token).address(keys).time(*lease).time(*keep);
                given.number(*after).batch(batch.as_ref());
            }
            Step::Restore { fencing_token, worker, lease, keep, about } => {
                given.fencing_token(fencing_token).text(worker);
                given.time(*lease).time(*keep).bytes(about);
            }
            Step::Complete {
                fencing_token,
                retention,
                after,
                batch,
                state,
                outcome,
                recording,
            } => {
                given.fencing_token(fencing_token).address(keys).time(*retention);
                given.number(*after).batch(batch.as_ref());
                given.text(state.as_str()).bytes(outcome);
                match recording {
                    Some((recording, time_to_live)) => given.bytes(recording).time(*time_to_live),
                    None => given.bytes(b"").number(0),
                };
            }
            Step::Read { worker, flight, follows, after, most, most_bytes, grace } => {
                given.flight(*flight).text(worker).flag(*follows).text(&after.to_string());
                given.number(*most as u64).number(*most_bytes as u64).time(*grace).address(keys);
            }
            Step::Leave { worker, flight } => {
                given.flight(*flight).text(worker).address(keys);
            }
            Step::Claim { request, flight_key, owner, takes_over, keep } => {
                given.bytes(request).bytes(&flight_key.0).flight(*owner);
                given.flag(*takes_over).time(*keep);
            }
            Step::Settle { owner, retention } => {
                given.flight(*owner);
                match retention {
                    Some(retention) => given.time(*retention),
                    None => given.number(0),
                };
            }
        }
        given.0
    }
}

/// A script's arguments, in order.
#[derive(Default)]
struct Arguments(Vec<Vec<u8>>);

impl Arguments {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Arguments {
        self.0.push(bytes.to_vec());
        self
    }

    fn text(&mut self, text: &str) -> &mut Arguments {
        self.bytes(text.as_bytes())
    }

    fn number(&mut self, number: u64) -> &mut Arguments {
        self.text(&number.to_string())
    }

    fn flag(&mut self, flag: bool) -> &mut Arguments {
        self.number(u64::from(flag))
    }

    fn time(&mut self, time: Duration) -> &mut Arguments {
        self.number(u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1))
    }

    fn flight(&mut self, flight: FlightId) -> &mut Arguments {
        self.text(&flight.to_string())
    }

    fn fencing_token(&mut self, fencing_token: &FencingToken) -> &mut Arguments {
        self.flight(fencing_token.flight)
            .number(fencing_token.epoch)
            .text(&fencing_token.run.to_string())
    }

    /// Appends the prefix of the notification channels and the notification itself.
    fn address(&mut self, keys: &RedisKeys) -> &mut Arguments {
        self.text(RedisKeys::NOTIFICATIONS).bytes(&keys.flight_key.0)
    }

    fn batch(&mut self, batch: Option<&Batch>) -> &mut Arguments {
        match batch {
            Some(Batch { position: LogPosition { last, part }, voids, events }) => {
                self.number(*last).number((*part).into()).flag(*voids).bytes(events)
            }
            None => self.number(0).number(0).flag(false).bytes(b""),
        }
    }
}

impl StepResult {
    /// Parses a script's answer; [`Unavailable`] if its form is unknown.
    pub fn read(value: Value) -> Result<StepResult, Unavailable> {
        let Value::Array(items) = value else {
            return Err(Cause::Unforeseen.into());
        };
        StepResult::of(&mut items.into_iter()).ok_or(Cause::Unforeseen.into())
    }

    /// Parses a script's answers to `steps` steps that it performed together;
    /// [`Unavailable`] if their form or number is wrong.
    pub fn read_each(value: Value, steps: usize) -> Result<Vec<StepResult>, Unavailable> {
        match value {
            Value::Array(each) if steps > 1 && each.len() == steps => {
                each.into_iter().map(StepResult::read).collect()
            }
            one if steps == 1 => Ok(vec![StepResult::read(one)?]),
            _ => Err(Cause::Unforeseen.into()),
        }
    }

    fn of(items: &mut impl Iterator<Item = Value>) -> Option<StepResult> {
        Some(match &*bytes(items)? {
            b"recorded" => StepResult::Recorded(bytes(items)?),
            b"lead" => StepResult::Lead(flight(items)?, number(items)?),
            b"follow" => StepResult::Follow(fencing_token(flight(items)?, items)?),
            b"nothing" => StepResult::Nothing,
            b"kept" => StepResult::Kept(number(items)?),
            b"deposed" => StepResult::Deposed,
            b"forgotten" => StepResult::Forgotten,
            b"behind" => StepResult::Behind(number(items)?),
            b"restored" => StepResult::Restored,
            b"read" => StepResult::ReadBatch(ReadBatch {
                state: state(items)?,
                fencing_token: fencing_token(flight(items)?, items)?,
                last: number(items)?,
                outcome: bytes(items)?,
                about: bytes(items)?,
                more: number(items)? == 1,
                position: position(items)?,
                batches: items.map(as_bytes).collect::<Option<_>>()?,
            }),
            b"gone" => StepResult::Gone,
            b"claimed" => StepResult::Claimed,
            b"known" => StepResult::Known(FlightKey(bytes(items)?.try_into().ok()?)),
            b"mismatch" => StepResult::Mismatch,
            b"settled" => StepResult::Settled,
            _ => return None,
        })
    }
}

fn as_bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        _ => None,
    }
}

fn bytes(items: &mut impl Iterator<Item = Value>) -> Option<Vec<u8>> {
    as_bytes(items.next()?)
}

fn text(items: &mut impl Iterator<Item = Value>) -> Option<String> {
    String::from_utf8(bytes(items)?).ok()
}

fn number(items: &mut impl Iterator<Item = Value>) -> Option<u64> {
    text(items)?.parse().ok()
}

fn position(items: &mut impl Iterator<Item = Value>) -> Option<LogPosition> {
    let text = text(items)?;
    let (last, part) = text.split_once('-')?;
    Some(LogPosition { last: last.parse().ok()?, part: part.parse().ok()? })
}

fn state(items: &mut impl Iterator<Item = Value>) -> Option<RemoteState> {
    let word = text(items)?;
    RemoteState::ALL.into_iter().find(|state| state.as_str() == word)
}

fn flight(items: &mut impl Iterator<Item = Value>) -> Option<FlightId> {
    let number = u128::from_str_radix(&text(items)?, 16).ok()?;
    Some(FlightId::from_bytes(number.to_be_bytes()))
}

fn fencing_token(
    flight: FlightId,
    items: &mut impl Iterator<Item = Value>,
) -> Option<FencingToken> {
    let epoch = number(items)?;
    let run = u64::from_str_radix(&text(items)?, 16).ok()?;
    Some(FencingToken { flight, epoch, run: RunId::from_number(run) })
}
