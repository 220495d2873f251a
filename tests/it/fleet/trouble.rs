//! Redis stands still, is killed, emptied, evicts or fails over, while flights run
//! whose callers allow no restart: nobody notices but by a delay, and nothing is
//! paid twice, since the leaders live.
//!
//! `SPARKLER_LONG=1` asks for longer stalls, and for the time limit that workers
//! have by default.

use std::{env, time::Duration};

use fireworks_simulator::{Options, Pace};
use futures_util::future::join_all;
use sparkler::{config::Config, internals::RedisConfig, proto::CacheStatus};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::members::{Fleet, status};
use crate::{
    redis_servers::sentinels::Sentinels,
    support::{Call, ask, redis_server::RedisServer},
};

/// The default of workers.
const LEASE: Duration = Duration::from_secs(5);
const FIRST_TOKEN: Duration = Duration::from_millis(1000);
/// From the first call to the last token.
const LASTS: Duration = Duration::from_millis(2000);
/// How late callers may end: those of leaders after their flight, those of followers after
/// the trouble. Less than a lease, which nobody is to wait out.
const LATE: Duration = Duration::from_secs(4);
/// What a caller waits for its end after the trouble.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// To compare with.
    Nothing,
    Frozen(Duration),
    /// And started again, empty, after so long.
    Killed(Duration),
    Emptied,
    Evicted,
}

/// When it begins, counted from the first call.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Start,
    Middle,
    Completion,
}

fn is_long() -> bool {
    env::var_os("SPARKLER_LONG").is_some_and(|long| long == "1")
}

fn troubles() -> Vec<Trouble> {
    let millis = Duration::from_millis;
    let mut troubles = vec![
        Trouble::Nothing,
        Trouble::Frozen(millis(1000)),
        Trouble::Killed(millis(300)),
        Trouble::Emptied,
        Trouble::Evicted,
    ];
    if is_long() {
        troubles.extend([500, 5000, 30_000].map(|stall| Trouble::Frozen(millis(stall))));
        troubles.push(Trouble::Killed(millis(8000)));
    }
    troubles
}

/// Two workers that have reached this Redis.
async fn fleet<R>(redis: R, reached: RedisConfig) -> Fleet<R> {
    let options = Options {
        pace: Pace { first_token: FIRST_TOKEN, tokens_per_second: 100.0 },
        answer_tokens: 100,
        delta_tokens: 1,
        ..Options::default()
    };
    let timeout = Duration::from_millis(if is_long() { 40 } else { 250 });
    let reached = RedisConfig { timeout, ..reached };
    let lease = |config: &mut Config| config.fleet.as_mut().expect("a fleet").lease = LEASE;
    Fleet::over(redis, &reached, 2, options, lease).await
}

async fn befall(redis: &mut RedisServer, trouble: Trouble) {
    match trouble {
        Trouble::Nothing => {}
        Trouble::Frozen(stall) => {
            redis.signal("-STOP");
            sleep(stall).await;
            redis.signal("-CONT");
        }
        Trouble::Killed(gone) => {
            redis.stop();
            sleep(gone).await;
            redis.start_again().await;
        }
        Trouble::Emptied => drop(redis.command(&["FLUSHALL"])),
        Trouble::Evicted => {
            for key in redis.command(&["KEYS", "sparkler:1:*:events"]).lines() {
                redis.command(&["DEL", key]);
            }
        }
    }
}

/// Both workers are asked for each, and the second follows.
async fn asked<R>(fleet: &Fleet<R>, round: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    for worker in 0..2 {
        let caller = fleet.caller(worker).await;
        let begin = (0..EXECUTIONS).map(|number| {
            let caller = caller.clone();
            let asked = ask(&format!("{round}, execution {number}")).cached();
            async move {
                let mut call = caller.execute(asked).await.expect("it runs");
                call.started().await;
                call
            }
        });
        calls.extend(join_all(begin).await);
    }
    calls
}

const EXECUTIONS: u64 = 6;

impl Moment {
    fn after_start(self) -> Duration {
        match self {
            Moment::Start => FIRST_TOKEN / 2,
            Moment::Middle => (FIRST_TOKEN + LASTS) / 2,
            Moment::Completion => LASTS - Duration::from_millis(100),
        }
    }
}

/// Calls of which the second worker's follow, at the moment; when they began, and the
/// provider's calls before. On a busy machine a command may be too late to begin with, and
/// then each worker leads: those calls are given up.
async fn shared<R>(fleet: &Fleet<R>, trouble: &str, moment: Moment) -> (u64, Instant, Vec<Call>) {
    for turn in 0..20 {
        let before = fleet.upstream_calls();
        let began = Instant::now();
        let calls = asked(fleet, &format!("{moment:?} {trouble}, turn {turn}")).await;
        sleep_until(began + moment.after_start()).await;
        if fleet.upstream_calls() - before == EXECUTIONS {
            return (before, began, calls);
        }
        drop(calls);
        sleep(FIRST_TOKEN).await;
    }
    panic!("the workers do not share");
}

