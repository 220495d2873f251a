//! What the fleet takes of a server's memory, and that it gives all of it back.

use std::{collections::BTreeMap, time::Duration};

use fireworks_simulator::{Options, Pace};
use futures_util::future::join_all;

use crate::{
    fleet::members::Fleet,
    support::{Caller, ask, redis_server::RedisServer},
};

/// What docs/fleet.md says that an answer takes beside its text as a recording, and
/// its flight beside its events at most.
const RECORDING: usize = 512;
const FLIGHT: usize = 2048;
/// A stream grows by this, and has so much for each batch of events.
const NODE: usize = 4096;
const BATCH: usize = 100;

const EXECUTIONS: usize = 10;
const TOKENS: u32 = 200;

/// An answer of two seconds.
fn provider() -> Options {
    let pace = Pace { first_token: Duration::from_millis(100), tokens_per_second: 100.0 };
    Options { pace, answer_tokens: TOKENS, delta_tokens: 1, ..Options::default() }
}

/// The bytes that all keys of a kind take together, and how many there are.
fn taken(server: &RedisServer) -> BTreeMap<String, (usize, usize)> {
    let mut taken = BTreeMap::new();
    for key in server.command(&["KEYS", "sparkler:1:{*"]).lines() {
        let number = |words: &[&str]| server.command(words).trim().parse::<i64>();
        let kind = key.rsplit(':').next().expect("a kind");
        // The probe of a way that opens may be gone by now.
        let Ok(bytes) = number(&["MEMORY", "USAGE", key]) else { continue };
        assert_ne!(number(&["PTTL", key]), Ok(-1), "{key} has no end");
        let (sum, count): &mut (usize, usize) = taken.entry(kind.to_owned()).or_default();
        *sum += usize::try_from(bytes).expect("some bytes");
        *count += 1;
    }
    taken
}

/// As many executions as there are to be, each on all of these workers; how long
/// their texts are together.
async fn execute(callers: &[&Caller], what: &str) -> usize {
    let executing = (0..EXECUTIONS).map(async |number| {
        let asked = || ask(&format!("{what} {number}")).cached();
        let answers = join_all(callers.iter().map(|caller| caller.answer(asked()))).await;
        answers[0].choices[0].text.len()
    });
    join_all(executing).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_fleet_keeps_has_an_end_and_the_documented_size() {
    for (what, listening) in [("alone", 1), ("followed", 2)] {
        let fleet = Fleet::of(2, provider()).await;
        let callers = [fleet.caller(0).await, fleet.caller(1).await];
        let callers: Vec<&Caller> = callers.iter().take(listening).collect();
        let text = execute(&callers, what).await / EXECUTIONS;
        let taken = taken(&fleet.redis);
        let of = |kind: &str| taken.get(kind).map_or(0, |(sum, _)| sum / EXECUTIONS);
        let flight = of("flight") + of("followers");
        let batches = batches(&fleet.redis) / EXECUTIONS;
        eprintln!(
            "{what}: an answer of {text} bytes takes {} as a recording; its flight {flight}, and \
             its events {} in {batches} batches",
            of("recording"),
            of("events"),
        );
        assert!(of("recording") <= text + RECORDING);
        assert!(flight <= FLIGHT);
        assert!(of("events") <= 2 * NODE + text + batches * BATCH);
    }
}

/// How many batches of events there are.
fn batches(server: &RedisServer) -> usize {
    let keys = server.command(&["KEYS", "sparkler:1:{*:events"]);
    let lengths = keys.lines().map(|key| server.command(&["XLEN", key]));
    lengths.map(|length| length.trim().parse::<usize>().expect("a number")).sum()
}
