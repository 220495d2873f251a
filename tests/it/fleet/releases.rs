//! Workers of several releases and secrets share one Redis: what one cannot read
//! is as good as not there, and never an error.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use fireworks_simulator::Options;
use sparkler::{
    internals::{
        CacheSecret, Connection, FlightId, FlightKey, Lifecycle, Metrics, RedisKeys, Script,
        protocol::{AcquireOptions, Batch, FencingToken, LogPosition, RunId, Step, StepResult},
    },
    proto::{AttachExecutionRequest, CacheStatus},
};
use tokio::time::Instant;

use super::members::{Fleet, LEASE, SECRET, status, unhurried};
use crate::support::{Caller, ask, redis_server::RedisServer};

const LONG: Duration = Duration::from_secs(60);

/// A worker's way to Redis, without the worker.
async fn by_hand(redis: &RedisServer) -> Connection {
    let connection = Connection::open(redis.config(), &Lifecycle::new(), &Metrics::default());
    connection.reachable().await;
    connection
}

/// The name of the one thing of a kind that is kept.
fn name(redis: &RedisServer, what: &str) -> String {
    let names = redis.command(&["KEYS", &format!("sparkler:1:*:{what}")]);
    let [name] = names.lines().collect::<Vec<_>>()[..] else { panic!("not one: {names}") };
    name.to_owned()
}

fn flight_key(name: &str) -> [u8; 32] {
    let digits = &name[name.find('{').expect("a tag") + 1..][..64];
    std::array::from_fn(|index| {
        u8::from_str_radix(&digits[2 * index..][..2], 16).expect("hexadecimal")
    })
}

/// What releases to come may write: another seal, another format in a seal of
/// today, nothing at all.
fn foreign(keys: &[u8]) -> Vec<Vec<u8>> {
    let sealer = CacheSecret::new(SECRET).sealer(&[]);
    let mut newer_seal = sealer.seal(keys, b"\x01\x01\x00");
    newer_seal[0] += 1;
    let newer_format = sealer.seal(keys, b"\x63\x01\x00 a recording of a release to come");
    vec![newer_seal, newer_format, sealer.seal(keys, b""), b"\x01".to_vec(), b"?".repeat(99)]
}

#[tokio::test]
async fn a_recording_that_cannot_be_read_is_a_miss_and_is_replaced() {
    let mut fleet = Fleet::of(1, Options::instant()).await;
    let connection = by_hand(&fleet.redis).await;
    let asked = || ask("Recorded?").cached();
    fleet.caller(0).await.answer(asked()).await;
    let name = name(&fleet.redis, "recording");
    let keys = [&flight_key(&name)[..], b"recording"].concat();
    for (number, value) in foreign(&keys).into_iter().enumerate() {
        connection.set(name.as_bytes(), &value, LONG).await.expect("it is set");
        let answer = fleet.newcomer().await.answer(asked()).await;
        assert_eq!(status(&answer), CacheStatus::Miss, "value {number}");
        let again = fleet.newcomer().await.answer(asked()).await;
        assert_eq!(status(&again), CacheStatus::Hit, "value {number} is not replaced");
    }
    assert_eq!(fleet.upstream_calls(), 1 + foreign(&keys).len() as u64);
}

/// A worker of another release leads under a flight key, and appends what only its own
/// release can read.
async fn led_by_another_release(redis: &Connection, flight_key: FlightKey, events: Vec<u8>) {
    let keys = RedisKeys::of(flight_key);
    let (fresh, run) = (FlightId::random(), RunId::random());
    let worker = "another release".to_owned();
    let acquire = Step::Acquire {
        worker,
        options: AcquireOptions {
            may_read: false,
            joins_completed: false,
            may_lead: true,
            fresh,
            run,
            known: None,
            skip: 1,
        },
        lease: LONG,
        keep: LONG,
        grace: LONG,
        about: events.clone(),
    };
    assert_eq!(take(redis, &keys, &acquire).await, StepResult::Lead(fresh, 1));
    let append = Step::Append {
        fencing_token: FencingToken { flight: fresh, epoch: 1, run },
        lease: LONG,
        keep: LONG,
        after: 0,
        batch: Some(Batch { position: LogPosition { last: 1, part: 0 }, voids: false, events }),
    };
    assert_eq!(take(redis, &keys, &append).await, StepResult::Kept(0));
}

