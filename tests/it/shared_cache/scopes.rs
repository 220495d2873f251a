//! Who shares an answer: nobody beyond one credential, unless the operator and
//! the caller both say so.

use fireworks_simulator::Options;
use sparkler::{
    config::Config,
    proto::{
        CacheStatus,
        cache_policy::{Mode, Scope},
    },
};
use tonic::Code;

use super::status;
use crate::support::{Ask, Caller, World, ask};

const ALICE: &str = "fw_alice_of_the_tests";
const BOB: &str = "fw_bob_of_the_tests";

async fn world(configure: impl FnOnce(&mut Config)) -> (World, Caller) {
    let world = World::with(Options::instant(), configure).await;
    let caller = world.caller().await;
    (world, caller)
}

fn only_if_cached(ask: Ask) -> Ask {
    ask.mode(Mode::OnlyIfCached)
}

#[tokio::test]
async fn answers_of_one_credential_are_never_anothers() {
    let (world, caller) = world(|_| {}).await;
    let same = |key: &str| ask("Whose is it?").cached().key(key);
    caller.answer(same(ALICE)).await;
    assert_eq!(status(&caller.answer(same(BOB)).await), CacheStatus::Miss);
    assert_eq!(world.upstream_calls(), 2);
    for key in [ALICE, BOB] {
        let hit = caller.answer(same(key).scope(Scope::Credential)).await;
        assert_eq!(status(&hit), CacheStatus::Hit);
    }
}

#[tokio::test]
async fn executions_of_two_credentials_under_way_are_two() {
    let options = Options::default();
    let world = World::with(options, |_| {}).await;
    let caller = world.caller().await;
    let same = |key: &str| ask("Whose is it?").cached().key(key);
    let (alice, bob) = tokio::join!(caller.answer(same(ALICE)), caller.answer(same(BOB)));
    assert_eq!(world.upstream_calls(), 2);
    assert_eq!([status(&alice), status(&bob)], [CacheStatus::Miss; 2]);
}

#[tokio::test]
async fn an_idempotency_key_holds_for_one_credential() {
    let (world, caller) = world(|_| {}).await;
    let same = |key: &str| ask("Whose is it?").key(key).idempotency_key("1");
    caller.answer(same(ALICE)).await;
    caller.answer(same(BOB)).await;
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn a_tenant_that_nobody_vouches_for_is_refused() {
    let (world, caller) = world(|_| {}).await;
    let failure = caller.failure(ask("x").cached().scope(Scope::Tenant).tenant("acme")).await;
    assert_eq!(failure.code, Code::InvalidArgument);
    assert_eq!(failure.violations[0].0, "cache.scope");
    assert_eq!(world.upstream_calls(), 0);
}

#[tokio::test]
async fn a_tenant_shares_where_the_operator_trusts_callers_to_name_it() {
    let (world, caller) = world(|config| config.execution.trust_tenant = true).await;
    let of = |tenant: &str, key: &str| {
        ask("Whose is it?").cached().scope(Scope::Tenant).tenant(tenant).key(key)
    };
    assert_eq!(status(&caller.answer(of("acme", ALICE)).await), CacheStatus::Miss);
    assert_eq!(status(&caller.answer(of("acme", BOB)).await), CacheStatus::Hit);
    assert_eq!(status(&caller.answer(of("other", ALICE)).await), CacheStatus::Miss);
    let failure = caller.failure(of("", ALICE)).await;
    assert_eq!(failure.violations[0].0, "cache.scope", "no tenant is no tenant");
    let own = only_if_cached(of("acme", ALICE).scope(Scope::Credential));
    assert_eq!(caller.failure(own).await.reason, "NOT_CACHED");
    assert_eq!(world.upstream_calls(), 2);
}

#[tokio::test]
async fn everybody_shares_only_where_the_operator_allows_it() {
    let shared = |key: &str| ask("Whose is it?").cached().scope(Scope::Shared).key(key);
    let (refusing, caller) = world(|_| {}).await;
    let failure = caller.failure(shared(ALICE)).await;
    assert_eq!(failure.code, Code::InvalidArgument);
    assert_eq!(failure.violations[0].0, "cache.scope");
    assert_eq!(refusing.upstream_calls(), 0);

    let (allowing, caller) = world(|config| config.execution.allow_shared_scope = true).await;
    assert_eq!(status(&caller.answer(shared(ALICE)).await), CacheStatus::Miss);
    assert_eq!(status(&caller.answer(shared(BOB)).await), CacheStatus::Hit);
    let own = only_if_cached(shared(ALICE).scope(Scope::Credential));
    assert_eq!(caller.failure(own).await.reason, "NOT_CACHED");
    assert_eq!(allowing.upstream_calls(), 1);
}
