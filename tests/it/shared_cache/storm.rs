//! Everything at once, on several threads: executions that share, leave, drain,
//! refresh and retry. Every caller that stays receives a whole answer, and nothing is left
//! over.

use std::time::Duration;

use fastrand::Rng;
use fireworks_simulator::{Fault, Options, Pace, Rule};
use futures_util::{StreamExt, stream};
use sparkler::proto::cache_policy::Mode;

use crate::support::{Ask, Caller, PATIENCE, Received, World, ask};

const EXECUTIONS: u64 = 3000;
const AT_ONCE: usize = 100;
const PROMPTS: u32 = 12;

/// One prompt in twelve always fails.
const UNLUCKY: &str = "Number 7?";

fn any(random: &mut Rng) -> Ask {
    let number = random.u32(..PROMPTS);
    let asked = ask(&format!("Number {number}?")).attempts(1);
    let asked = match random.u8(..6) {
        0 => asked,
        1 => asked.mode(Mode::ReadOnly),
        2 => asked.mode(Mode::Refresh),
        // So short a time that it runs out on the way.
        3 => asked.cached().ttl(Duration::from_millis(2)),
        _ => asked.cached(),
    };
    let asked = match random.u8(..4) {
        0 => asked.idempotency_key(&format!("key {number}")),
        _ => asked,
    };
    let asked = if random.bool() { asked.drain() } else { asked };
    if random.u8(..4) == 0 { asked.no_deltas() } else { asked }
}

/// One execution: some callers leave early.
async fn live(caller: Caller, mut random: Rng) -> Option<Received> {
    let asked = any(&mut random);
    let mut call = match caller.execute(asked).await {
        Ok(call) => call,
        Err(failure) => return Some(Received { end: Err(failure), ..Received::default() }),
    };
    match random.u8(..8) {
        0 => None,
        1 => {
            call.started().await;
            None
        }
        2 => {
            call.started().await;
            let _ = call.next().await;
            None
        }
        _ => Some(call.finish().await),
    }
}

fn assert_whole(received: Received) {
    let deltas = received.deltas.len();
    let text = received.text.clone();
    match received.end {
        Ok(completed) => {
            let choice = &completed.choices[0];
            assert_eq!(choice.finish_reason, "stop");
            assert!(!choice.text.contains(UNLUCKY), "it cannot succeed");
            assert!(deltas == 0 || choice.text == text, "the deltas are the answer");
        }
        Err(failure) => assert_eq!(failure.reason, "REQUEST_REJECTED", "{failure:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_storm_every_caller_that_stays_receives_it_all() {
    let options = Options {
        pace: Pace { first_token: Duration::from_millis(2), tokens_per_second: 20_000.0 },
        rules: vec![Rule::always(Fault::status(400)).prompt(UNLUCKY)],
        ..Options::default()
    };
    let mut world = World::with(options, |config| {
        config.execution.drain_limit = Duration::from_secs(5);
        config.drain.drain_limit = Duration::from_secs(600);
        // Small, so that it is full all the time.
        config.flights.retention_bytes = 64 << 10;
        config.memory.max_bytes = 64 << 10;
    })
    .await;
    let mut callers = Vec::new();
    for _ in 0..4 {
        callers.push(world.caller().await);
    }
    let lives = (0..EXECUTIONS).map(|seed| {
        let caller = callers[seed as usize % callers.len()].clone();
        live(caller, Rng::with_seed(seed))
    });
    let all: Vec<_> = stream::iter(lives).buffer_unordered(AT_ONCE).collect().await;
    let stayed = all.into_iter().flatten().map(assert_whole).count();
    assert!(stayed as u64 > EXECUTIONS / 2);
    world.simulator.wait_until(|report| report.in_flight == 0, PATIENCE).await.expect("calm");
    assert!(world.upstream_calls() < EXECUTIONS / 2, "they shared");
    // It would wait for a place that was not given back.
    world.stop();
    world.stopped().await;
}
