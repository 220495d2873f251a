//! Texts of several small calls share a request to the provider, if the operator lets them
//! wait for each other.

use std::{collections::BTreeSet, time::Duration};

use fireworks_simulator::{Endpoint, Fault, Options, Rule};
use futures_util::future::join_all;
use serde_json::json;
use sparkler::proto::Completed;
use tokio::time::timeout;

use super::{alone, embeddings, sources, texts, vectors};
use crate::support::{Ask, KEY, PATIENCE, World, embed};

/// Long enough that calls which start together meet on a busy machine.
const WINDOW: Duration = Duration::from_millis(500);

async fn gathering(window: Duration) -> World {
    World::with(Options::instant(), |config| {
        config.execution.embeddings_gather_window = window;
        config.execution.trust_tenant = true;
    })
    .await
}

fn requests(world: &World) -> u64 {
    world.simulator.report().by_endpoint.get(&Endpoint::Embeddings).copied().unwrap_or(0)
}

/// The texts of each request to the provider.
fn sent(world: &World) -> Vec<Vec<String>> {
    let report = world.simulator.report();
    let texts = |body: &serde_json::Value| {
        let texts = body["input"].as_array().expect("texts").iter();
        texts.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    report.requests.iter().map(|request| texts(&request.body)).collect()
}

fn tokens(completed: &Completed) -> u64 {
    completed.usage.and_then(|usage| usage.prompt_tokens).expect("counted")
}

#[tokio::test]
async fn fifty_calls_of_one_text_are_a_handful_of_requests() {
    let world = gathering(WINDOW).await;
    let caller = world.caller().await;
    let asked: Vec<_> = (0..50).map(|name| format!("text {}", "word ".repeat(name))).collect();
    let calls = asked.iter().map(|text| caller.answer(embed([text]).cached()));
    let answers = join_all(calls).await;
    let oracle = alone(&asked).await;
    for (answer, vector) in answers.iter().zip(&oracle) {
        assert_eq!(vectors(answer).concat(), *vector);
        assert_eq!((sources(answer), answer.attempts), ([0, 0, 1, 0], 1));
    }
    let report = world.simulator.report();
    assert!(requests(&world) <= 5, "{} requests", requests(&world));
    assert_eq!((report.texts, report.distinct_texts), (50, 50));
    assert_eq!(answers.iter().map(tokens).sum::<u64>(), report.prompt_tokens);
    let estimated = answers.iter().filter(|answer| embeddings(answer).tokens_estimated);
    assert!(estimated.count() >= 45, "shares of requests are estimates");
    let again = caller.answer(embed(asked.clone()).cached()).await;
    assert_eq!((vectors(&again), sources(&again)), (oracle, [50, 0, 0, 0]));
}

#[tokio::test]
async fn without_a_window_each_call_has_its_own_request() {
    let world = World::start().await;
    let caller = world.caller().await;
    let calls = (0..50).map(|name| caller.answer(embed(texts([name])).cached()));
    let answers = join_all(calls).await;
    assert_eq!(requests(&world), 50);
    assert!(answers.iter().all(|answer| !embeddings(answer).tokens_estimated));
}

#[tokio::test]
async fn a_call_that_waits_alone_is_answered_by_its_own_request() {
    let world = gathering(Duration::from_millis(20)).await;
    let answer = world.caller().await.answer(embed(texts([1, 2])).cached()).await;
    assert_eq!(vectors(&answer), alone(&texts([1, 2])).await);
    assert!(!embeddings(&answer).tokens_estimated, "its texts were by themselves");
    assert_eq!((requests(&world), answer.attempts), (1, 1));
}

/// Every pair of groups differs in one thing that keeps them apart.
#[tokio::test]
async fn calls_that_differ_in_more_than_their_texts_share_no_request() {
    let world = gathering(WINDOW).await;
    let caller = world.caller().await;
    let others = format!("{KEY}_of_another");
    let groups: [(&str, &dyn Fn(Ask) -> Ask); 9] = [
        ("plain", &|ask| ask),
        ("credential", &|ask| ask.key(&others)),
        ("tenant", &|ask| ask.tenant("another")),
        ("model", &|ask| ask.model("accounts/fireworks/models/qwen3-embedding-8b")),
        ("dimensions", &|ask| ask.set("dimensions", json!(8))),
        ("normalize", &|ask| ask.set("normalize", json!(true))),
        ("template", &|ask| ask.set("promptTemplate", json!("query: {text}"))),
        ("batch", &|ask| ask.set("batchSize", json!(100))),
        ("attempts", &|ask| ask.attempts(1)),
    ];
    let asked = |name: &str, number: u32| embed([format!("{name} {number}")]).cached();
    let caller = &caller;
    let calls = groups.iter().flat_map(|(name, with)| {
        (0..4).map(move |number| caller.answer(with(asked(name, number))))
    });
    join_all(calls).await;
    let sent = sent(&world);
    for texts in &sent {
        let groups: BTreeSet<_> = texts.iter().filter_map(|text| text.split(' ').next()).collect();
        assert_eq!(groups.len(), 1, "{texts:?}");
    }
    assert!(sent.len() < 36, "each group is gathered: {sent:?}");
    assert_eq!(sent.concat().len(), 36);
}

#[tokio::test]
async fn sessions_share_a_request_that_names_none_of_them() {
    let world = World::with(Options::instant(), |config| {
        config.execution.embeddings_gather_window = WINDOW;
        config.execution.prefix_affinity = sparkler::internals::PrefixAffinity::On;
        config.execution.trust_tenant = true;
    })
    .await;
    let caller = world.caller().await;
    let calls = (0..4).map(|name| {
        let session = format!("session {name}");
        caller.answer(embed(texts([name])).tenant("one").session(&session))
    });
    join_all(calls).await;
    let report = world.simulator.report();
    assert!(report.requests.len() < 4, "they were gathered");
    for request in &report.requests {
        let several = request.body["input"].as_array().is_some_and(|texts| texts.len() > 1);
        assert_eq!(request.headers.contains_key("x-session-affinity"), !several);
        assert!(request.headers.contains_key("x-prompt-cache-isolation-key"));
    }
}

#[tokio::test]
async fn a_batch_that_is_full_waits_for_nobody() {
    let world = gathering(Duration::from_secs(3600)).await;
    let caller = world.caller().await;
    let asked =
        |names: [usize; 2]| caller.answer(embed(texts(names)).set("batchSize", json!(3)).cached());
    let answers = join_all([[0, 1], [2, 3], [4, 5]].map(asked)).await;
    let oracle = alone(&texts(0..6)).await;
    assert_eq!(answers.iter().flat_map(vectors).collect::<Vec<_>>(), oracle);
    let mut sizes: Vec<_> = sent(&world).iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [3, 3]);
    assert_eq!(answers.iter().map(tokens).sum::<u64>(), 24);
    // The one whose texts are in both has waited for both.
    let mut attempts: Vec<_> = answers.iter().map(|answer| answer.attempts).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 1, 2]);
}

