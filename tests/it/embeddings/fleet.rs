//! Workers that share a Redis pay for a text once, whichever asks for it.

use std::time::Duration;

use fireworks_simulator::{Options, Pace};
use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;

use super::{alone, asked, embeddings, sources, texts, vectors};
use crate::{fleet::members::Fleet, support::embed};

fn unhurried() -> Options {
    let pace = Pace { first_token: Duration::from_millis(50), tokens_per_second: f64::INFINITY };
    Options { pace, ..Options::default() }
}

#[tokio::test]
async fn a_text_is_a_hit_on_every_worker() {
    let fleet = Fleet::of(2, Options::instant()).await;
    let asked = texts([1, 2, 3]);
    fleet.caller(0).await.answer(embed(asked.clone()).cached()).await;
    let again = fleet.caller(1).await.answer(embed(texts([3, 1, 4])).cached()).await;
    assert_eq!(vectors(&again), alone(&texts([3, 1, 4])).await);
    assert_eq!(sources(&again), [2, 0, 1, 0]);
    assert_eq!(fleet.simulator.report().texts, 4);
}

#[tokio::test]
async fn an_idempotent_retry_on_another_worker_pays_for_nothing() {
    let fleet = Fleet::of(2, Options::instant()).await;
    let asked = |names: [usize; 2]| embed(texts(names)).idempotency_key("once");
    let first = fleet.caller(0).await.answer(asked([1, 2])).await;
    let again = fleet.caller(1).await.answer(asked([1, 2])).await;
    assert_eq!(vectors(&again), vectors(&first));
    assert_eq!(fleet.simulator.report().texts, 2);
    let other = fleet.caller(1).await.failure(asked([1, 3])).await;
    assert_eq!(other.reason, "IDEMPOTENCY_MISMATCH");
}

/// Ten thousand texts in fifty calls on three workers, several at a time, of which thirty
/// percent are in a second call on another worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_sees_each_of_ten_thousand_texts_once() {
    const DISTINCT: usize = 7000;
    const CALLS: usize = 50;
    // Nobody is lost here, and a machine that is busy must not make it seem so.
    let fleet = Fleet::with(3, unhurried(), |config| {
        let fleet = config.fleet.as_mut().expect("a fleet");
        fleet.lease = Duration::from_secs(60);
        fleet.redis.timeout = Duration::from_secs(10);
    })
    .await;
    let callers = join_all((0..3).map(|worker| fleet.caller(worker))).await;
    // Each call has 140 texts of its own, and 60 that the next one has too.
    let names = |call: usize| (call * 140..call * 140 + 200).map(|name| name % DISTINCT);
    let callers = &callers;
    let calls = (0..CALLS).map(|call| async move {
        let ask = embed(texts(names(call))).set("batchSize", json!(64)).cached();
        (call, callers[call % 3].answer(ask).await)
    });
    let answers: Vec<_> = stream::iter(calls).buffer_unordered(9).collect().await;
    let oracle = asked(&texts(0..DISTINCT), 1000).await;
    let mut sum = [0; 4];
    for (call, answer) in &answers {
        let expected: Vec<_> = names(*call).map(|name| oracle[name].clone()).collect();
        assert!(vectors(answer) == expected, "call {call} has a wrong vector");
        assert_eq!(embeddings(answer).dimensions, 64);
        sum = std::array::from_fn(|source| sum[source] + sources(answer)[source]);
    }
    let report = fleet.simulator.report();
    assert_eq!((report.texts, report.distinct_texts), (DISTINCT as u64, DISTINCT as u64));
    assert_eq!(sum.iter().sum::<u32>(), 10_000);
    assert_eq!(sum[2], DISTINCT as u32, "cached, joined, executed, repeated: {sum:?}");
    assert!(sum[1] > 0, "some were joined: {sum:?}");
}
