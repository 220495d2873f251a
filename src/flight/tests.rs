use std::{
    future::poll_fn,
    task::{Context, Waker},
};

use super::*;
use crate::{
    emit::Emit,
    event::{Delta, Finish, Piece},
    price::Tier,
};

const OPTIONS: SubscribeOptions =
    SubscribeOptions { deltas: true, prompt: true, allows_restart: false, drains: false };

fn flights() -> Arc<Flights> {
    Flights::new(FlightsConfig {
        retention: Duration::from_secs(600),
        retention_bytes: 1 << 20,
        max_answer_bytes: 1 << 16,
    })
}

fn request(shared: Option<u8>, idempotency: Option<Idempotency>) -> JoinRequest {
    let subject = Arc::new(Subject { model: "m".to_owned(), tier: Tier::Standard, json: false });
    JoinRequest {
        subject,
        shared: shared.map(|byte| [byte; 32]),
        idempotency,
        in_fleet: false,
        attachable: true,
    }
}

fn keys(shared: u8) -> JoinRequest {
    request(Some(shared), None)
}

fn idempotent(shared: Option<u8>, key: u8, asked: u8) -> JoinRequest {
    request(shared, Some(Idempotency { key: [key; 32], request: [asked; 32] }))
}

fn lead(
    flights: &Arc<Flights>,
    keys: JoinRequest,
    options: SubscribeOptions,
) -> (Publisher, Subscriber) {
    match flights.join(&keys, options).expect("a join") {
        Join::Leader(publisher, subscriber) => (publisher, subscriber),
        Join::Follower(_) => panic!("somebody else leads"),
    }
}

fn follow(flights: &Arc<Flights>, keys: JoinRequest, options: SubscribeOptions) -> Subscriber {
    match flights.join(&keys, options).expect("a join") {
        Join::Leader(..) => panic!("nobody leads"),
        Join::Follower(subscriber) => subscriber,
    }
}

fn publish(publisher: &mut Publisher, text: &str) {
    publisher
        .delta(Delta { choice: 0, piece: Piece::Text(text.into()) })
        .expect("within the bound");
    publisher.flush();
}

fn complete(mut publisher: Publisher) {
    publisher.record(Finish::default());
    publisher.complete(FlightOutcome::Completed(Stored::Stored));
}

/// Receives until the flight has ended; returns the text and the outcome.
async fn recv_all(subscriber: &mut Subscriber) -> (String, Result<FlightOutcome, Error>) {
    let mut text = String::new();
    loop {
        match subscriber.recv() {
            Ok(Some(Received::Delta(_, delta))) => text.push_str(&delta.text),
            Ok(Some(Received::Restarted { .. })) => text.clear(),
            Ok(Some(Received::Ended(outcome))) => return (text, Ok(outcome)),
            Ok(None) => subscriber.changed().await,
            Err(error) => return (text, Err(error)),
        }
    }
}

#[tokio::test]
async fn identical_executions_share_one_flight_and_all_get_everything() {
    let flights = flights();
    let (mut publisher, mut first) = lead(&flights, keys(1), OPTIONS);
    publish(&mut publisher, "Hello");
    let mut late = follow(&flights, keys(1), OPTIONS);
    publish(&mut publisher, " world");
    complete(publisher);
    assert_eq!(recv_all(&mut first).await.0, "Hello world");
    assert_eq!(recv_all(&mut late).await.0, "Hello world");
    assert_eq!(flights.count(), 0);
}

#[tokio::test]
async fn a_completed_flight_is_not_joined_again() {
    let flights = flights();
    let (publisher, _subscriber) = lead(&flights, keys(1), OPTIONS);
    complete(publisher);
    lead(&flights, keys(1), OPTIONS);
}

#[tokio::test]
async fn a_flight_is_abandoned_when_its_last_subscriber_leaves() {
    let flights = flights();
    let (publisher, first) = lead(&flights, keys(1), OPTIONS);
    let second = follow(&flights, keys(1), OPTIONS);
    let abandoned = publisher.abandoned(Duration::from_secs(60));
    tokio::pin!(abandoned);
    drop(first);
    assert!(futures_util::poll!(&mut abandoned).is_pending(), "one still listens");
    drop(second);
    abandoned.await;
}

