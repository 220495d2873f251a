//! Failures, with all that the worker says of them.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Refusal, Rule};

use crate::{
    clients::client::Client,
    support::{World, ask, page},
};

async fn world(fault: Fault) -> World {
    let rules = vec![Rule::always(fault)];
    World::with(Options { rules, ..Options::instant() }, |_| {}).await
}

#[tokio::test]
async fn a_failure_is_decoded_with_its_details() {
    for client in Client::ALL {
        let world = world(Fault::stall(0)).await;
        let run = client.run(&world.url(), &["failures"]).await;
        run.output();
        run.says(&[
            "INVALID_ARGUMENT INVALID_NODE_CONFIG: ",
            "did you mean temperature?\n  config.temprature: ",
            "said by sparkler; safe to retry: false",
        ]);
        run.says(&[
            "FAILED_PRECONDITION CREDENTIAL_REJECTED: ",
            "said by fireworks.ai; safe to retry: false\n  attempts so far: 1\n",
        ]);
        run.says(&[
            "DEADLINE_EXCEEDED TOTAL_TIMEOUT: ",
            "said by sparkler; safe to retry: true\n  attempts so far: 1\n",
        ]);
    }
}

#[tokio::test]
async fn a_failure_says_how_long_to_wait() {
    for client in Client::ALL {
        let limited = Refusal::rate_limited().header("retry-after", "7");
        let options = Options { rules: vec![Rule::always(limited)], ..Options::instant() };
        let world = World::with(options, |config| config.execution.max_attempts = 1).await;
        let run = client.run(&world.url(), &["stream"]).await;
        assert!(!run.succeeded, "{run:#?}");
        run.says(&[
            "RESOURCE_EXHAUSTED PROVIDER_RATE_LIMITED: ",
            "said by fireworks.ai; safe to retry: true\n  retry after 7 s\n",
        ]);
    }
}

#[tokio::test]
async fn grpc_itself_repeats_no_retries_of_the_worker() {
    for client in Client::ALL {
        let world = World::with(
            Options { rules: vec![Rule::always(Fault::status(503))], ..Options::instant() },
            |config| config.retry.base = Duration::from_millis(1),
        )
        .await;
        let run = client.run(&world.url(), &["stream"]).await;
        run.says(&["UNAVAILABLE PROVIDER_UNAVAILABLE: ", "attempts so far: 3\n"]);
        assert_eq!(world.upstream_calls(), 3, "{client:?}");
    }
}

#[tokio::test]
async fn a_deadline_of_the_call_ends_it() {
    for client in Client::ALL {
        let world = world(Fault::stall(0)).await;
        let run = client.run(&world.url(), &["stream", "--timeout", "0.3"]).await;
        assert!(!run.succeeded, "{run:#?}");
        run.says(&["DEADLINE_EXCEEDED"]);
    }
}

#[tokio::test]
async fn grpc_itself_retries_a_full_worker_after_the_wait_it_names() {
    for client in Client::ALL {
        let rules = vec![Rule::always(Fault::stall(0)).prompt("Hold the place")];
        let world = World::with(Options { rules, ..Options::instant() }, |config| {
            config.admission.executions = 1;
            config.admission.queue_length = 0;
        })
        .await;
        let mut holding =
            world.caller().await.execute(ask("Hold the place")).await.expect("a place");
        holding.started().await;
        let url = world.url();
        let arguments = ["stream"];
        let run = client.run(&url, &arguments);
        let refused_and_then_let_in = async {
            while refusals(&world).await == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            drop(holding);
        };
        let (run, ()) = tokio::join!(run, refused_and_then_let_in);
        run.output();
    }
}

/// How many calls the worker has refused for want of room.
async fn refusals(world: &World) -> u64 {
    let (_, page) = page(world.admin, "/metrics").await;
    let lines = page.lines().filter(|line| line.starts_with("sparkler_admission_refusals_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
