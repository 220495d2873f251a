//! A node that panics before it runs: the caller is told, like of any failure,
//! and the worker goes on.

mod support;

use serde_json::json;
use sparkler::{
    event::{Emit, Finish},
    fireworks::{Attempt, Interrupted},
    node::{Declaration, Field, Input, InputKind, Node, Prepared, Shape, Values, words},
    output::OutputFormat,
    proto::CheckNodeRequest,
    simulator::Options,
};
use tonic::Code;

use self::support::{Failure, World, ask};

/// Panics while it reads its configuration.
struct Broken;

impl Node for Broken {
    type Config = ();
    type Call = ();

    const DECLARATION: Declaration = Declaration {
        name: "broken",
        version: 1,
        label: words("Broken", "고장"),
        description: words("Panics while it is configured.", "설정 중에 패닉합니다."),
        inputs: &[InputKind::Prompt],
        credential_fields: &[],
        fields: &[&[Field::new("modelName", Shape::TEXT, words("Model", "모델"))]],
        not_fields: &[],
    };

    fn configure(_values: Values<'_>) {
        panic!("as a broken node would");
    }

    fn model(_config: &()) -> &str {
        "none"
    }

    fn prepare(&self, _config: (), _input: Input, _output: &OutputFormat) -> Prepared<()> {
        unreachable!("it cannot be configured")
    }

    async fn run(
        &self,
        _call: &(),
        _attempt: Attempt<'_>,
        _emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        unreachable!("it cannot be configured")
    }
}

fn assert_worker_failed(failure: &Failure) {
    assert_eq!(failure.code, Code::Internal, "{failure:?}");
    assert_eq!(failure.reason, "WORKER_FAILED");
    assert!(!failure.safe_to_retry());
    assert!(!failure.message.contains("broken node"), "the panic's words stay inside");
}

#[tokio::test]
async fn a_panic_before_the_execution_is_a_failure_with_a_name() {
    let configure = |config: &mut sparkler::config::Config| config.admission.executions = 1;
    let nodes = |nodes: sparkler::node::Registry| nodes.with(Broken);
    let world = World::with_nodes(Options::instant(), configure, nodes).await;
    let caller = world.caller().await;
    for _ in 0..3 {
        assert_worker_failed(&caller.failure(ask("x").node("broken")).await);
    }
    let request = ask("x").set("modelName", json!("m")).request();
    let check = CheckNodeRequest {
        node_type: "broken".to_owned(),
        config: request.config,
        credential: request.credential,
        context: None,
    };
    assert_worker_failed(&caller.check(check).await.expect_err("it panics"));
    caller.answer(ask("and you?")).await;
}
