//! Any mix of calls, overlaps, batch sizes, failures and leavers gives the vector of
//! each text alone, and pays for a text once.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Pace, Rule};
use futures_util::future::join_all;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use sparkler::proto::Completed;
use tokio::time::{sleep, timeout};

use super::{alone, embeddings, sources, texts, vectors};
use crate::support::{Caller, PATIENCE, World, embed};

/// The texts that calls are made of.
const POOL: usize = 12;

/// One call.
#[derive(Debug, Clone)]
struct Plan {
    names: Vec<usize>,
    batch: usize,
    /// Milliseconds before it starts.
    after: u64,
    /// Milliseconds after which it leaves.
    leaves: Option<u64>,
}

/// Calls that overlap, and refusals that hit them.
#[derive(Debug, Clone)]
struct Round {
    calls: Vec<Plan>,
    refusals: u32,
    status: u16,
}

fn plan(leaving: bool) -> impl Strategy<Value = Plan> {
    let names = prop::collection::vec(0..POOL, 1..10);
    let leaves = if leaving { prop::option::of(0_u64..12).boxed() } else { Just(None).boxed() };
    (names, 1_usize..6, 0_u64..12, leaves).prop_map(|(names, batch, after, leaves)| Plan {
        names,
        batch,
        after,
        leaves,
    })
}

fn rounds(leaving: bool) -> impl Strategy<Value = Vec<Round>> {
    let calls = prop::collection::vec(plan(leaving), 1..6);
    let status = prop::sample::select(&[400_u16, 500, 503][..]);
    let round = (calls, 0_u32..3, status).prop_map(|(calls, refusals, status)| Round {
        calls,
        refusals,
        status,
    });
    prop::collection::vec(round, 1..4)
}

async fn run(caller: &Caller, plan: &Plan, oracle: &[Vec<u8>]) -> Result<(), TestCaseError> {
    sleep(Duration::from_millis(plan.after)).await;
    let asked = embed(texts(plan.names.iter().copied()));
    let asked = asked.set("batchSize", json!(plan.batch)).cached().attempts(1);
    let answering = caller.recv(asked);
    let received = match plan.leaves {
        Some(leaves) => timeout(Duration::from_millis(leaves), answering).await.ok(),
        None => Some(answering.await),
    };
    let Some(received) = received else { return Ok(()) };
    let Ok(completed) = received.end else { return Ok(()) };
    let expected: Vec<_> = plan.names.iter().map(|name| oracle[*name].clone()).collect();
    prop_assert_eq!(vectors(&completed), expected);
    prop_assert_eq!(sources(&completed).iter().sum::<u32>() as usize, plan.names.len());
    let is_exact = !embeddings(&completed).tokens_estimated;
    let mut distinct = plan.names.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if is_exact {
        let tokens = completed.usage.and_then(|usage| usage.prompt_tokens);
        prop_assert_eq!(tokens, Some(distinct.len() as u64 * 4), "exact, or marked");
    }
    Ok(())
}

/// Asks for every text, until no request that leavers have begun fails it.
async fn in_the_end(caller: &Caller) -> Completed {
    for _ in 0..10 {
        if let Ok(completed) = caller.recv(embed(texts(0..POOL)).cached()).await.end {
            return completed;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("it fails again and again");
}

/// Plays rounds, then asks for everything; returns the texts that the provider saw, and
/// those that there are.
async fn play(rounds: &[Round], oracle: &[Vec<u8>]) -> Result<(u64, u64), TestCaseError> {
    let first_token = Duration::from_millis(5);
    let pace = Pace { first_token, tokens_per_second: f64::INFINITY };
    let world = World::with(Options { pace, ..Options::default() }, |_| {}).await;
    let caller = world.caller().await;
    for Round { calls, refusals, status } in rounds {
        world.simulator.script(Rule::once(Fault::status(*status)).times(*refusals));
        for ended in join_all(calls.iter().map(|plan| run(&caller, plan, oracle))).await {
            ended?;
        }
        world.simulator.clear_script();
    }
    let idle = |report: &fireworks_simulator::Report| report.in_flight == 0;
    world.simulator.wait_until(idle, PATIENCE).await.expect("nothing runs for nobody");
    let completed = in_the_end(&caller).await;
    prop_assert_eq!(vectors(&completed), oracle.to_vec());
    let report = world.simulator.report();
    Ok((report.texts, report.distinct_texts))
}

fn check(leaving: bool, judge: fn((u64, u64)) -> bool) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let oracle = runtime.block_on(alone(&texts(0..POOL)));
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&rounds(leaving), |rounds| {
        let seen = runtime.block_on(play(&rounds, &oracle))?;
        prop_assert!(judge(seen), "the provider saw {} texts of {}", seen.0, seen.1);
        Ok(())
    });
    result.expect("every mix is right");
}

#[test]
fn with_failures_every_text_is_paid_for_once() {
    check(false, |(seen, distinct)| seen == distinct && distinct == POOL as u64);
}

#[test]
fn with_leavers_every_vector_is_still_right() {
    check(true, |(seen, distinct)| seen >= distinct && distinct == POOL as u64);
}
