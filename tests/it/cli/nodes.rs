//! `sparkler nodes`: the list, for a person and for a program.

use prost_types::value::Kind;
use sparkler::proto::{ListNodeTypesResponse, NodeField, NodeType, Text};

use crate::{
    cli::program::Program,
    support::scripted_worker::{Script, ScriptedWorker},
};

fn text(english: &str, korean: &str) -> Option<Text> {
    Some(Text { en: english.to_owned(), ko: korean.to_owned() })
}

async fn worker() -> ScriptedWorker {
    let model = NodeField {
        name: "modelName".to_owned(),
        r#type: "string".to_owned(),
        required: true,
        help: text("The model's full name.", "모델의 전체 이름."),
        ..NodeField::default()
    };
    let temperature = NodeField {
        name: "temperature".to_owned(),
        r#type: "number".to_owned(),
        default_value: Some(Kind::NumberValue(0.9).into()),
        minimum: Some(0.0),
        maximum: Some(2.0),
        help: text("How freely the model chooses. 0 is always the likeliest token.", ""),
        ..NodeField::default()
    };
    let behaviour = NodeField {
        name: "contextLengthExceededBehavior".to_owned(),
        r#type: "enum".to_owned(),
        options: vec!["truncate".to_owned(), "error".to_owned()],
        help: text("What happens when the prompt and the answer together are too long.", ""),
        ..NodeField::default()
    };
    let chat = NodeType {
        name: "chatFireworks".to_owned(),
        version: 1,
        description: text("Chat completions of Fireworks.ai.", "챗"),
        fields: vec![model.clone(), temperature, behaviour],
        inputs: vec!["prompt".to_owned(), "chat".to_owned()],
        ..NodeType::default()
    };
    let completion = NodeType {
        name: "fireworks".to_owned(),
        fields: vec![model],
        inputs: vec!["prompt".to_owned()],
        ..chat.clone()
    };
    let node_types = vec![chat, completion];
    ScriptedWorker::start(Script::node_types(ListNodeTypesResponse { node_types })).await
}

#[tokio::test]
async fn the_types_come_first_and_then_their_fields() {
    let worker = worker().await;
    let run = Program::calling(&worker, &["nodes"]).run().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(run.stdout);
}

#[tokio::test]
async fn json_is_the_answer_of_the_api() {
    let worker = worker().await;
    let run = Program::calling(&worker, &["nodes", "--json", "--node", "fireworks"]).run().await;
    insta::assert_snapshot!(run.stdout);
}

#[tokio::test]
async fn a_type_that_the_worker_does_not_have_is_bad_usage() {
    let worker = worker().await;
    let run = Program::calling(&worker, &["nodes", "--node", "fireworx"]).run().await;
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("it has chatFireworks, fireworks"), "{}", run.stderr);
}
