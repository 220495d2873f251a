//! The models of a credential: what the provider states of them, and their end.

use std::{sync::Arc, time::Duration};

use fireworks_simulator::{Endpoint, Fault, Model, Options, Rule, UNKNOWN_KEY};
use sparkler::proto::{self, Credential, ListModelsRequest, credential};

use crate::support::{KEY, MODEL, World, ask};

const PLAIN: &str = "accounts/simulator/models/plain";
const ENDING: &str = "accounts/simulator/models/ending";
const RETIRED: &str = "accounts/simulator/models/retired";

fn find<'a>(models: &'a [proto::Model], name: &str) -> &'a proto::Model {
    models.iter().find(|model| model.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn page(size: u32, token: &str) -> ListModelsRequest {
    let source = credential::Source::ApiKey(KEY.to_owned());
    ListModelsRequest {
        credential: Some(Credential { source: Some(source) }),
        page_size: size,
        page_token: token.to_owned(),
        ..ListModelsRequest::default()
    }
}

#[tokio::test]
async fn models_are_listed_with_what_the_provider_states() {
    let world = World::start().await;
    let list = world.caller().await.models(KEY).await.expect("a list");
    let model = find(&list.models, MODEL);
    assert_eq!(model.context_length, Some(1_048_576));
    assert_eq!((model.chat, model.tools, model.images), (Some(true), Some(true), Some(false)));
    assert_eq!((model.completion, model.embeddings, model.reasoning), (None, None, None));
    assert_eq!((model.serverless, model.end_of_life.as_str()), (Some(true), ""));
    assert_eq!(model.prices[0].tier, "default");
    assert!(model.prices[0].input_nanodollars > model.prices[0].cached_input_nanodollars);
    assert_eq!(model.prices[0].price_date.len(), 10);
    let ending = find(&list.models, ENDING);
    assert_eq!((ending.end_of_life.len(), ending.successor.as_str()), (10, PLAIN));
    assert!(ending.prices.is_empty(), "an unknown price is not one of 0");
    assert!(list.models.iter().all(|model| model.name != RETIRED), "it cannot be used");
    assert!(list.models.is_sorted_by_key(|model| &model.name));
    assert_eq!(world.simulator.report().completion_tokens, 0);
}

#[tokio::test]
async fn pages_together_are_the_whole_list() {
    let world = World::start().await;
    let caller = world.caller().await;
    let whole = caller.list_models(page(0, "")).await.expect("a list");
    assert_eq!(whole.next_page_token, "");
    let (mut paged, mut token) = (Vec::new(), String::new());
    for _ in 0..whole.models.len() {
        let one = caller.list_models(page(5, &token)).await.expect("a page");
        assert!(one.models.len() <= 5);
        paged.extend(one.models);
        token = one.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, whole.models);
}

#[tokio::test]
async fn the_provider_is_asked_once_for_each_credential() {
    let world = World::start().await;
    let caller = Arc::new(world.caller().await);
    let lists = (0..20).map(|_| caller.models(KEY));
    for list in futures_util::future::join_all(lists).await {
        assert!(!list.expect("a list").models.is_empty());
    }
    let asked = || (world.upstream_calls(), world.simulator.report().record_calls);
    assert_eq!(asked(), (1, 2), "the list, and the records of two accounts");
    caller.models("fw_of_somebody_else").await.expect("a list");
    assert_eq!(asked(), (2, 4));
}

#[tokio::test]
async fn a_rejected_key_is_refused_from_memory_for_a_while() {
    let world = World::with(Options::instant(), |config| {
        config.refusals_for = Duration::from_secs(60);
    })
    .await;
    let caller = world.caller().await;
    for _ in 0..3 {
        let failure = caller.models(UNKNOWN_KEY).await.expect_err("refused");
        assert_eq!(failure.reason, "CREDENTIAL_REJECTED");
    }
    assert_eq!(world.upstream_calls(), 1);
    let none = caller.list_models(ListModelsRequest::default()).await.expect_err("no credential");
    assert_eq!(none.reason, "INVALID_NODE_CONFIG");
}

#[tokio::test]
async fn a_list_that_fails_is_made_of_the_public_records() {
    let world = World::start().await;
    world.simulator.script(Rule::once(Fault::status(500)).endpoint(Endpoint::Models));
    let list = world.caller().await.models(KEY).await.expect("a list");
    assert_eq!(find(&list.models, MODEL).serverless, Some(true));
    assert!(list.models.iter().all(|model| model.name.starts_with("accounts/fireworks/models/")));
}

#[tokio::test]
async fn long_records_are_read_page_by_page() {
    let models = (0..450).map(|index| {
        Model::new(format!("accounts/fireworks/models/m{index:03}")).retires(0, 30, None)
    });
    let options = Options { models: models.collect(), ..Options::instant() };
    let world = World::with(options, |_| {}).await;
    let list = world.caller().await.models(KEY).await.expect("a list");
    assert_eq!(list.models.len(), 450);
    assert!(list.models.iter().all(|model| !model.end_of_life.is_empty()));
}

#[tokio::test]
async fn a_check_reports_the_end_of_a_model() {
    let world = World::start().await;
    let caller = world.caller().await;
    let model = async |name: &str| {
        let response = caller.check(ask("").model(name).check()).await.expect("findings");
        response.findings.into_iter().find(|finding| finding.subject == "model").expect("one")
    };
    let ending = model(ENDING).await;
    assert_eq!(ending.reason, "");
    assert!(ending.basis.contains("it ends on 2"), "{}", ending.basis);
    assert!(ending.basis.ends_with(&format!("its successor is {PLAIN}")), "{}", ending.basis);
    let retired = model(RETIRED).await;
    assert_eq!(retired.reason, "MODEL_RETIRED");
    assert!(retired.basis.contains("it ended on 2"), "{}", retired.basis);
    assert!(!model(PLAIN).await.basis.contains("ends on"));
    assert_eq!(model("accounts/simulator/models/never").await.reason, "MODEL_NOT_FOUND");
}