/// Calls both workers, disturbs their Redis at the moment, and reads on meanwhile.
async fn disturbed<R>(
    fleet: &mut Fleet<R>,
    (trouble, moment): (&str, Moment),
    disturb: impl AsyncFnOnce(&mut R),
) {
    let (before, began, calls) = shared(fleet, trouble, moment).await;
    let ends = calls.into_iter().map(|call| async {
        let received = timeout(DEADLINE, call.finish()).await.expect("an end");
        (received, began.elapsed())
    });
    let troubled = async {
        disturb(&mut fleet.redis).await;
        began.elapsed()
    };
    let (ends, over) = tokio::join!(join_all(ends), troubled);
    let (led, followed) = ends.split_at(ends.len() / 2);
    let slowest =
        |ends: &[(_, Duration)]| ends.iter().map(|(_, took)| *took).max().expect("callers");
    let (led, followed) = (slowest(led), slowest(followed));
    let failed = ends.iter().filter(|(received, _)| received.end.is_err()).count();
    let calls = fleet.upstream_calls() - before;
    eprintln!(
        "{trouble} at the {moment:?}: {failed} of {} callers failed, those of leaders ended within \
         {led:.1?} and those of followers within {followed:.1?}, {calls} calls of the provider \
         for {EXECUTIONS} executions",
        ends.len(),
    );
    for (received, _) in ends {
        let text = received.text.clone();
        assert!(received.restarts.is_empty(), "{trouble}");
        assert_eq!(received.completed().choices[0].text, text, "{trouble}");
    }
    assert_eq!(calls, EXECUTIONS, "{trouble} at the {moment:?}");
    assert!(led < LASTS + LATE, "{trouble} at the {moment:?}: leaders waited {led:?}");
    assert!(followed < over.max(LASTS) + LATE, "{trouble}: followers waited {followed:?}");
}

async fn nobody_notices(moment: Moment) {
    let redis = RedisServer::start().await;
    let reached = redis.config();
    let mut fleet = fleet(redis, reached).await;
    for trouble in troubles() {
        let disturb = async |redis: &mut RedisServer| befall(redis, trouble).await;
        disturbed(&mut fleet, (&format!("{trouble:?}"), moment), disturb).await;
    }
}

/// The primary is killed, and Sentinels promote its replica a second later.
async fn nobody_notices_a_failover(moment: Moment) {
    let sentinels = Sentinels::start().await;
    let reached = sentinels.config();
    let mut fleet = fleet(sentinels, reached).await;
    let fail_over = async |sentinels: &mut Sentinels| {
        sentinels.servers[0].stop();
        sentinels.failed_over().await;
    };
    disturbed(&mut fleet, ("FailedOver", moment), fail_over).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_trouble_at_the_start() {
    nobody_notices(Moment::Start).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_trouble_in_the_middle() {
    nobody_notices(Moment::Middle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_trouble_at_the_completion() {
    nobody_notices(Moment::Completion).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_a_failover_at_the_start() {
    nobody_notices_a_failover(Moment::Start).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_a_failover_in_the_middle() {
    nobody_notices_a_failover(Moment::Middle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_a_failover_at_the_completion() {
    nobody_notices_a_failover(Moment::Completion).await;
}

/// Redis grants the lead while the worker has stopped waiting for it: the flight runs, and
/// others must not wait for a leader that publishes nothing.
#[tokio::test]
async fn a_leader_that_redis_answered_too_late_is_followed() {
    let options = Options { answer_tokens: 400, ..super::members::unhurried() };
    let fleet = Fleet::with(2, options, |config| {
        config.fleet.as_mut().expect("a fleet").redis.timeout = Duration::from_secs(1);
    })
    .await;
    let asked = || ask("Late").cached();
    fleet.redis.signal("-STOP");
    let mut led = fleet.caller(0).await.execute(asked()).await.expect("it runs");
    let first = led.first_text().await;
    fleet.redis.signal("-CONT");
    let events = ["KEYS", "sparkler:1:*:events"];
    fleet.redis.answers(&events, |keys| !keys.trim().is_empty()).await;
    let followed = fleet.caller(1).await.answer(asked()).await;
    assert_eq!(status(&followed), CacheStatus::Joined);
    let led = led.finish().await;
    assert_eq!(first + &led.text, followed.choices[0].text);
    assert_eq!(status(&led.completed()), CacheStatus::LookupFailed);
    assert_eq!(fleet.upstream_calls(), 1);
}

/// The end is still there, the text is not: an answer that is not whole is none.
#[tokio::test]
async fn an_answer_whose_events_were_evicted_is_not_replayed() {
    let mut fleet = Fleet::of(1, Options::instant()).await;
    let asked = || ask("Evicted").idempotency_key("k");
    let first = fleet.caller(0).await.answer(asked()).await;
    befall(&mut fleet.redis, Trouble::Evicted).await;
    let again = fleet.newcomer().await.answer(asked()).await;
    assert!(!first.choices[0].text.is_empty());
    assert_eq!(again.choices[0].text, first.choices[0].text);
    assert_eq!(fleet.upstream_calls(), 2);
}

/// A follower that goes leaves the idempotency key to the leader.
#[tokio::test]
async fn a_cancelled_follower_leaves_the_key_to_its_leader() {
    let mut fleet = Fleet::of(2, super::members::unhurried()).await;
    let asked = || ask("Cancelled").idempotency_key("k");
    let mut led = fleet.caller(0).await.execute(asked()).await.expect("it runs");
    led.first_text().await;
    let mut followed = fleet.caller(1).await.execute(asked()).await.expect("it runs");
    followed.first_text().await;
    drop(followed);
    let first = led.finish().await.completed();
    // What the follower may do, it has done by now.
    sleep(Duration::from_millis(300)).await;
    let again = fleet.newcomer().await.answer(asked()).await;
    assert_eq!(again.choices, first.choices);
    assert_eq!(fleet.upstream_calls(), 1);
}
