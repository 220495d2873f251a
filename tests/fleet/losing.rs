//! A worker is lost: killed, asleep, or told to stop. Exactly one stands in for
//! it, and every caller goes on or is told that it may come again.

use std::time::Duration;

use sparkler::proto::execute_node_response::Event;
use tokio::time::{Instant, timeout};

use super::{
    members::{Fleet, LEASE, unhurried},
    support::{PATIENCE, ask},
};

#[tokio::test]
async fn a_worker_that_stops_hands_its_flights_over_at_once() {
    let mut fleet = Fleet::with(2, unhurried(), |config| {
        config.drain.drain_limit = Duration::from_millis(100);
    })
    .await;
    let mut first = fleet.caller(0).await.execute(ask("Stop").cached()).await.expect("it runs");
    first.first_text().await;
    let asked = ask("Stop").cached().allow_restart();
    let mut other = fleet.caller(1).await.execute(asked).await.expect("it runs");
    other.first_text().await;
    fleet.workers[0].stop();
    let failure = first.finish().await.end.expect_err("it stops");
    assert_eq!(failure.reason, "WORKER_DRAINING");
    let ended = Instant::now();
    loop {
        if let Event::Restarted(restarted) = other.next().await.expect("more").expect("well") {
            assert_eq!(restarted.reason, "WORKER_LOST");
            break;
        }
    }
    assert!(ended.elapsed() < LEASE / 2, "the lease is not waited for: {:?}", ended.elapsed());
    timeout(PATIENCE, async { other.finish().await.completed() }).await.expect("an end");
    fleet.workers[0].stopped().await;
    assert_eq!(fleet.upstream_calls(), 2);
}