async fn take(redis: &Connection, keys: &RedisKeys, step: &Step) -> StepResult {
    let arguments = step.arguments(keys);
    let arguments: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    let value = redis.script(step.script(), &step.keys(keys), &arguments).await;
    StepResult::read(value.expect("Redis answers")).expect("an answer of the protocol")
}

#[tokio::test]
async fn a_flight_that_cannot_be_read_is_left_to_itself() {
    let mut fleet = Fleet::of(1, Options::instant()).await;
    let connection = by_hand(&fleet.redis).await;
    fleet.caller(0).await.answer(ask("Led?").cached()).await;
    let flight_key = flight_key(&name(&fleet.redis, "recording"));
    for events in foreign(&[&flight_key[..], b"events"].concat()) {
        fleet.redis.command(&["FLUSHALL"]);
        led_by_another_release(&connection, FlightKey(flight_key), events).await;
        let caller = fleet.newcomer().await;
        let began = Instant::now();
        caller.answer(ask("Led?").cached()).await;
        assert!(began.elapsed() < LEASE, "it waited for what it cannot read");
    }
}

#[tokio::test]
async fn notices_that_make_no_sense_disturb_nobody() {
    let fleet = Fleet::of(2, unhurried()).await;
    let mut first = fleet.caller(0).await.execute(ask("Noise").cached()).await.expect("it runs");
    first.first_text().await;
    let mut other = fleet.caller(1).await.execute(ask("Noise").cached()).await.expect("it runs");
    other.first_text().await;
    let flight_key = &flight_key(&name(&fleet.redis, "flight"))[..];
    let connection = by_hand(&fleet.redis).await;
    let channels = fleet.redis.command(&["PUBSUB", "CHANNELS", "sparkler:1:notify:*"]);
    let events = foreign(&[flight_key, b"events"].concat());
    for channel in channels.lines() {
        for noise in [b"".to_vec(), b"short".to_vec(), vec![0; 40]] {
            publish(&connection, channel, &noise).await;
        }
        for events in &events {
            publish(&connection, channel, &[flight_key, events].concat()).await;
        }
    }
    let (first, other) = tokio::join!(first.finish(), other.finish());
    let text = other.text.clone();
    let answer = first.completed().choices;
    assert!(answer[0].text.ends_with(&text));
    assert_eq!(other.completed().choices, answer);
    assert_eq!(fleet.upstream_calls(), 1);
}

async fn publish(connection: &Connection, channel: &str, notification: &[u8]) {
    static PUBLISH: Script =
        Script::new("publish", "return redis.call('PUBLISH', ARGV[1], ARGV[2])");
    let said = connection.script(&PUBLISH, &[], &[channel.as_bytes(), notification]).await;
    said.expect("it is published");
}

async fn attach(caller: &Caller, execution_token: String, after_sequence: u64) -> String {
    let request = AttachExecutionRequest { execution_token, after_sequence, ..Default::default() };
    let received = caller.attach(request).await.expect("it is known").finish().await;
    let text = received.text.clone();
    assert!(received.completed().choices[0].text.ends_with(&text));
    text
}

/// While the secret is changed, some workers still name and seal with the old one
/// and others already with the new one.
#[tokio::test]
async fn workers_of_the_old_and_new_secret_accept_each_others_tokens() {
    let number = AtomicUsize::new(0);
    let fleet = Fleet::with(2, unhurried(), |config| {
        let next = CacheSecret::new(b"the secret that comes next");
        let fleet = config.fleet.as_mut().expect("a fleet");
        fleet.other_secrets = vec![next.clone()];
        if number.fetch_add(1, Ordering::Relaxed) == 1 {
            fleet.other_secrets = vec![std::mem::replace(&mut config.cache_secret, next)];
        }
    })
    .await;
    for (leads, other) in [(0, 1), (1, 0)] {
        let caller = fleet.caller(leads).await;
        let other = fleet.caller(other).await;
        let mut call = caller.execute(ask("Which secret?").cached()).await.expect("it runs");
        let token = call.started().await.execution_token;
        call.first_text().await;
        let seen = call.last_sequence();
        let (received, again) = tokio::join!(call.finish(), attach(&other, token.clone(), seen));
        assert_eq!(again, received.text, "while it runs");
        let answer = received.completed().choices[0].text.clone();
        assert_eq!(attach(&other, token, 0).await, answer, "after its end");
    }
    // Names are made from the secret too: each has run it for itself.
    assert_eq!(fleet.upstream_calls(), 2);
}
