//! The client against a scripted provider, and its parts against tables and properties.

use std::time::Duration;

use bytes::Bytes;

use self::{
    notes::Notes,
    provider::{ResponseScript, TestProvider},
};
use super::{Affinity, Attempt, Client, Endpoint, Interrupted, Request};
use crate::{
    credentials::ApiKey,
    error::{Error, ProviderError},
    event::Finish,
};

mod calling;
mod connecting;
mod decoding;
mod failing;
mod generating;
mod notes;
mod probing;
mod provider;
mod refusing;
mod repeating;
mod retrying;
mod splitting;

/// Returns the key of these tests, which must not turn up anywhere.
fn key() -> ApiKey {
    ApiKey::new("fw_canary".to_owned()).expect("a key")
}

fn request() -> Request {
    Request {
        endpoint: Endpoint::ChatCompletions,
        body: Bytes::from_static(br#"{"model":"m","stream":true}"#),
        choices: 1,
        logprobs: false,
    }
}

async fn generate(
    client: &Client,
    request: &Request,
    notes: &mut Notes,
) -> Result<Finish, Interrupted> {
    let attempt = Attempt {
        credential: &key(),
        connect: Duration::from_secs(5),
        affinity: &Affinity::default(),
    };
    client.generate(request, attempt, notes).await
}

/// Runs a script to its end.
async fn run(script: ResponseScript) -> (Result<Finish, Interrupted>, Notes) {
    run_request(script, &request()).await
}

async fn run_request(
    script: ResponseScript,
    request: &Request,
) -> (Result<Finish, Interrupted>, Notes) {
    let provider = TestProvider::start(script).await;
    let mut notes = Notes::default();
    let result = generate(&provider.client(), request, &mut notes).await;
    (result, notes)
}

/// Runs a script that fails at the provider.
async fn fail(script: ResponseScript) -> ProviderError {
    let (result, _) = run(script).await;
    match result {
        Err(Interrupted { error: Error::Provider(error), .. }) => *error,
        other => panic!("not a failure of the provider: {other:?}"),
    }
}