#[tokio::test]
async fn nobody_joins_an_abandoned_flight() {
    let flights = flights();
    let (_publisher, subscriber) = lead(&flights, keys(1), OPTIONS);
    drop(subscriber);
    lead(&flights, keys(1), OPTIONS);
}

#[tokio::test(start_paused = true)]
async fn a_draining_flight_runs_on_alone_up_to_its_limit() {
    let flights = flights();
    let draining = SubscribeOptions { drains: true, ..OPTIONS };
    let (publisher, subscriber) = lead(&flights, keys(1), draining);
    let left_at = Instant::now();
    let abandoned = publisher.abandoned(Duration::from_secs(60));
    let id = subscriber.flight();
    drop(subscriber);
    let back = flights.attach(id, 0, OPTIONS).expect("it still runs");
    tokio::time::advance(Duration::from_secs(50)).await;
    drop(back);
    abandoned.await;
    assert_eq!(left_at.elapsed(), Duration::from_secs(110));
}

#[tokio::test]
async fn subscribers_of_a_lost_flight_get_an_error() {
    let flights = flights();
    let (publisher, mut subscriber) = lead(&flights, keys(1), OPTIONS);
    drop(publisher);
    let (_, outcome) = recv_all(&mut subscriber).await;
    let Ok(FlightOutcome::Failed(failure)) = outcome else { panic!("it failed") };
    assert_eq!(failure.error.reason(), "WORKER_FAILED");
    assert_eq!(flights.count(), 0);
}

#[tokio::test]
async fn a_restart_ends_subscribers_that_had_output_and_forbid_it() {
    let flights = flights();
    let (mut publisher, mut strict) = lead(&flights, keys(1), OPTIONS);
    let forgiving = SubscribeOptions { allows_restart: true, ..OPTIONS };
    let mut forgiving = follow(&flights, keys(1), forgiving);
    let final_only = SubscribeOptions { deltas: false, ..OPTIONS };
    let mut final_only = follow(&flights, keys(1), final_only);
    publish(&mut publisher, "old");
    for subscriber in [&mut strict, &mut forgiving, &mut final_only] {
        subscriber.recv().expect("no error yet");
    }
    let mut late = follow(&flights, keys(1), OPTIONS);
    assert!(publisher.may_restart());
    publisher.restart(2, "STREAM_INTERRUPTED");
    publish(&mut publisher, "new");
    complete(publisher);

    assert_eq!(
        recv_all(&mut strict).await.1.expect_err("it had deltas").reason(),
        "STREAM_INTERRUPTED"
    );
    assert_eq!(recv_all(&mut forgiving).await.0, "new");
    assert_eq!(recv_all(&mut late).await.0, "new");
    assert!(recv_all(&mut final_only).await.1.is_ok());
}

