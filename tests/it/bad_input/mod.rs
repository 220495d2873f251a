//! What callers get wrong: a clear error that names the field, nothing asked of
//! the provider, and a worker that goes on.

mod answers;
mod fields;
mod frames;
mod headers;

use sparkler::proto::{ChatMessage, ExecuteNodeRequest};
use tonic::Code;

use crate::support::{Failure, World, ask};

/// A request changed by hand.
fn by_hand(change: impl FnOnce(&mut ExecuteNodeRequest)) -> ExecuteNodeRequest {
    let mut request = ask("x").request();
    change(&mut request);
    request
}

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.into(), content: content.into(), ..ChatMessage::default() }
}

async fn execute(world: &World, request: ExecuteNodeRequest) -> Result<(), Failure> {
    let mut stream = world.caller().await.client().execute_node(request).await?.into_inner();
    while stream.message().await?.is_some() {}
    Ok(())
}

/// Each must be refused as INVALID_NODE_CONFIG, naming this field.
async fn check(rows: Vec<(&str, ExecuteNodeRequest)>) {
    let world = World::start().await;
    let mut wrong = Vec::new();
    for (field, request) in rows {
        let failure = match execute(&world, request).await {
            Ok(()) => {
                wrong.push(format!("{field}: it was executed"));
                continue;
            }
            Err(failure) => failure,
        };
        let named = failure.violations.iter().any(|(named, why)| named == field && !why.is_empty());
        let code = failure.code == Code::InvalidArgument;
        if !named || !code || failure.reason != "INVALID_NODE_CONFIG" || failure.safe_to_retry() {
            wrong.push(format!("{field}: {failure:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(world.upstream_calls(), 0, "nothing was asked of the provider");
    world.caller().await.answer(ask("and now well")).await;
}
