//! Forms, and checks of what was filled in.

use fireworks_simulator::{
    FORBIDDEN_KEY, Fault, Options, Rule, SUSPENDED_KEY, UNKNOWN_KEY, UNPAID_KEY,
};
use serde_json::{Value, json};
use sparkler::proto::{Finding, finding::Verdict};
use tonic::Request;

use crate::support::{KEY, MODEL, PATIENCE, World, ask};

const FORBIDDEN: &str = "accounts/simulator/models/forbidden";

#[tokio::test]
async fn every_node_type_describes_a_form_that_can_be_drawn() {
    let world = World::start().await;
    let types = world.caller().await.node_types().await;
    let names: Vec<&str> = types.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["chatFireworks", "fireworks", "fireworksEmbeddings"]);
    for node in &types {
        let embeds = node.name == "fireworksEmbeddings";
        assert_eq!(node.inputs, if embeds { &["texts"][..] } else { &["prompt", "chat"] });
        assert_eq!(node.credential_fields[0].name, "api_key");
        let schema: Value = serde_json::from_str(&node.config_schema).expect("JSON");
        jsonschema::validator_for(&schema).expect("a JSON Schema");
        for field in &node.fields {
            let label = field.label.as_ref().expect("a label");
            assert!(!label.en.is_empty() && !label.ko.is_empty(), "{}", field.name);
            assert!(schema["properties"].get(&field.name).is_some(), "{}", field.name);
        }
        let required = node.fields.iter().filter(|field| field.required);
        assert_eq!(required.map(|field| field.name.as_str()).collect::<Vec<_>>(), ["modelName"]);
    }
}

#[tokio::test]
async fn a_check_says_yes_no_or_unknown_and_spends_nothing() {
    use Verdict::{No, Unknown, Yes};
    let world = World::start().await;
    let caller = world.caller().await;
    for (name, asked, verdicts, reason) in [
        ("good", ask("").model(MODEL), [Yes, Yes, Yes], ""),
        ("unknown key", ask("").key(UNKNOWN_KEY), [Yes, No, Unknown], "CREDENTIAL_REJECTED"),
        ("forbidden key", ask("").key(FORBIDDEN_KEY), [Yes, Yes, No], "MODEL_FORBIDDEN"),
        ("forbidden model", ask("").model(FORBIDDEN), [Yes, Yes, No], "MODEL_FORBIDDEN"),
        ("unpaid", ask("").key(UNPAID_KEY), [Yes, Yes, Unknown], "BILLING_REQUIRED"),
        ("suspended", ask("").key(SUSPENDED_KEY), [Yes, Yes, Unknown], "ACCOUNT_SUSPENDED"),
        ("unknown model", ask("").model("accounts/a/models/b"), [Yes, Yes, No], "MODEL_NOT_FOUND"),
        ("no credential", ask("").no_credential(), [Yes, Unknown, Unknown], ""),
        ("bad field", ask("").set("topP", json!(7)), [No, Unknown, Unknown], "INVALID_NODE_CONFIG"),
    ] {
        let response = caller.check(asked.check()).await.expect(name);
        let reported: Vec<Verdict> = response.findings.iter().map(Finding::verdict).collect();
        assert_eq!(reported, verdicts, "{name}: {:?}", response.findings);
        let subjects: Vec<&str> =
            response.findings.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(subjects, ["config", "credential", "model"]);
        let reasons: String =
            response.findings.iter().map(|finding| finding.reason.as_str()).collect();
        assert_eq!(reasons, reason, "{name}");
        assert!(response.findings.iter().all(|finding| !finding.basis.is_empty()), "{name}");
    }
    assert_eq!(world.simulator.report().completion_tokens, 0);
    let failure = caller.check(ask("").node("openai").check()).await.expect_err("no such node");
    assert_eq!(failure.reason, "UNKNOWN_NODE_TYPE");
}

#[tokio::test]
async fn a_check_of_a_provider_that_is_down_says_unknown() {
    let world = World::with(Options::instant(), |_| {}).await;
    let caller = world.caller().await;
    for fault in [Fault::HangUp, Fault::status(503), Fault::status(429), Fault::status(500)] {
        world.simulator.clear_script();
        world.simulator.script(Rule::always(fault.clone()));
        let response = caller.check(ask("").key(KEY).check()).await.expect("findings");
        let reported: Vec<Verdict> = response.findings.iter().map(Finding::verdict).collect();
        assert_eq!(reported, [Verdict::Yes, Verdict::Unknown, Verdict::Unknown], "{fault:?}");
    }
}

#[tokio::test]
async fn a_check_answers_within_the_callers_deadline() {
    let world = World::start().await;
    world.simulator.script(Rule::always(Fault::SlowHead { delay: PATIENCE }));
    let mut request = Request::new(ask("").check());
    request.metadata_mut().insert("grpc-timeout", "500m".parse().expect("a header value"));
    let response = world.caller().await.client().check_node(request).await.expect("findings");
    let findings = response.into_inner().findings;
    assert_eq!(findings[1].verdict(), Verdict::Unknown);
    assert!(findings[1].basis.contains("in time"), "{}", findings[1].basis);
}
