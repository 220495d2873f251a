//! The steps of the protocol: what a worker asks of the shared memory, each one
//! script and so one indivisible step, and what it is answered.
//!
//! What the steps mean is written twice: in `scripts/*.lua`, which Redis runs,
//! and as a pure state machine in `tests/fleet_protocol`, where all orders of
//! steps are tried and both are compared. Used by the ends of a flight in this
//! room, and by those tests.

use std::{fmt, time::Duration};

use super::key::{FlightKey, RedisKeys};
use crate::{
    recording::{FlightId, Key},
    redis::{Cause, Script, Unavailable, Value},
};

/// A script, behind the functions that it shares with others.
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

/// One leadership of a flight. Every step of a leader carries it, and has no
/// effect once another leads; followers know by it whose events they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FencingToken {
    /// The flight.
    pub flight: FlightId,
    /// How often the flight has changed hands, from 1.
    pub epoch: u64,
    /// The run of the node that this leader leads.
    pub run: RunId,
}

impl FencingToken {
    /// Whether events of `next` may follow those of this run: they are of the same
    /// run, or of a later epoch, which begins by voiding them. Epochs alone do not
    /// tell: a server that lost its memory may grant one twice.
    pub fn continues_in(&self, next: &FencingToken) -> bool {
        self.flight == next.flight && (self.run == next.run || self.epoch < next.epoch)
    }
}

/// Names one run of a node: 64 random bits, drawn anew for each leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    /// A new one.
    pub fn random() -> RunId {
        RunId(fastrand::u64(..))
    }

    /// The id behind its number.
    pub fn from_number(number: u64) -> RunId {
        RunId(number)
    }

    /// Its bytes.
    pub fn as_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

/// What a worker that comes to a berth may do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcquireOptions {
    /// Be answered from a recording.
    pub may_read: bool,
    /// Be answered from a flight that has landed, recorded or not.
    pub joins_completed: bool,
    /// Lead.
    pub may_lead: bool,
    /// The name of the flight, should a new one begin.
    pub fresh: FlightId,
    /// The run, should it lead.
    pub run: RunId,
    /// The leadership that it has followed.
    pub known: Option<FencingToken>,
    /// How many epochs it goes on by, should it take over: random, so that where
    /// memory was lost no two leaders are granted the same.
    pub skip: u64,
}

/// A place among a flight's batches of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The number of a batch's last event.
    pub last: u64,
    /// Which part of the batch, from 0: one event may be too large for one.
    pub part: u32,
}

impl LogPosition {
    /// After all of the event of this number.
    pub fn after(number: u64) -> LogPosition {
        LogPosition { last: number, part: u32::MAX }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.last, self.part)
    }
}

/// Events to be added to a flight's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Where they belong.
    pub position: LogPosition,
    /// Whether they begin anew: what came before is void.
    pub voids: bool,
    /// The events, sealed.
    pub events: Vec<u8>,
}

/// How a flight stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its leader is there.
    Running,
    /// Its leader is silent, or the shared memory was lost: it has been rung.
    Suspected,
    /// Its leader has not answered to that.
    Lost,
    /// Its leader has given it up: whoever follows may take over.
    Released,
    /// It has an answer.
    Completed,
    /// It has none, and everybody is to know why.
    Failed,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A worker comes to a berth.
    Acquire {
        /// The worker.
        worker: String,
        /// What it may do.
        options: AcquireOptions,
        /// How long it leads without a sign of life.
        lease: Duration,
        /// How long the flight is remembered should its leader vanish.
        keep: Duration,
        /// How long a suspected leader has to answer.
        grace: Duration,
        /// What is executed, sealed.
        about: Vec<u8>,
    },
    /// The leader tells more, or that it is still there.
    Append {
        /// Who it takes itself for.
        fencing_token: FencingToken,
        /// As in `Board`.
        lease: Duration,
        /// As in `Board`.
        keep: Duration,
        /// The last event that is known to be there.
        after: u64,
        /// The events, if any.
        batch: Option<Batch>,
    },
    /// The leader has a flight kept again that the shared memory has lost.
    Restore {
        /// Who it takes itself for.
        fencing_token: FencingToken,
        /// The worker.
        worker: String,
        /// As in `Board`.
        lease: Duration,
        /// As in `Board`.
        keep: Duration,
        /// What is executed, sealed.
        about: Vec<u8>,
    },
    /// The leader ends the flight, or gives it up.
    Complete {
        /// Who it takes itself for.
        fencing_token: FencingToken,
        /// How long the flight is remembered.
        retention: Duration,
        /// The last event that is known to be there.
        after: u64,
        /// The last events, if any are left.
        batch: Option<Batch>,
        /// How it ends: released, landed or failed.
        state: State,
        /// The answer's end or the failure, sealed.
        outcome: Vec<u8>,
        /// What the cache is to keep, sealed, and for how long.
        recording: Option<(Vec<u8>, Duration)>,
    },
    /// A worker hears events.
    Read {
        /// The worker.
        worker: String,
        /// The flight.
        flight: FlightId,
        /// Whether it follows, and says so; or only looks.
        follows: bool,
        /// What it has.
        after: LogPosition,
        /// How many batches it takes at most.
        most: usize,
        /// About how many bytes of them, and one batch at least.
        most_bytes: usize,
        /// As in `Board`.
        grace: Duration,
    },
    /// A worker follows no more.
    Leave {
        /// The worker.
        worker: String,
        /// The flight.
        flight: FlightId,
    },
    /// An idempotency key is used; the place is the key's.
    Claim {
        /// What it is used for.
        request: Key,
        /// Where its flight is found.
        flight_key: FlightKey,
        /// Who settles it: the flight that uses it.
        owner: FlightId,
        /// Whether it takes the key over from another owner.
        takes_over: bool,
        /// How long it holds unless settled.
        keep: Duration,
    },
    /// What an idempotency key stood for has ended.
    Settle {
        /// Who has used it; nobody else settles it.
        owner: FlightId,
        /// How long it still holds; not at all where it failed.
        retention: Option<Duration>,
    },
}