#[tokio::test]
async fn who_leaves_while_waiting_is_left_out_and_the_others_go_on() {
    let world = gathering(WINDOW).await;
    let caller = world.caller().await;
    let leaving = caller.execute(embed(texts([1])).cached()).await.expect("it runs");
    let overdue = caller.recv(embed(texts([2])).cached().total(Duration::from_millis(20)));
    let staying = caller.answer(embed(texts([3])).cached());
    let leave = async { drop(leaving) };
    let ((), overdue, staying) = tokio::join!(leave, overdue, staying);
    assert_eq!(overdue.end.expect_err("a deadline").reason, "TOTAL_TIMEOUT");
    assert_eq!(vectors(&staying), alone(&texts([3])).await);
    assert_eq!(sent(&world), [texts([3])]);
    assert!(!embeddings(&staying).tokens_estimated, "it was alone in the end");
    timeout(PATIENCE, world.admission.idle()).await.expect("every slot is free again");
}

#[tokio::test]
async fn a_text_that_is_refused_fails_its_own_call_alone() {
    let world = gathering(WINDOW).await;
    let caller = world.caller().await;
    let long = "word ".repeat(600);
    let asked = [vec!["one".to_owned(), "two".to_owned()], vec![long], texts([3])];
    let calls = asked.iter().map(|texts| caller.recv(embed(texts.clone()).cached()));
    let [first, second, third] = join_all(calls).await.try_into().ok().expect("three");
    assert_eq!(second.end.expect_err("a refusal").reason, "CONTEXT_TOO_LONG");
    for (received, asked) in [(first, &asked[0]), (third, &asked[2])] {
        let completed = received.completed();
        assert_eq!(vectors(&completed), alone(asked).await);
        assert_eq!(tokens(&completed), expected_tokens(asked));
        assert!(!embeddings(&completed).tokens_estimated, "in the end it was alone");
        assert_eq!(completed.attempts, 2);
    }
    assert_eq!(requests(&world), 4, "one for all, and one for each");
}

fn expected_tokens(texts: &[String]) -> u64 {
    texts.iter().map(|text| text.split(' ').count() as u64).sum()
}

#[tokio::test]
async fn a_shared_request_is_retried_as_one() {
    let world = gathering(WINDOW).await;
    let caller = world.caller().await;
    world.simulator.script(Rule::once(Fault::status(503)));
    let calls = (0..8).map(|name| caller.answer(embed(texts([name])).cached()));
    let answers = join_all(calls).await;
    assert!(requests(&world) < 8, "{} requests", requests(&world));
    assert!(answers.iter().any(|answer| answer.attempts == 2));
    assert_eq!(answers.iter().flat_map(vectors).collect::<Vec<_>>(), alone(&texts(0..8)).await);
}

#[tokio::test]
async fn a_failure_that_is_nobodys_text_reaches_all_of_a_request() {
    let world = gathering(WINDOW).await;
    let caller = world.caller().await;
    world.simulator.script(Rule::always(Fault::status(503)));
    let calls = (0..8).map(|name| caller.failure(embed(texts([name])).attempts(1)));
    let failures = join_all(calls).await;
    assert!(failures.iter().all(|failure| failure.reason == "PROVIDER_UNAVAILABLE"));
    assert!(requests(&world) < 8, "no call has sent its texts again");
}
