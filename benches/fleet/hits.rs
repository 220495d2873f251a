//! A hit from Redis against a hit in memory: processor time of the worker.

use fireworks_simulator::Options;
use futures_util::{StreamExt, stream};
use sparkler::proto::CacheStatus;

use super::{
    Effort,
    report::{Aim, Report, digits},
    support::{Caller, ask},
    workers::Workers,
};

/// Calls at a time.
const AT_ONCE: usize = 8;

pub async fn measure(effort: Effort, report: &mut Report) {
    let workers = Workers::patient(2, Options { answer_tokens: 40, ..Options::instant() }).await;
    let [first, second] = &workers.callers[..] else { unreachable!("two were started") };
    answers(first, effort.calls, CacheStatus::Miss).await;
    let mut cost = Vec::new();
    // The first time from Redis, the second from memory.
    for _ in 0..2 {
        let before = workers.cpu_time(1);
        answers(second, effort.calls, CacheStatus::Hit).await;
        cost.push((workers.cpu_time(1) - before) / effort.calls as f64);
    }
    let beside =
        format!("{} µs CPU of the worker; {} µs from memory", digits(cost[0]), digits(cost[1]));
    let ratio = cost[0] / cost[1];
    report.add("a hit from Redis, beside one in memory", ratio, "×", &beside, Some(Aim(1.25)));
}

async fn answers(caller: &Caller, count: usize, expected: CacheStatus) {
    let calls = (0..count).map(|number| caller.answer(ask(&format!("Hit {number}")).cached()));
    let mut answers = stream::iter(calls).buffer_unordered(AT_ONCE);
    while let Some(answer) = answers.next().await {
        assert_eq!(answer.cache.expect("said").status(), expected);
    }
}
