//! Tenants among each other.

use std::time::Duration;

use tonic::Code;

use super::{STALLS, hold, narrow, until};
use crate::support::{PATIENCE, ask, spawn};

#[tokio::test]
async fn a_tenant_beyond_its_limit_learns_its_quota_others_go_on() {
    let world = narrow(|config| {
        config.admission.executions = 2;
        config.admission.queue_length = 0;
    })
    .await;
    let caller = world.caller().await;
    let mut holding = caller.execute(ask(STALLS).tenant("acme")).await.expect("a place");
    holding.first_text().await;
    let failure = caller.failure(ask("x").tenant("acme")).await;
    assert_eq!(failure.code, Code::ResourceExhausted);
    assert_eq!(failure.reason, "WORKER_SATURATED");
    assert_eq!(failure.quota, [("tenant:acme".to_owned(), "1 executions at a time".to_owned())]);
    assert!(failure.retry_after.is_some() && failure.pushback.is_some());
    caller.answer(ask("x").tenant("other")).await;
    caller.answer(ask("x")).await;
}

#[tokio::test]
async fn a_named_tenant_counts_only_where_callers_are_trusted_with_it() {
    let world = narrow(|config| {
        config.admission.executions = 2;
        config.admission.queue_length = 0;
        config.execution.trust_tenant = false;
    })
    .await;
    let _holding = hold(&world).await;
    let failure = world.caller().await.failure(ask("x").tenant("another")).await;
    assert_eq!(failure.reason, "WORKER_SATURATED", "all are one tenant's");
}

#[tokio::test]
async fn a_modest_tenant_is_served_between_the_calls_of_a_greedy_one() {
    let world = narrow(|config| config.admission.queue_length = 8).await;
    let caller = world.caller().await;
    let holding = hold(&world).await;
    let call = |tenant: &'static str| {
        let caller = caller.clone();
        spawn(async move { caller.recv(ask("x").tenant(tenant)).await })
    };
    let greedy: Vec<_> = (0..8).map(|_| call("greedy")).collect();
    until(async || world.admission.queued() == 8).await;
    let modest = call("modest");
    let pushed_out = {
        let refused = async || greedy.iter().filter(|call| call.is_finished()).count() == 1;
        until(refused).await;
        greedy.iter().position(tokio::task::JoinHandle::is_finished).expect("one")
    };
    drop(holding);
    let modest = modest.await.expect("no panic").completed().timing.expect("a timing");
    let mut waits = Vec::new();
    for (index, call) in greedy.into_iter().enumerate() {
        let received = call.await.expect("no panic");
        if index == pushed_out {
            assert_eq!(received.end.expect_err("refused").reason, "WORKER_SATURATED");
        } else {
            waits.push(wait(received.completed().timing.expect("a timing").queue));
        }
    }
    let modest = wait(modest.queue);
    let longer = waits.iter().filter(|wait| **wait > modest).count();
    assert!(longer >= 5, "{modest:?} beside {waits:?}");
    tokio::time::timeout(PATIENCE, world.admission.idle()).await.expect("nothing is left over");
}

fn wait(queue: Option<prost_types::Duration>) -> Duration {
    queue.expect("it was in line").try_into().expect("a duration")
}
