//! The rights that `docs/fleet.md` asks for are enough for all that a worker does,
//! and none of them is unused.

use std::{collections::BTreeSet, fs, path::Path};

use secrecy::SecretString;
use sparkler::internals::{Credential, RedisConfig};

use super::{cluster::Cluster, forms::are_one, sentinels::Sentinels};
use crate::{
    fleet::members::Fleet,
    support::{
        ask,
        redis_server::{RedisServer, Setup, reached_at},
    },
};

const PASSWORD: &str = "apassword";

/// The rules of the user, as the documentation gives them; `of` is the form that
/// needs them: the first words of the line.
fn documented(of: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fleet.md");
    let text = fs::read_to_string(file).expect("it is there");
    let line = text.lines().find(|line| line.starts_with(of)).expect("it is documented");
    line.split_whitespace()
        .filter(|word| word.starts_with(['~', '&', '+']))
        .map(str::to_owned)
        .collect()
}

/// A user `sparkler` that may do this and nothing else.
fn admit(server: &RedisServer, rules: &[String]) {
    let password = format!(">{PASSWORD}");
    let user = ["ACL", "SETUSER", "sparkler", "reset", "on", &password];
    let words: Vec<&str> = user.into_iter().chain(rules.iter().map(String::as_str)).collect();
    assert_eq!(server.command(&words).trim(), "OK", "{words:?}");
}

fn reached_as_user(url: &str) -> RedisConfig {
    let credential = Credential::Password(SecretString::from(PASSWORD));
    RedisConfig { credential, ..reached_at(&url.replacen("://", "://sparkler@", 1)) }
}

/// What was refused to anybody: commands, keys or channels.
fn refused(server: &RedisServer) -> BTreeSet<String> {
    let log = server.command(&["ACL", "LOG"]);
    let lines: Vec<&str> = log.lines().collect();
    let objects = lines.windows(2).filter(|pair| pair[0] == "object");
    objects.map(|pair| pair[1].to_owned()).collect()
}

/// The commands, by their names in capital letters, that some server has run.
fn used<'a>(servers: impl IntoIterator<Item = &'a RedisServer>) -> BTreeSet<String> {
    let stats = servers.into_iter().map(|server| server.command(&["INFO", "commandstats"]));
    let names = |text: String| {
        let lines = text.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
        lines.filter_map(|line| line.split(':').next()).map(str::to_uppercase).collect::<Vec<_>>()
    };
    stats.flat_map(names).collect()
}

/// What the rules allow, likewise.
fn allowed(rules: &[String]) -> BTreeSet<String> {
    rules.iter().filter_map(|rule| rule.strip_prefix('+')).map(str::to_uppercase).collect()
}

/// What workers do besides: a subscriber leaves, and an execution fails for its key.
async fn leave_and_fail<R>(fleet: &Fleet<R>) {
    let mut led = fleet.caller(0).await.execute(ask("Leave").cached()).await.expect("it runs");
    led.first_text().await;
    let mut left = fleet.caller(1).await.execute(ask("Leave").cached()).await.expect("it runs");
    left.first_text().await;
    drop(left);
    led.finish().await.completed();
    let asked = ask("Fail").idempotency_key("fails").model("accounts/fireworks/models/none");
    fleet.caller(0).await.failure(asked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_of_one_server_needs_what_is_documented_and_no_more() {
    let server = RedisServer::start().await;
    let rules = documented("ACL SETUSER");
    admit(&server, &rules);
    let reached = reached_as_user(&server.url());
    let fleet = are_one(server, &reached).await;
    leave_and_fail(&fleet).await;
    assert_eq!(refused(&fleet.redis), BTreeSet::new());
    let unused = &allowed(&rules) - &used([&fleet.redis]);
    assert!(unused.is_empty(), "{unused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_sentinels_it_is_asked_for_its_role_too() {
    let sentinels = Sentinels::start().await;
    let rules = [documented("ACL SETUSER"), documented("Sentinels:")].concat();
    sentinels.servers.iter().for_each(|server| admit(server, &rules));
    let reached = reached_as_user(&sentinels.url());
    let fleet = are_one(sentinels, &reached).await;
    assert_eq!(refused(&fleet.redis.servers[0]), BTreeSet::new());
    let used = used(&fleet.redis.servers);
    assert!(allowed(&documented("Sentinels:")).is_subset(&used), "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_it_is_asked_for_the_slots_too() {
    let cluster = Cluster::start(Setup::default()).await;
    let rules = [documented("ACL SETUSER"), documented("A Cluster:")].concat();
    cluster.servers.iter().for_each(|server| admit(server, &rules));
    let reached = reached_as_user(&cluster.url());
    let fleet = are_one(cluster, &reached).await;
    // Asked by the library of each server, and not missed where it is refused.
    let named = BTreeSet::from(["client|setinfo".to_owned()]);
    for server in &fleet.redis.servers {
        assert_eq!(&refused(server) - &named, BTreeSet::new());
    }
    let used = used(&fleet.redis.servers);
    assert!(allowed(&documented("A Cluster:")).is_subset(&used), "{used:?}");
}
