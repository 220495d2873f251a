//! The scripts that Redis runs do what the state machine says: the same steps, in
//! any order, come to the same answers.

use std::time::Duration;

use fastrand::Rng;
use sparkler::internals::{
    Connection, FlightId, FlightKey, Lifecycle, Metrics, RedisKeys,
    protocol::{
        AcquireOptions, Batch, FencingToken, LogPosition, RemoteState, RunId, Step, StepResult,
    },
};

use super::model::Shared;
use crate::support::redis_server::RedisServer;

const SEQUENCES: u64 = 80;
const STEPS: usize = 40;
/// A lease that never runs out, against one that has run out at once.
const LONG: Duration = Duration::from_secs(3600);
const KEEP: Duration = Duration::from_secs(7200);

fn worker(random: &mut Rng) -> String {
    format!("worker {}", random.u8(..3))
}

fn flight(random: &mut Rng) -> FlightId {
    FlightId::from_bytes([random.u8(1..3); 16])
}

fn fencing_token(random: &mut Rng, shared: &Shared) -> FencingToken {
    match &shared.flight {
        // Mostly the one that leads: else hardly anything would happen.
        Some(kept) if random.u8(..4) > 0 => kept.fencing_token,
        _ => any_fence(random),
    }
}

fn any_fence(random: &mut Rng) -> FencingToken {
    FencingToken { flight: flight(random), epoch: random.u64(1..4), run: run(random) }
}

fn run(random: &mut Rng) -> RunId {
    RunId::from_number(random.u64(1..4))
}

fn after(random: &mut Rng, shared: &Shared) -> u64 {
    let last = shared.flight.as_ref().map_or(0, |kept| kept.position.last);
    // Mostly what the memory has: else it would lack something all the time.
    if random.u8(..6) == 0 { last + random.u64(..3) } else { last.saturating_sub(random.u64(..2)) }
}

fn lease(random: &mut Rng) -> Duration {
    if random.u8(..3) == 0 { Duration::ZERO } else { LONG }
}

fn batch(random: &mut Rng, shared: &Shared) -> Option<Batch> {
    let last = shared.flight.as_ref().map_or(0, |kept| kept.position.last);
    let far = if random.u8(..8) == 0 { 1 << 32 } else { 0 };
    let last = (last + random.u64(..4)).max(1) + far;
    (random.u8(..4) > 0).then(|| Batch {
        position: LogPosition { last, part: random.u32(..3) },
        voids: random.u8(..4) == 0,
        events: bytes(random),
    })
}

fn any_mark(random: &mut Rng) -> LogPosition {
    let number = random.u64(..10);
    if random.bool() {
        LogPosition::after(number)
    } else {
        LogPosition { last: number, part: random.u32(..3) }
    }
}

fn bytes(random: &mut Rng) -> Vec<u8> {
    random.u64(..).to_le_bytes().to_vec()
}

fn acquire(random: &mut Rng) -> Step {
    Step::Acquire {
        worker: worker(random),
        options: AcquireOptions {
            may_read: random.bool(),
            joins_completed: random.bool(),
            may_lead: random.u8(..4) > 0,
            fresh: flight(random),
            run: run(random),
            known: random.bool().then(|| any_fence(random)),
            skip: random.u64(1..4),
        },
        lease: lease(random),
        keep: KEEP,
        grace: lease(random),
        about: bytes(random),
    }
}

fn append(random: &mut Rng, shared: &Shared) -> Step {
    Step::Append {
        fencing_token: fencing_token(random, shared),
        lease: lease(random),
        keep: KEEP,
        after: after(random, shared),
        batch: batch(random, shared),
    }
}

