//! A node that panics before it runs: the caller gets a named error, as for any failure,
//! and the worker goes on.

use fireworks_simulator::Options;
use tonic::Code;

use crate::support::{Failure, Moment, Panicking, World, ask, panicking};

fn assert_worker_failed(failure: &Failure) {
    assert_eq!(failure.code, Code::Internal, "{failure:?}");
    assert_eq!(failure.reason, "WORKER_FAILED");
    assert!(!failure.safe_to_retry());
    assert!(!failure.message.contains("broken node"), "the panic's words stay inside");
}

#[tokio::test]
async fn a_panic_before_the_execution_is_a_failure_with_a_name() {
    let configure = |config: &mut sparkler::config::Config| config.admission.executions = 1;
    let nodes = |nodes: sparkler::node::Registry| nodes.with(Panicking);
    let world = World::with_nodes(Options::instant(), configure, nodes).await;
    let caller = world.caller().await;
    for _ in 0..3 {
        assert_worker_failed(&caller.failure(panicking(Moment::Configured)).await);
    }
    let check = panicking(Moment::Configured).check();
    assert_worker_failed(&caller.check(check).await.expect_err("it panics"));
    caller.answer(ask("and you?")).await;
}
