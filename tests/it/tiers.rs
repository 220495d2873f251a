//! Service tiers: any word is sent, the price follows it, and a tier without a price
//! costs the standard rate and says so.

use serde_json::json;
use sparkler::{
    internals::{PriceList, Prices},
    proto::Cost,
};

use crate::support::{MODEL, World, ask, page};

/// A price table in which one model has a rate for `flex` alone.
fn prices() -> PriceList {
    let table = json!({"date": "2026-11-22", "models": [{
        "model": MODEL, "input": 1000.0, "cached_input": 100.0, "output": 4000.0,
        "tiers": {"flex": {"input": 500.0, "cached_input": 50.0, "output": 2000.0}},
    }]});
    PriceList::from(Prices::parse(table.to_string().as_bytes()).expect("well-formed"))
}

async fn world() -> World {
    World::with(fireworks_simulator::Options::instant(), |config| config.prices = prices()).await
}

/// The cost of an answer in a tier. Each question is the same, and the first of them
/// has warmed the provider's prompt cache.
async fn cost(world: &World, tier: &str) -> Cost {
    let asked = ask("Why?").set("serviceTier", json!(tier)).set("maxTokens", json!(5));
    world.caller().await.answer(asked).await.cost.expect("a cost")
}

#[tokio::test]
async fn the_price_follows_the_tier_that_was_asked_for() {
    let world = world().await;
    cost(&world, "default").await;
    let [standard, flex] = [cost(&world, "default").await, cost(&world, "flex").await];
    assert_eq!(flex.spent_nanodollars * 2, standard.spent_nanodollars);
    assert_eq!((standard.tier.as_str(), standard.tier_unpriced), ("default", false));
    assert_eq!((flex.tier.as_str(), flex.tier_unpriced), ("flex", false));
    let sent = world.simulator.report().requests.back().expect("a request").body.clone();
    assert_eq!(sent["service_tier"], "flex");
}

#[tokio::test]
async fn a_tier_without_a_price_costs_the_standard_rate() {
    let world = world().await;
    cost(&world, "default").await;
    let [standard, spot] = [cost(&world, "default").await, cost(&world, "spot").await];
    assert_eq!(spot.spent_nanodollars, standard.spent_nanodollars);
    assert_eq!((spot.tier.as_str(), spot.tier_unpriced), ("default", true));
    let (_, page) = page(world.admin, "/metrics").await;
    let line = page.lines().find(|line| line.starts_with("sparkler_model_unpriced_total{"));
    let line = line.expect("it is counted");
    assert!(line.contains(r#"sparkler_price_missing="tier""#) && line.ends_with(" 1"), "{line}");
}

#[tokio::test]
async fn a_check_warns_of_a_word_that_is_not_known() {
    let world = world().await;
    let caller = world.caller().await;
    for (tier, warned) in [("flex", false), ("turbo", true)] {
        let check = ask("Why?").set("serviceTier", json!(tier)).check();
        let findings = caller.check(check).await.expect("it is checked").findings;
        let config = findings.first().expect("a finding");
        assert_eq!(config.verdict(), sparkler::proto::finding::Verdict::Yes);
        assert_eq!(config.basis.contains("serviceTier"), warned, "{}", config.basis);
        assert!(!config.basis.contains("turbo"), "a caller's text is not repeated");
    }
}
