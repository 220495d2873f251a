//! The server that leads is killed, or gives some of its keys to another: what
//! runs goes on, and the workers share again by themselves.

use std::time::Duration;

use fireworks_simulator::{Fault, Rule};
use futures_util::future::join_all;
use sparkler::{internals::RedisConfig, proto::CacheStatus};
use tokio::time::Instant;

use super::{cluster::Cluster, sentinels::Sentinels};
use crate::{
    fleet::members::{Fleet, status, unhurried, until_shared},
    support::{Call, Caller, ask, redis_server::Setup},
};

/// What takes longer waits for something that does not come.
const NO_HANG: Duration = Duration::from_secs(5);

/// Less patient than usual, so that a server that is away is noticed.
fn impatient(reached: RedisConfig) -> RedisConfig {
    RedisConfig { timeout: Duration::from_millis(500), ..reached }
}

/// An execution that one worker leads and another follows, under way; with the
/// text received so far.
async fn under_way<R>(fleet: &Fleet<R>, prompt: &str) -> [(Call, String); 2] {
    let asked = || ask(prompt).cached().allow_restart();
    let mut led = fleet.caller(0).await.execute(asked()).await.expect("it runs");
    let led_text = led.first_text().await;
    let mut followed = fleet.caller(1).await.execute(asked()).await.expect("it runs");
    let followed_text = followed.first_text().await;
    [(led, led_text), (followed, followed_text)]
}

/// Both have a whole answer.
async fn end_whole(calls: [(Call, String); 2]) {
    join_all(calls.map(async |(call, beginning)| {
        let received = call.finish().await;
        let kept = if received.restarts.is_empty() { &*beginning } else { "" };
        let text = format!("{kept}{}", received.text);
        assert_eq!(received.completed().choices[0].text, text);
    }))
    .await;
}

/// New executions, soon answered, until the workers share again. None of them
/// hangs.
async fn share_again<R>(what: &str, fleet: &Fleet<R>, since: Instant) {
    fleet.simulator.clear_script();
    fleet.simulator.script(Rule::always(Fault::answer(["Soon."])));
    let callers: [Caller; 2] = [fleet.caller(0).await, fleet.caller(1).await];
    // Several in a row: each server of a Cluster is asked.
    let longest = until_shared(&callers[0], &callers[1], 6).await;
    let after = since.elapsed();
    eprintln!("{what}: shared again after {after:.1?}, no execution longer than {longest:.1?}");
    assert!(longest < NO_HANG, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_of_sentinels_is_killed() {
    let sentinels = Sentinels::start().await;
    let reached = impatient(sentinels.config());
    let mut fleet = Fleet::over(sentinels, &reached, 2, unhurried(), |_| {}).await;
    let calls = under_way(&fleet, "Killed").await;
    let killed = Instant::now();
    fleet.redis.servers[0].stop();
    end_whole(calls).await;
    share_again("the primary of Sentinels is killed", &fleet, killed).await;
    fleet.redis.failed_over().await;
    // It comes back empty, and is made a replica.
    fleet.redis.servers[0].start_again().await;
    fleet.redis.servers[0].answers(&["ROLE"], |role| role.starts_with("slave")).await;
    share_again("it is back as a replica", &fleet, Instant::now()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_of_a_cluster_is_killed() {
    let cluster = Cluster::start(Setup::default()).await;
    let reached = impatient(cluster.config());
    let mut fleet = Fleet::over(cluster, &reached, 2, unhurried(), |_| {}).await;
    let calls = under_way(&fleet, "Killed").await;
    let (at, _) = fleet.redis.flight();
    let killed = Instant::now();
    fleet.redis.servers[at].stop();
    end_whole(calls).await;
    share_again("a primary of a Cluster is killed", &fleet, killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_of_a_cluster_moves_to_another_server() {
    let cluster = Cluster::start(Setup::default()).await;
    let reached = cluster.config();
    let fleet = Fleet::over(cluster, &reached, 2, unhurried(), |_| {}).await;
    let calls = under_way(&fleet, "Moved").await;
    let (at, key) = fleet.redis.flight();
    let moving = fleet.redis.begin_to_move(at, &key);
    // Half of the flight is here and half there.
    moving.take(&key);
    tokio::time::sleep(Duration::from_millis(300)).await;
    moving.finish();
    end_whole(calls).await;
    share_again("a slot has moved", &fleet, Instant::now()).await;
    let callers = [fleet.caller(0).await, fleet.caller(1).await];
    // What the new server has is found by workers that knew the old one.
    let first = callers[0].answer(ask("Moved").cached()).await;
    let second = callers[1].answer(ask("Moved").cached()).await;
    assert_eq!([status(&first), status(&second)], [CacheStatus::Hit; 2]);
}
