//! No tenant gains from another's prefix.

use sparkler::internals::PrefixAffinity;

use crate::{
    affinity::{in_session, message, text, world},
    support::World,
};

/// The cached tokens of a prompt that a tenant sends in the session `shared`.
async fn cached(world: &World, tenant: &str) -> u64 {
    let messages = [message("system", &text("rules", 300)), message("user", "Hi")];
    let completed =
        world.caller().await.answer(in_session("shared", &messages).tenant(tenant)).await;
    completed.usage.expect("usage").cached_tokens.expect("a count")
}

#[tokio::test]
async fn no_tenant_gains_from_another_s_prefix() {
    let world = world(1, PrefixAffinity::On).await;
    assert_eq!(cached(&world, "acme").await, 0);
    assert_eq!(cached(&world, "initech").await, 0, "the prefix is acme's");
    assert!(cached(&world, "acme").await > 250, "and acme still has it");
}

#[tokio::test]
async fn without_isolation_a_tenant_would_gain() {
    let world = world(1, PrefixAffinity::Off).await;
    assert_eq!(cached(&world, "acme").await, 0);
    assert!(cached(&world, "initech").await > 250);
}

#[tokio::test]
async fn the_cached_share_is_reported() {
    let world = world(1, PrefixAffinity::On).await;
    cached(&world, "acme").await;
    let messages = [message("system", &text("rules", 300)), message("user", "Ho")];
    let ask = in_session("shared", &messages).tenant("acme");
    let usage = world.caller().await.answer(ask).await.usage.expect("usage");
    let share = usage.cached_share.expect("a share");
    let (prompt, cached) = (usage.prompt_tokens.expect("a count"), usage.cached_tokens);
    assert_eq!(share, cached.expect("a count") as f64 / prompt as f64);
    assert!((0.9..1.0).contains(&share), "{share}");
    let (_, page) = crate::support::page(world.admin, "/metrics").await;
    let line = page.lines().find(|line| line.starts_with("sparkler_model_cached_share_sum"));
    let sum: f64 = line.and_then(|line| line.rsplit(' ').next()).expect("a sum").parse().expect("");
    assert!((sum - share).abs() < 1e-9, "the first call had a share of 0: {sum}");
}