fn any_step(random: &mut Rng, shared: &Shared) -> Step {
    match random.u8(..16) {
        0..4 => acquire(random),
        4..8 => append(random, shared),
        8..9 => Step::Restore {
            fencing_token: fencing_token(random, shared),
            worker: worker(random),
            lease: lease(random),
            keep: KEEP,
            about: bytes(random),
        },
        9..10 => Step::Complete {
            fencing_token: fencing_token(random, shared),
            retention: KEEP,
            after: after(random, shared),
            batch: batch(random, shared),
            state: [RemoteState::Completed, RemoteState::Failed, RemoteState::Released]
                [random.usize(..3)],
            outcome: bytes(random),
            recording: (random.u8(..8) == 0).then(|| (bytes(random), KEEP)),
        },
        10..13 => Step::Read {
            worker: worker(random),
            flight: flight(random),
            follows: random.bool(),
            after: any_mark(random),
            most: random.usize(1..4),
            most_bytes: random.usize(..30),
            grace: lease(random),
        },
        13 => Step::Leave { worker: worker(random), flight: flight(random) },
        14 => Step::Claim {
            request: [random.u8(..2); 32],
            flight_key: FlightKey([random.u8(..2); 32]),
            owner: flight(random),
            takes_over: random.u8(..4) == 0,
            keep: KEEP,
        },
        _ => Step::Settle { owner: flight(random), retention: random.bool().then_some(KEEP) },
    }
}

async fn ask(redis: &Connection, keys: &RedisKeys, step: &Step) -> StepResult {
    let arguments = step.arguments(keys);
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let value = redis.script(step.script(), &step.keys(keys), &arguments).await;
    StepResult::read(value.expect("Redis answers")).expect("an answer of the protocol")
}

#[tokio::test]
async fn the_scripts_do_what_the_state_machine_says() {
    let server = RedisServer::start().await;
    let redis = Connection::open(server.config(), &Lifecycle::new(), &Metrics::default());
    redis.reachable().await;
    for seed in 0..SEQUENCES {
        let mut random = Rng::with_seed(seed);
        let keys = RedisKeys::of(FlightKey(*blake3::hash(&seed.to_le_bytes()).as_bytes()));
        let mut shared = Shared::default();
        for number in 0..STEPS {
            let step = any_step(&mut random, &shared);
            // Leases are a millisecond or an hour; each step is at a later one.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let answer = ask(&redis, &keys, &step).await;
            let expected = shared.take(number as u64 * 2, &step);
            assert_eq!(answer, expected, "sequence {seed}, step {number}: {step:?}");
        }
    }
}

/// Several leaders' steps in one command are the same steps, one after the other:
/// each is answered for itself, whatever becomes of the others.
#[tokio::test]
async fn events_appended_together_are_as_appended_one_by_one() {
    let server = RedisServer::start().await;
    let redis = Connection::open(server.config(), &Lifecycle::new(), &Metrics::default());
    redis.reachable().await;
    for seed in 0..SEQUENCES / 4 {
        let mut random = Rng::with_seed(seed);
        let mut flight_keys: Vec<_> = (0..random.usize(2..6)).map(|at| a_key(seed, at)).collect();
        for number in 0..STEPS as u64 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let in_fleet = number % 8 == 0;
            let steps: Vec<Step> = flight_keys
                .iter()
                .map(
                    |(_, shared)| {
                        if in_fleet { acquire(&mut random) } else { append(&mut random, shared) }
                    },
                )
                .collect();
            let expected: Vec<StepResult> = flight_keys
                .iter_mut()
                .zip(&steps)
                .map(|((_, shared), step)| shared.take(number * 2, step))
                .collect();
            let mut answers = Vec::new();
            if in_fleet {
                for ((keys, _), step) in flight_keys.iter().zip(&steps) {
                    answers.push(ask(&redis, keys, step).await);
                }
            } else {
                answers = ask_together(&redis, &flight_keys, &steps).await;
            }
            assert_eq!(answers, expected, "sequence {seed}, step {number}: {steps:?}");
        }
    }
}

fn a_key(seed: u64, at: usize) -> (RedisKeys, Shared) {
    let name = blake3::hash(format!("{seed} {at} together").as_bytes());
    (RedisKeys::of(FlightKey(*name.as_bytes())), Shared::default())
}

async fn ask_together(
    redis: &Connection,
    flight_keys: &[(RedisKeys, Shared)],
    steps: &[Step],
) -> Vec<StepResult> {
    let both = || flight_keys.iter().zip(steps);
    let keys: Vec<&[u8]> = both().flat_map(|((keys, _), step)| step.keys(keys)).collect();
    let arguments: Vec<Vec<u8>> =
        both().flat_map(|((keys, _), step)| step.arguments(keys)).collect();
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let value = redis.script(steps[0].script(), &keys, &arguments).await.expect("an answer");
    StepResult::read_each(value, steps.len()).expect("an answer of the protocol")
}
