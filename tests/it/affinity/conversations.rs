//! A thousand conversations over eight replicas, beside an oracle: one replica with the
//! memory of all.

use futures_util::{StreamExt, stream};
use sparkler::internals::PrefixAffinity;

use crate::{
    affinity::{in_session, message, text, world},
    support::{Caller, World},
};

const CONVERSATIONS: usize = 1000;
const REPLICAS: usize = 8;
/// Calls at a time.
const AT_ONCE: usize = 16;
const TURNS: usize = 2;
const TURN_TOKENS: usize = 60;

/// Holds every conversation, all first turns before any second.
async fn converse(world: &World) {
    let caller = world.caller().await;
    for turn in 1..=TURNS {
        let calls = stream::iter(0..CONVERSATIONS).map(|number| take_turn(&caller, number, turn));
        calls.buffer_unordered(AT_ONCE).for_each(async |()| {}).await;
    }
}

/// Sends everything said so far in a conversation, and a question more.
async fn take_turn(caller: &Caller, number: usize, turn: usize) {
    let messages: Vec<_> = (0..2 * turn - 1)
        .map(|index| {
            let role = if index % 2 == 0 { "user" } else { "assistant" };
            message(role, &text(&format!("c{number}m{index}x"), TURN_TOKENS))
        })
        .collect();
    let ask = in_session(&format!("conversation {number}"), &messages);
    caller.answer(ask.set("maxTokens", 1.into()).no_deltas()).await;
}

/// The cached share of all prompts, and that of an oracle.
fn shares(world: &World) -> (f64, f64) {
    let report = world.simulator.report();
    let share = |tokens: u64| tokens as f64 / report.prompt_tokens as f64;
    (share(report.cached_tokens), share(report.oracle_cached_tokens))
}

#[expect(clippy::print_stdout, reason = "the figures that a document names")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_conversations_keep_their_prefixes() {
    let world = world(REPLICAS, PrefixAffinity::On).await;
    converse(&world).await;
    let (share, oracle) = shares(&world);
    println!("cached share {share:.4}, of an oracle {oracle:.4}");
    assert!(oracle > 0.2, "{oracle}");
    assert!(share >= 0.95 * oracle, "{share} of the prompts were cached, {oracle} by an oracle");
    let calls = world.simulator.report().by_replica;
    let spread: Vec<u64> = calls.values().map(|replica| replica.calls).collect();
    assert_eq!(spread.len(), REPLICAS, "every replica serves: {spread:?}");
    let even = (CONVERSATIONS * TURNS / REPLICAS) as f64;
    assert!(spread.iter().all(|calls| (*calls as f64) < 1.5 * even), "{spread:?}");
}

#[expect(clippy::print_stdout, reason = "the figures that a document names")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_affinity_an_eighth_of_prefixes_are_met() {
    let world = world(REPLICAS, PrefixAffinity::Off).await;
    converse(&world).await;
    let (share, oracle) = shares(&world);
    let met = share / oracle;
    println!("without affinity {met:.4} of an oracle's cached share");
    // 1/8 within five standard deviations of a thousand draws.
    assert!((0.07..0.18).contains(&met), "{met}");
}
