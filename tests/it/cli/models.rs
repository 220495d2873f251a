//! `sparkler models`: what is known of each model, and nothing that is not.

use sparkler::proto::{Model, ModelPrice};

use crate::{
    cli::program::Program,
    support::scripted_worker::{Script, ScriptedWorker},
};

async fn worker() -> ScriptedWorker {
    let price = ModelPrice {
        tier: "default".to_owned(),
        input_nanodollars: 1_400_000_000,
        cached_input_nanodollars: 260_000_000,
        output_nanodollars: 4_400_000_000,
        price_date: "2026-11-22".to_owned(),
    };
    let known = Model {
        name: "accounts/fireworks/models/glm-5p2".to_owned(),
        context_length: Some(1_048_576),
        chat: Some(true),
        tools: Some(true),
        images: Some(false),
        end_of_life: "2026-12-14".to_owned(),
        successor: "accounts/fireworks/models/glm-5p3".to_owned(),
        prices: vec![price],
        ..Model::default()
    };
    let unknown = Model { name: "accounts/me/models/mine".to_owned(), ..Model::default() };
    ScriptedWorker::start(Script::models(vec![known, unknown])).await
}

#[tokio::test]
async fn every_page_is_listed_and_the_unknown_is_empty() {
    let worker = worker().await;
    let run = Program::calling(&worker, &["models"]).run().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(run.stdout);
}

#[tokio::test]
async fn json_says_only_what_is_known() {
    let worker = worker().await;
    let run = Program::calling(&worker, &["models", "--json"]).run().await;
    insta::assert_snapshot!(run.stdout);
}
