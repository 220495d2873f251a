//! A client that leaves, a connection that is lost, and what is left of the
//! execution.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Rule};

use crate::{
    clients::{client::Client, proxy::Proxy},
    support::{PATIENCE, World},
};

const WORDS: usize = 100;

/// `word1 word2 …`, one delta each.
pub(crate) fn words() -> Vec<String> {
    (1..=WORDS).map(|number| format!("word{number} ")).collect()
}

async fn world(fault: Fault) -> World {
    let rules = vec![Rule::always(Fault::answer(words())).and(fault)];
    World::with(Options { rules, ..Options::instant() }, |_| {}).await
}

#[tokio::test]
async fn leaving_stops_the_provider() {
    for client in Client::ALL {
        let world = world(Fault::stall(3)).await;
        let run = client.run(&world.url(), &["cancel"]).await;
        run.output();
        run.says(&["cancelled after 'word1 "]);
        let gone = world.simulator.wait_until(|report| report.aborted == 1, PATIENCE).await;
        let last_abort = gone.expect("the provider is left").last_abort.expect("an abort");
        assert_eq!(last_abort.deltas, 3);
    }
}

#[tokio::test]
async fn what_one_process_began_another_one_ends() {
    for client in Client::ALL {
        let world = world(Fault::SlowDeltas { delay: Duration::from_millis(5) }).await;
        let run = client.run(&world.url(), &["attach"]).await;
        run.output();
        run.says(&["left after 'word1 ", "[attached after event ", "]word", "word99 word100 \n"]);
        assert_eq!(world.upstream_calls(), 1);
    }
}

#[tokio::test]
async fn a_lost_connection_loses_nothing() {
    for client in Client::ALL {
        let world = world(Fault::SlowDeltas { delay: Duration::from_millis(5) }).await;
        // Beyond the head and `started`, and well before the end.
        let proxy = Proxy::cut_once_after(2_000, world.worker).await;
        let run = client.run(&proxy.url(), &["resume"]).await;
        let (before, after) = run.output().split_once("[attached after event ").expect("attached");
        let (_, after) = after.split_once(']').expect("a number");
        let text = format!("{before}{after}");
        assert!(text.contains(&words().concat()), "{:?}: {text}", run.client);
        assert_eq!(proxy.connections(), 2);
        assert_eq!(world.upstream_calls(), 1);
    }
}

#[tokio::test]
async fn without_draining_a_lost_connection_is_a_failure() {
    for client in Client::ALL {
        let world = world(Fault::SlowDeltas { delay: Duration::from_millis(5) }).await;
        let proxy = Proxy::cut_once_after(2_000, world.worker).await;
        let run = client.run(&proxy.url(), &["stream"]).await;
        assert!(!run.succeeded, "{run:#?}");
        run.says(&["word1 ", "UNAVAILABLE: "]);
        let gone = world.simulator.wait_until(|report| report.aborted == 1, PATIENCE).await;
        gone.expect("the provider is left");
    }
}