/// What a step comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// There is a recording, sealed.
    Recorded(Vec<u8>),
    /// The worker leads the flight, in this epoch.
    Lead(FlightId, u64),
    /// Another does, as this leadership says.
    Follow(FencingToken),
    /// Nothing is there, and the worker may not lead.
    Nothing,
    /// It was done; so many workers follow.
    Kept(u64),
    /// It was not: another leads.
    Deposed,
    /// It was not: the memory was lost, and the leader is to restore the flight.
    Forgotten,
    /// It was not: what comes after this event is missing, and to be sent again.
    Behind(u64),
    /// The flight is kept again.
    Restored,
    /// What was heard.
    ReadBatch(ReadBatch),
    /// No such flight.
    Gone,
    /// The idempotency key was free.
    Claimed,
    /// It stands for the same request, whose flight is found there.
    Known(FlightKey),
    /// It stands for another request.
    Mismatch,
    /// It is settled.
    Settled,
}

/// What a worker hears of a flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBatch {
    /// How it stands.
    pub state: State,
    /// Who leads or led it.
    pub fencing_token: FencingToken,
    /// The number of its last event.
    pub last: u64,
    /// How it ended, sealed; empty until then.
    pub outcome: Vec<u8>,
    /// What is executed, sealed.
    pub about: Vec<u8>,
    /// Whether there are more batches.
    pub more: bool,
    /// The last batch that was heard; what was asked for, where there is none.
    pub position: LogPosition,
    /// Batches of events, sealed, in order.
    pub batches: Vec<Vec<u8>>,
}

impl State {
    const ALL: [State; 6] = [
        State::Running,
        State::Suspected,
        State::Lost,
        State::Released,
        State::Completed,
        State::Failed,
    ];

    fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Suspected => "suspected",
            State::Lost => "lost",
            State::Released => "released",
            State::Completed => "completed",
            State::Failed => "failed",
        }
    }
}

impl Step {
    /// The script that does it.
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

    /// The keys of the script.
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

    /// The arguments of the script.
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
                given
                    .fencing_token(fencing_token)
                    .text(worker)
                    .time(*lease)
                    .time(*keep)
                    .bytes(about);
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
                given
                    .bytes(request)
                    .bytes(&flight_key.0)
                    .flight(*owner)
                    .flag(*takes_over)
                    .time(*keep);
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

/// A script's arguments, one after the other.
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

    /// How the workers that have to do with the flight are told.
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

impl Answer {
    /// What a script has answered.
    pub fn read(value: Value) -> Result<Answer, Unavailable> {
        let Value::Array(items) = value else {
            return Err(Cause::Unforeseen.into());
        };
        Answer::of(&mut items.into_iter()).ok_or(Cause::Unforeseen.into())
    }

    /// What a script has answered to this many steps that it did together.
    pub fn read_each(value: Value, steps: usize) -> Result<Vec<Answer>, Unavailable> {
        match value {
            Value::Array(each) if steps > 1 && each.len() == steps => {
                each.into_iter().map(Answer::read).collect()
            }
            one if steps == 1 => Ok(vec![Answer::read(one)?]),
            _ => Err(Cause::Unforeseen.into()),
        }
    }

    fn of(items: &mut impl Iterator<Item = Value>) -> Option<Answer> {
        Some(match &*bytes(items)? {
            b"recorded" => Answer::Recorded(bytes(items)?),
            b"lead" => Answer::Lead(flight(items)?, number(items)?),
            b"follow" => Answer::Follow(fencing_token(flight(items)?, items)?),
            b"nothing" => Answer::Nothing,
            b"kept" => Answer::Kept(number(items)?),
            b"deposed" => Answer::Deposed,
            b"forgotten" => Answer::Forgotten,
            b"behind" => Answer::Behind(number(items)?),
            b"restored" => Answer::Restored,
            b"heard" => Answer::ReadBatch(ReadBatch {
                state: state(items)?,
                fencing_token: fencing_token(flight(items)?, items)?,
                last: number(items)?,
                outcome: bytes(items)?,
                about: bytes(items)?,
                more: number(items)? == 1,
                position: position(items)?,
                batches: items.map(as_bytes).collect::<Option<_>>()?,
            }),
            b"gone" => Answer::Gone,
            b"claimed" => Answer::Claimed,
            b"known" => Answer::Known(FlightKey(bytes(items)?.try_into().ok()?)),
            b"mismatch" => Answer::Mismatch,
            b"settled" => Answer::Settled,
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

fn state(items: &mut impl Iterator<Item = Value>) -> Option<State> {
    let word = text(items)?;
    State::ALL.into_iter().find(|state| state.as_str() == word)
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
    Some(FencingToken { flight, epoch, run: RunId(run) })
}
