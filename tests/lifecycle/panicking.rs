//! A node that panics loses its own flight and nothing else.

use serde_json::Value;
use sparkler::{
    event::{Delta, Emit, Finish, Piece},
    fireworks::{Attempt, Interrupted},
    node::{Declaration, Field, Input, InputKind, Node, Prepared, Shape, Values, words},
    output::OutputFormat,
    price::Tier,
    simulator::Options,
};
use tonic::Code;

use super::support::{Ask, Failure, World, ask};

/// Says a little, and panics.
struct Panicking;

impl Node for Panicking {
    type Config = ();
    type Call = ();

    const DECLARATION: Declaration = Declaration {
        name: "panicking",
        version: 1,
        label: words("Panicking", "패닉"),
        description: words("Says a little, and panics.", "조금 말하고 패닉합니다."),
        inputs: &[InputKind::Prompt],
        credential_fields: &[],
        fields: &[&[Field::new("modelName", Shape::TEXT, words("Model", "모델"))]],
        not_fields: &[],
    };

    fn configure(_values: Values<'_>) {}

    fn model(_config: &()) -> &str {
        "none"
    }

    fn prepare(&self, _config: (), _input: Input, _output: &OutputFormat) -> Prepared<()> {
        Prepared {
            base_url: "".into(),
            endpoint: "panicking",
            canonical: Default::default(),
            deltas: true,
            moving_name: false,
            tier: Tier::Standard,
            call: (),
        }
    }

    async fn run(
        &self,
        _call: &(),
        _attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        let delta = Delta { choice: 0, piece: Piece::Text("Oh".into()) };
        emit.delta(delta).map_err(|error| Interrupted { error, usage: None })?;
        emit.flush();
        // Let the listeners hear it first.
        tokio::task::yield_now().await;
        panic!("as a broken node would");
    }
}

async fn world() -> World {
    World::with_nodes(Options::instant(), |_| {}, |nodes| nodes.with(Panicking)).await
}

fn panicking() -> Ask {
    ask("x").node("panicking")
}

fn assert_worker_failed(failure: &Failure) {
    assert_eq!((failure.code, failure.reason.as_str()), (Code::Internal, "WORKER_FAILED"));
    assert_eq!(failure.domain, "sparkler");
    assert!(!failure.safe_to_retry());
    assert!(!failure.message.contains("broken node"), "the panic's words stay inside");
}

#[tokio::test]
async fn a_panic_ends_its_flight_in_worker_failed_and_the_worker_lives() {
    let world = world().await;
    let caller = world.caller().await;
    for _ in 0..3 {
        assert_worker_failed(&caller.failure(panicking()).await);
        assert!(!caller.answer(ask("And you?")).await.choices.is_empty());
    }
}

#[tokio::test]
async fn followers_of_a_flight_that_panicked_are_told_and_do_not_hang() {
    let world = world().await;
    let caller = world.caller().await;
    let all = (0..20).map(|_| caller.failure(panicking().cached()));
    for failure in futures_util::future::join_all(all).await {
        assert_worker_failed(&failure);
    }
    assert_worker_failed(&caller.failure(panicking().cached()).await);
}

#[tokio::test]
async fn a_place_and_a_key_survive_a_panic() {
    let configure = |config: &mut sparkler::config::Config| config.admission.executions = 2;
    let world =
        World::with_nodes(Options::instant(), configure, |nodes| nodes.with(Panicking)).await;
    let caller = world.caller().await;
    for _ in 0..10 {
        let failure = caller.failure(panicking().idempotency_key("1")).await;
        if failure.reason != "WORKER_SATURATED" {
            assert_worker_failed(&failure);
        }
    }
    let field = Value::from(0);
    let mut answered = false;
    for _ in 0..100 {
        answered |= caller.hear(ask("x").set("temperature", field.clone())).await.end.is_ok();
    }
    assert!(answered, "the places come back");
}
