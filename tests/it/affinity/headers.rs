//! The names of a conversation, as the provider sees them.

use std::collections::BTreeMap;

use serde_json::json;
use sparkler::internals::PrefixAffinity;

use crate::{
    affinity::world,
    support::{Ask, World, ask},
};

const SESSION: &str = "x-session-affinity";
const ISOLATION: &str = "x-prompt-cache-isolation-key";

/// The headers of the request that an execution led to.
async fn headers(world: &World, ask: Ask) -> BTreeMap<String, String> {
    world.caller().await.answer(ask).await;
    world.simulator.report().requests.back().expect("a request").headers.clone()
}

#[tokio::test]
async fn a_session_has_one_name_which_does_not_tell_it() {
    let world = world(1, PrefixAffinity::On).await;
    let names = [
        headers(&world, ask("Hi").session("s-1").run("r-1")).await,
        headers(&world, ask("Ho").session("s-1").run("r-2")).await,
        headers(&world, ask("Hi").session("s-2")).await,
        headers(&world, ask("Hi").session("s-1").tenant("acme")).await,
        headers(&world, ask("Hi").run("s-1")).await,
    ]
    .map(|headers| headers[SESSION].clone());
    assert_eq!(names[0], names[1]);
    let others: std::collections::BTreeSet<&String> = names[1..].iter().collect();
    assert_eq!(others.len(), 4, "session, tenant and run are apart: {names:?}");
    for name in &names {
        assert!(name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name}");
    }
}

#[tokio::test]
async fn a_tenant_is_the_isolation_key_as_a_hash() {
    let world = world(1, PrefixAffinity::On).await;
    let one = headers(&world, ask("Hi").tenant("acme")).await;
    let other = headers(&world, ask("Hi").tenant("initech")).await;
    assert_ne!(one[ISOLATION], other[ISOLATION]);
    assert!(!one[ISOLATION].contains("acme") && one[ISOLATION].len() == 32);
    assert!(!one.contains_key(SESSION), "a tenant is not a conversation");
}

#[tokio::test]
async fn a_call_alone_has_no_name() {
    let world = world(1, PrefixAffinity::On).await;
    let headers = headers(&world, ask("Hi").idempotency_key("once")).await;
    assert!(!headers.contains_key(SESSION) && !headers.contains_key(ISOLATION), "{headers:?}");
}

#[tokio::test]
async fn the_fields_of_the_node_win() {
    let world = world(1, PrefixAffinity::On).await;
    let named = || ask("Hi").session("s-1").tenant("acme");
    for field in ["user", "promptCacheKey"] {
        let headers = headers(&world, named().set(field, json!("own"))).await;
        assert!(!headers.contains_key(SESSION) && headers.contains_key(ISOLATION), "{field}");
    }
    let headers = headers(&world, named().set("promptCacheIsolationKey", json!("own"))).await;
    assert!(headers.contains_key(SESSION) && !headers.contains_key(ISOLATION));
}

#[tokio::test]
async fn nothing_is_named_where_it_is_not_wanted() {
    for affinity in [PrefixAffinity::Off, PrefixAffinity::Auto] {
        let world = world(1, affinity).await;
        let headers = headers(&world, ask("Hi").session("s-1").tenant("acme")).await;
        assert!(!headers.contains_key(SESSION) && !headers.contains_key(ISOLATION), "{affinity:?}");
    }
}

#[tokio::test]
async fn names_are_no_part_of_the_cache_key() {
    let world = world(1, PrefixAffinity::On).await;
    let caller = world.caller().await;
    let asked = |session: &str| ask("Hi").session(session).cached();
    let [first, second] = [
        caller.answer(asked("s-1")).await.cache.expect("an outcome"),
        caller.answer(asked("s-2")).await.cache.expect("an outcome"),
    ];
    assert_eq!(first.key_fingerprint, second.key_fingerprint);
    assert_eq!(world.upstream_calls(), 1);
}