#[tokio::test]
async fn a_flight_whose_only_subscriber_had_deltas_may_not_restart() {
    let flights = flights();
    let (mut publisher, mut subscriber) = lead(&flights, keys(1), OPTIONS);
    assert!(publisher.may_restart(), "nothing was received yet");
    publish(&mut publisher, "x");
    subscriber.recv().expect("a delta");
    assert!(!publisher.may_restart());
    drop(subscriber);
    assert!(!publisher.may_restart());
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_refused() {
    let flights = flights();
    let (mut publisher, _subscriber) = lead(&flights, keys(1), OPTIONS);
    let large = "x".repeat(40_000);
    publish(&mut publisher, &large);
    let error = publisher
        .delta(Delta { choice: 0, piece: Piece::Text(large.into()) })
        .expect_err("beyond the bound");
    assert_eq!(error.reason(), "OUTPUT_TOO_LARGE");
}

#[tokio::test]
async fn an_idempotency_key_joins_replays_and_refuses_other_requests() {
    let flights = flights();
    let keys = idempotent(None, 7, 1);
    let (mut publisher, mut first) = lead(&flights, keys.clone(), OPTIONS);
    publish(&mut publisher, "once");
    let mut second = follow(&flights, keys.clone(), OPTIONS);
    let other = idempotent(None, 7, 2);
    assert_eq!(flights.join(&other, OPTIONS).expect_err("mismatch"), Error::IdempotencyMismatch);
    complete(publisher);
    assert_eq!(recv_all(&mut first).await.0, "once");
    assert_eq!(recv_all(&mut second).await.0, "once");

    let idempotency = keys.idempotency.expect("given");
    let mut replayed = flights.replay(idempotency, OPTIONS).expect("same").expect("known");
    assert_eq!(recv_all(&mut replayed).await.0, "once");
    let other = other.idempotency.expect("given");
    assert_eq!(flights.replay(other, OPTIONS).expect_err("mismatch"), Error::IdempotencyMismatch);
}

#[tokio::test]
async fn an_idempotency_key_that_joined_anothers_flight_is_replayed() {
    let flights = flights();
    let (publisher, _leader) = lead(&flights, keys(1), OPTIONS);
    let keys = idempotent(Some(1), 7, 1);
    let _follower = follow(&flights, keys.clone(), OPTIONS);
    complete(publisher);
    assert!(flights.replay(keys.idempotency.expect("given"), OPTIONS).expect("same").is_some());
}

#[tokio::test]
async fn what_is_kept_for_a_key_and_for_a_token_takes_memory_once() {
    let flights = flights();
    // Text that fills most of the retention memory: far more than half of it.
    let text = "x".repeat(60_000);
    let mut subscribers = Vec::new();
    for number in 0..15 {
        let (mut publisher, subscriber) = lead(&flights, idempotent(None, number, 1), OPTIONS);
        publish(&mut publisher, &text);
        complete(publisher);
        subscribers.push(subscriber);
    }
    flights.settle_what_is_kept();
    for (number, subscriber) in subscribers.iter().enumerate() {
        assert!(flights.attach(subscriber.flight(), 0, OPTIONS).is_some(), "{number} is gone");
        let key = Idempotency { key: [number as u8; 32], request: [1; 32] };
        assert!(flights.replay(key, OPTIONS).expect("same").is_some(), "{number} is not replayed");
    }
}

#[tokio::test]
async fn a_failed_execution_is_not_replayed_for_its_key() {
    let flights = flights();
    let keys = idempotent(None, 7, 1);
    let (publisher, _subscriber) = lead(&flights, keys.clone(), OPTIONS);
    publisher.complete(FlightOutcome::Failed(Failure::from(Error::NotCached)));
    assert!(flights.replay(keys.idempotency.expect("given"), OPTIONS).expect("same").is_none());
    lead(&flights, keys.clone(), OPTIONS);
}

#[tokio::test]
async fn a_completed_flight_can_be_attached_to_and_resumed() {
    let flights = flights();
    let (mut publisher, subscriber) = lead(&flights, request(None, None), OPTIONS);
    let id = subscriber.flight();
    publish(&mut publisher, "a");
    publish(&mut publisher, "b");
    complete(publisher);
    drop(subscriber);
    let mut again = flights.attach(id, 1, OPTIONS).expect("it is retained");
    assert_eq!(recv_all(&mut again).await.0, "b");
    assert!(flights.attach(FlightId::random(), 0, OPTIONS).is_none());
}

#[tokio::test]
async fn a_key_completed_since_the_lookup_is_not_paid_again() {
    let flights = flights();
    let (publisher, _subscriber) = lead(&flights, idempotent(None, 9, 1), OPTIONS);
    complete(publisher);
    let mut retry = follow(&flights, idempotent(None, 9, 1), OPTIONS);
    assert!(matches!(recv_all(&mut retry).await.1, Ok(FlightOutcome::Completed(_))));
}

#[tokio::test]
async fn the_oldest_completed_flight_is_evicted_first() {
    let flights = flights();
    let large = "x".repeat(50_000);
    let mut completed = Vec::new();
    for _ in 0..300 {
        let (mut publisher, subscriber) = lead(&flights, request(None, None), OPTIONS);
        publish(&mut publisher, &large);
        complete(publisher);
        completed.push(subscriber.flight());
    }
    let found: Vec<bool> =
        completed.iter().map(|id| flights.attach(*id, 0, OPTIONS).is_some()).collect();
    assert!(found[299], "the newest can be attached to");
    assert!(!found[0], "the oldest has made room");
}

async fn pass_on(original: &MirroredFlight, mirror: &mut Publisher) {
    let MirrorEvent::Events(events) = original.next(mirror.last()).await else {
        panic!("it has completed")
    };
    mirror.relay(events).expect("nothing is missing");
}

#[tokio::test]
async fn a_mirror_publishes_the_events_and_id_of_its_original() {
    let flights = flights();
    let (mut original, first) = lead(&flights, keys(1), OPTIONS);
    publish(&mut original, "a");
    let (mut mirror, mut second) = lead(&flights, idempotent(None, 7, 1), OPTIONS);
    let received = mirror.share([1; 32]).expect("identical executions are in another flight");
    mirror.mirror(received.identity().await);
    assert_eq!(second.flight(), first.flight());
    assert_eq!(flights.count(), 1);
    pass_on(&received, &mut mirror).await;
    // The mirror counts as a subscriber.
    let id = first.flight();
    drop(first);
    publish(&mut original, "b");
    pass_on(&received, &mut mirror).await;
    assert!(flights.attach(id, 0, OPTIONS).is_some());
    complete(original);
    let MirrorEvent::Ended(FlightOutcome::Completed(stored), Some(recording)) =
        received.next(2).await
    else {
        panic!("it has completed");
    };
    mirror.record_mirrored(recording);
    mirror.complete(FlightOutcome::Completed(stored));
    assert_eq!(recv_all(&mut second).await.0, "ab");
    let key = idempotent(None, 7, 1).idempotency.expect("given");
    let mut replayed = flights.replay(key, OPTIONS).expect("same").expect("known");
    assert_eq!(recv_all(&mut replayed).await.0, "ab");
}

#[tokio::test]
async fn an_abandoned_mirror_leaves_its_original_registered() {
    let flights = flights();
    let (original, first) = lead(&flights, keys(1), OPTIONS);
    let (mut mirror, second) = lead(&flights, idempotent(None, 7, 1), OPTIONS);
    mirror.mirror(mirror.share([1; 32]).expect("there is one").identity().await);
    drop(second);
    mirror.complete(FlightOutcome::Failed(Failure::from(Error::Cancelled)));
    assert!(flights.attach(first.flight(), 0, OPTIONS).is_some());
    assert!(
        flights
            .replay(idempotent(None, 7, 1).idempotency.expect("given"), OPTIONS)
            .expect("same")
            .is_none()
    );
    complete(original);
}

#[tokio::test]
async fn a_shared_flight_is_joined_by_identical_executions() {
    let flights = flights();
    let (publisher, _subscriber) = lead(&flights, idempotent(None, 7, 1), OPTIONS);
    assert!(publisher.share([1; 32]).is_none());
    follow(&flights, keys(1), OPTIONS);
    complete(publisher);
    lead(&flights, keys(1), OPTIONS);
}

fn is_watched(publisher: &mut Publisher) -> bool {
    publisher.poll_watched(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[tokio::test]
async fn a_flight_is_watched_if_a_subscriber_wants_its_events_now() {
    let flights = flights();
    let quiet = SubscribeOptions { deltas: false, prompt: false, ..OPTIONS };
    let (mut publisher, _leader) = lead(&flights, keys(1), quiet);
    assert!(!is_watched(&mut publisher));
    for options in [OPTIONS, SubscribeOptions { prompt: true, ..quiet }] {
        let watched = poll_fn(|context| publisher.poll_watched(context));
        let following = async { follow(&flights, keys(1), options) };
        // The first is woken by the second.
        let ((), follower) = tokio::join!(watched, following);
        drop(follower);
        assert!(!is_watched(&mut publisher));
    }
}

#[tokio::test]
async fn without_deltas_only_the_first_output_and_the_end_wake() {
    let flights = flights();
    let quiet = SubscribeOptions { deltas: false, prompt: false, ..OPTIONS };
    let (mut publisher, mut subscriber) = lead(&flights, keys(1), quiet);
    let (first, ()) = tokio::join!(
        async {
            subscriber.changed().await;
            subscriber.recv().expect("no error")
        },
        async { publish(&mut publisher, "a") }
    );
    assert!(first.is_none(), "it receives no delta");
    let changed = subscriber.changed();
    tokio::pin!(changed);
    assert!(futures_util::poll!(&mut changed).is_pending());
    publish(&mut publisher, "b");
    assert!(futures_util::poll!(&mut changed).is_pending());
    assert!(subscriber.has_output());
    complete(publisher);
    changed.await;
}
