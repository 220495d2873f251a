//! An answer that another worker of the fleet has produced: the call that
//! receives it links to that worker's span.

use fireworks_simulator::Options;
use sparkler::config::Config;

use super::{CHAT, EXECUTE};
use crate::{
    fleet::members::{Fleet, unhurried},
    support::{
        ask,
        sink::{Sink, Span, Spans},
    },
};

/// Two workers of one fleet, and the collector of both.
async fn two(options: Options) -> (Fleet, Sink) {
    let sink = Sink::start().await;
    let fleet = Fleet::with(2, options, |config: &mut Config| sink.traces()(config)).await;
    (fleet, sink)
}

/// The only flight in which the provider was called.
fn producer(spans: &Spans) -> &Span {
    let called = spans.one(CHAT);
    let flights = spans.named("flight");
    flights.into_iter().find(|flight| flight.id == called.parent).expect("its flight")
}

/// The call that did not pay, once all is exported; and what produced its answer.
async fn received(sink: &Sink, status: &str) -> (Span, Span, Spans) {
    let spans = sink
        .wait_until("both calls and both flights", |spans| {
            spans.named(EXECUTE).len() == 2 && spans.named("flight").len() == 2
        })
        .await;
    let calls = spans.named(EXECUTE);
    let has = |call: &&&Span| call.get("sparkler.cache.status") == status;
    let call = calls.iter().find(has).unwrap_or_else(|| panic!("no {status} in {calls:#?}"));
    ((*call).clone(), producer(&spans).clone(), spans)
}

/// What worker B knows of the flight: how it came by the answer.
fn assert_points_to_the_other_worker(call: &Span, producer: &Span, spans: &Spans, source: &str) {
    assert_eq!(call.links, [producer.id.as_str()]);
    assert_ne!(call.trace, producer.trace);
    assert_eq!(producer.get("sparkler.flight.source"), "local");
    let below = spans.below(call);
    let own = below.iter().find(|span| span.name == "flight").expect("as it is received here");
    assert_eq!(own.get("sparkler.flight.source"), source);
    assert!(spans.below(own).is_empty(), "the provider was not called from here");
}

#[tokio::test]
async fn a_hit_points_to_the_flight_of_the_worker_that_paid() {
    let (fleet, sink) = two(Options::instant()).await;
    fleet.caller(0).await.answer(ask("Once").cached()).await;
    fleet.caller(1).await.answer(ask("Once").cached()).await;
    let (call, producer, spans) = received(&sink, "hit").await;
    assert_points_to_the_other_worker(&call, &producer, &spans, "cached");
}

#[tokio::test]
async fn a_follower_points_to_the_flight_of_the_worker_that_leads() {
    let (fleet, sink) = two(unhurried()).await;
    let mut first = fleet.caller(0).await.execute(ask("Together").cached()).await.expect("it runs");
    first.first_text().await;
    let second = fleet.caller(1).await.execute(ask("Together").cached()).await.expect("it runs");
    let (first, second) = tokio::join!(first.finish(), second.finish());
    assert_eq!(first.completed().choices, second.completed().choices);
    let (call, producer, spans) = received(&sink, "joined").await;
    assert_points_to_the_other_worker(&call, &producer, &spans, "remote");
}
