//! A token serves only the caller that it was given to.

use fireworks_simulator::Options;
use sparkler::proto::AttachExecutionRequest;
use tonic::Code;

use super::{attachment, of_tenant, with_key};
use crate::support::{Ask, Caller, KEY, World, ask};

async fn token_of(caller: &Caller, asked: Ask) -> String {
    let mut call = caller.execute(asked).await.expect("it runs");
    let token = call.started().await.execution_token;
    call.finish().await.completed();
    token
}

async fn knows(caller: &Caller, request: AttachExecutionRequest) -> bool {
    match caller.attach(request).await {
        Ok(call) => {
            call.finish().await.completed();
            true
        }
        Err(failure) => {
            let reported = (failure.code, failure.reason.as_str());
            assert_eq!(reported, (Code::NotFound, "EXECUTION_NOT_FOUND"));
            false
        }
    }
}

#[tokio::test]
async fn what_is_no_token_is_unknown() {
    let world = World::start().await;
    let caller = world.caller().await;
    let token = token_of(&caller, ask("x")).await;
    let changed = format!("{}{}", &token[..10], token[10..].to_ascii_uppercase());
    for wrong in ["", "x", "not a token", &token[1..], &token[..token.len() - 4], &changed] {
        assert!(!knows(&caller, attachment(wrong)).await, "{wrong:?}");
    }
    assert!(knows(&caller, attachment(&token)).await);
}

#[tokio::test]
async fn a_token_of_another_worker_is_unknown() {
    let (one, other) = (World::start().await, World::start().await);
    let token = token_of(&one.caller().await, ask("x")).await;
    assert!(!knows(&other.caller().await, attachment(&token)).await);
    assert_eq!(other.upstream_calls(), 0);
}

#[tokio::test]
async fn a_token_serves_its_own_tenant_only() {
    let world = World::with(Options::instant(), |config| {
        config.execution.trust_tenant = true;
    })
    .await;
    let caller = world.caller().await;
    let token = token_of(&caller, ask("x").tenant("acme")).await;
    assert!(!knows(&caller, of_tenant(&token, "other")).await);
    assert!(!knows(&caller, attachment(&token)).await);
    assert!(knows(&caller, of_tenant(&token, "acme")).await);
}

#[tokio::test]
async fn a_credential_that_is_shown_must_be_the_executions_own() {
    let world = World::start().await;
    let caller = world.caller().await;
    for asked in [ask("x"), ask("y").cached()] {
        let token = token_of(&caller, asked).await;
        assert!(!knows(&caller, with_key(&token, "fw_somebody_elses_key")).await);
        assert!(knows(&caller, with_key(&token, KEY)).await);
    }
}
