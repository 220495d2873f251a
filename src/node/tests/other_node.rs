//! A second kind of node takes one file and one line: this is the file, and it
//! never calls Fireworks.

use std::time::Duration;

use super::*;
use crate::{
    credentials::ApiKey,
    error::{Error, Violation},
    event::{Delta, FinishReason, Phase, Piece},
    fireworks::Affinity,
    price::Tier,
};

/// Repeats its prompt several times.
struct Echo;

struct EchoConfig {
    times: i64,
}

impl Node for Echo {
    type Config = EchoConfig;
    type Call = Vec<String>;

    const DECLARATION: Declaration = Declaration {
        name: "echo",
        version: 1,
        label: words("Echo", "메아리"),
        description: words("Says its prompt several times.", "프롬프트를 여러 번 말합니다."),
        inputs: &[InputKind::Prompt],
        credential_fields: &[],
        fields: &[&[Field::integer("times", 1, 9, words("Times", "횟수")).or(Literal::Integer(2))]],
        not_fields: &[],
    };

    fn configure(values: Values<'_>) -> EchoConfig {
        EchoConfig { times: values.integer("times").unwrap_or(1) }
    }

    fn model(_config: &EchoConfig) -> &str {
        "echo"
    }

    fn prepare(
        &self,
        config: EchoConfig,
        input: Input,
        _output: &OutputFormat,
    ) -> Prepared<Vec<String>> {
        let Input::Prompt(prompt) = input else {
            unreachable!("echo takes prompts only");
        };
        Prepared {
            tier: Tier::Standard,
            base_url: "".into(),
            endpoint: "echo",
            canonical: format!("{} {prompt}", config.times).into(),
            deltas: true,
            is_alias: false,
            routing: Routing::default(),
            prompt: SentPrompt::default(),
            call: (0..config.times).map(|_| prompt.clone()).collect(),
        }
    }

    async fn run(
        &self,
        call: &Vec<String>,
        _attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        for text in call {
            let delta = Delta { choice: 0, piece: Piece::Text(text.into()) };
            emit.delta(delta).map_err(|error| Interrupted { error, usage: None })?;
        }
        emit.flush();
        Ok(Finish { finish_reasons: vec![FinishReason::Stop], ..Finish::default() })
    }
}

#[derive(Default)]
struct EmittedText(String);

impl Emit for EmittedText {
    fn phase(&mut self, _phase: Phase) {}

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        match delta.piece {
            Piece::Text(text) => self.0.push_str(&text),
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn flush(&mut self) {}
}

fn echo_plan(fields: Value, input: Input) -> Result<Plan, Vec<Violation>> {
    let registry = Registry::new(CLIENT.clone()).with(Echo);
    let node = registry.find("echo").expect("the node");
    node.plan(config(fields), input, &OutputFormat::Text)
}

#[tokio::test]
async fn another_node_runs_beside_those_of_fireworks() {
    let plan = echo_plan(json!({"times": "3", "cache": true}), prompt()).expect("right");
    assert!(plan.cache);
    let key = ApiKey::new("unused".to_owned()).expect("a key");
    let attempt = Attempt {
        credential: &key,
        connect: Duration::from_secs(1),
        affinity: &Affinity::default(),
    };
    let mut collected = EmittedText::default();
    let finish = plan.run(attempt, &mut collected).await.expect("an answer");
    assert_eq!(collected.0, "Say hello.Say hello.Say hello.");
    assert_eq!(finish.finish_reasons, [FinishReason::Stop]);
}

#[test]
fn another_node_is_listed_and_checked_like_the_rest() {
    let registry = Registry::new(CLIENT.clone()).with(Echo);
    let names: Vec<&str> = registry.forms().map(Form::name).collect();
    assert_eq!(names, ["chatFireworks", "echo", "fireworks", "fireworksEmbeddings"]);
    let problems = echo_plan(json!({"times": 10}), Input::Chat(Vec::new())).expect_err("wrong");
    assert_eq!(
        problems,
        [
            Violation::new("config.times", "must be a whole number between 1 and 9, not 10"),
            Violation::new("chat", "is not an input of echo"),
        ]
    );
}

#[test]
fn an_unknown_node_type_is_answered_with_those_known() {
    let error = REGISTRY.find("chatGpt").expect_err("no such node");
    assert_eq!(
        error,
        Error::UnknownNodeType {
            given: "chatGpt".to_owned(),
            known: vec!["chatFireworks", "fireworks", "fireworksEmbeddings"],
        }
    );
}
