//! Whatever Redis is made of and however it is reached, the fleet is one: a
//! repeat is a hit, a crowd is one upstream call, and what one worker has begun
//! another goes on with.

use std::time::Duration;

use fireworks_simulator::{Options, Pace};
use futures_util::future::join_all;
use secrecy::SecretString;
use sparkler::{
    config::Config,
    internals::{Credential, RedisConfig},
    proto::{AttachExecutionRequest, CacheStatus},
};

use super::{
    cluster::Cluster,
    sentinels::Sentinels,
    tls::{over_tls, trusted},
};
use crate::{
    fleet::members::{Fleet, status, unhurried},
    support::{
        ask,
        authority::Authority,
        redis_server::{RedisServer, Setup, reached_at},
    },
};

const WORKERS: usize = 3;
const EACH: usize = 60;

/// Answers take so long that a crowd has come before the end.
fn slow_to_begin() -> Options {
    let pace = Pace { first_token: Duration::from_millis(1500), tokens_per_second: 200.0 };
    Options { pace, ..unhurried() }
}

/// Three workers over such servers are one.
pub(crate) async fn are_one<R>(servers: R, reached: &RedisConfig) -> Fleet<R> {
    // Nobody is lost here, however busy the machine is.
    let patient = |config: &mut Config| {
        config.fleet.as_mut().expect("a fleet").lease = Duration::from_secs(60);
    };
    let fleet = Fleet::over(servers, reached, WORKERS, slow_to_begin(), patient).await;
    a_crowd_is_one_call(&fleet).await;
    a_repeat_is_a_hit(&fleet).await;
    another_goes_on(&fleet).await;
    fleet
}

async fn a_crowd_is_one_call<R>(fleet: &Fleet<R>) {
    let callers = join_all((0..WORKERS).map(|worker| fleet.caller(worker))).await;
    let all = callers
        .iter()
        .flat_map(|caller| (0..EACH).map(move |_| caller.recv(ask("What do all ask?").cached())));
    let received = join_all(all).await;
    assert_eq!(received.len(), WORKERS * EACH);
    let mut answers = Vec::new();
    for received in received {
        let text = received.text.clone();
        let completed = received.completed();
        assert_eq!(completed.choices[0].text, text, "the deltas are the answer");
        answers.push(completed.choices);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "everyone receives the same");
    assert_eq!(fleet.upstream_calls(), 1);
}

/// Many, so that each server of a Cluster has some.
async fn a_repeat_is_a_hit<R>(fleet: &Fleet<R>) {
    let before = fleet.upstream_calls();
    let (first, second) = (fleet.caller(0).await, fleet.caller(1).await);
    join_all((0..12).map(async |number| {
        let asked = || ask(&format!("Repeated {number}")).cached();
        let answer = first.answer(asked()).await;
        let again = second.answer(asked()).await;
        assert_eq!(status(&again), CacheStatus::Hit);
        assert_eq!(again.choices, answer.choices);
    }))
    .await;
    assert_eq!(fleet.upstream_calls(), before + 12);
}

async fn another_goes_on<R>(fleet: &Fleet<R>) {
    let before = fleet.upstream_calls();
    let asked = ask("Go on").idempotency_key("k").drain();
    let mut call = fleet.caller(0).await.execute(asked).await.expect("it runs");
    let execution_token = call.started().await.execution_token;
    let beginning = call.first_text().await;
    let after_sequence = call.last_sequence();
    drop(call);
    let request = AttachExecutionRequest { execution_token, after_sequence, ..Default::default() };
    let rest = fleet.caller(2).await.attach(request).await.expect("it is known").finish().await;
    let text = beginning + &rest.text;
    assert_eq!(rest.completed().choices[0].text, text, "no word twice, none missing");
    assert_eq!(fleet.upstream_calls(), before + 1);
}

fn password() -> Credential {
    Credential::Password(SecretString::from("a password"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_one_server() {
    let server = RedisServer::start().await;
    let reached = server.config();
    are_one(server, &reached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_server_with_tls_a_user_and_a_password() {
    let authority = Authority::new();
    let server = over_tls(&authority).start().await;
    let rule = "SETUSER sparkler on >apassword ~sparkler:1:* &sparkler:1:notify:* +@all";
    let words: Vec<&str> = rule.split(' ').collect();
    assert_eq!(server.command(&[&["ACL"], &words[..]].concat()).trim(), "OK");
    assert_eq!(server.command(&["ACL", "SETUSER", "default", "off"]).trim(), "OK");
    let reached = RedisConfig {
        authorities: trusted(&authority),
        credential: Credential::Password(SecretString::from("apassword")),
        ..reached_at(&format!("rediss://sparkler@{}/1", server.address))
    };
    are_one((server, authority), &reached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_server_with_a_password() {
    let server = Setup::default().with(&["--requirepass", "a password"]).start().await;
    let reached = RedisConfig { credential: password(), ..server.config() };
    are_one(server, &reached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sentinels() {
    let sentinels = Sentinels::start().await;
    let reached = sentinels.config();
    are_one(sentinels, &reached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_cluster() {
    let cluster = Cluster::start(Setup::default()).await;
    let reached = cluster.config();
    are_one(cluster, &reached).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_cluster_with_tls_and_a_password() {
    let authority = Authority::new();
    let mut setup =
        over_tls(&authority).with(&["--requirepass", "apassword", "--masterauth", "apassword"]);
    setup.client.extend(["-a", "apassword", "--no-auth-warning"].map(str::to_owned));
    let cluster = Cluster::start(setup).await;
    let reached = RedisConfig {
        authorities: trusted(&authority),
        credential: Credential::Password(SecretString::from("apassword")),
        ..cluster.config()
    };
    are_one((cluster, authority), &reached).await;
}
