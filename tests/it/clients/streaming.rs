//! An answer as it comes, and what it took; the same again, and paid once.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Rule};
use sparkler::config::Config;

use crate::{clients::client::Client, support::World};

const ANSWER: [&str; 4] = ["Short waves", " are scattered", " more:", " blue ones."];
const TEXT: &str = "Short waves are scattered more: blue ones.\n";

async fn world() -> World {
    let rules = vec![Rule::always(Fault::answer(ANSWER))];
    // Both clients are refused by the provider, not one of them from memory.
    let forgetful = |config: &mut Config| config.refusals_for = Duration::ZERO;
    World::with(Options { rules, ..Options::instant() }, forgetful).await
}

#[tokio::test]
async fn text_streams_and_the_end_says_what_it_took() {
    for client in Client::ALL {
        let world = world().await;
        let run = client.run(&world.url(), &["nodes", "stream"]).await;
        run.output();
        run.says(&["chatFireworks: ", "fireworks: ", TEXT, "  stop; tokens: 9 in, ", " out\n"]);
        run.says(&["spent, $0.0000000 saved", "cache: DISABLED; calls of the provider: 1;"]);
        assert_eq!(world.upstream_calls(), 1);
    }
}

#[tokio::test]
async fn the_same_again_is_a_hit_that_costs_nothing() {
    for client in Client::ALL {
        let world = world().await;
        let run = client.run(&world.url(), &["hit"]).await;
        run.output();
        run.says(&[TEXT, " spent, $0.0000000 saved", "MISS; calls of the provider: 1;"]);
        run.says(&["MISS", TEXT, "$0.0000000 spent, ", "HIT; calls of the provider: 0;"]);
        assert_eq!(world.upstream_calls(), 1);
    }
}

#[tokio::test]
async fn the_same_idempotency_key_is_paid_once_without_any_cache() {
    for client in Client::ALL {
        let world = world().await;
        let run = client.run(&world.url(), &["idempotent"]).await;
        run.output();
        run.says(&[TEXT, "calls of the provider: 1;", TEXT, "$0.0000000 spent, "]);
        assert_eq!(world.upstream_calls(), 1);
    }
}

#[tokio::test]
async fn both_clients_say_the_same() {
    let world = world().await;
    let url = world.url();
    let scenarios = ["nodes", "stream", "idempotent", "failures"];
    let [python, node] = Client::ALL.map(|client| client.run(&url, &scenarios));
    let (python, node) = tokio::join!(python, node);
    assert_eq!(timeless(python.output()), timeless(node.output()));
}

/// The output without its times, such as `; 174 ms`.
fn timeless(output: &str) -> Vec<&str> {
    output
        .lines()
        .map(|line| match line.rsplit_once("; ") {
            Some((before, time)) if time.ends_with(" ms") => before,
            _ => line,
        })
        .collect()
}
