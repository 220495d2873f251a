//! What survives a lost connection: executions are picked up again by their
//! token, and by their idempotency key, and never paid twice.

mod idempotency;
mod others;
mod picking_up;

use std::time::Duration;

use fireworks_simulator::{Options, Pace};
use sparkler::proto::{AttachExecutionRequest, Credential, ExecutionContext, credential::Source};

/// Answers come token by token, and take a moment.
fn unhurried() -> Options {
    Options {
        pace: Pace { first_token: Duration::from_millis(20), tokens_per_second: 200.0 },
        answer_tokens: 150,
        delta_tokens: 1,
        ..Options::default()
    }
}

/// An attachment to all of an execution.
fn attachment(token: &str) -> AttachExecutionRequest {
    AttachExecutionRequest { execution_token: token.to_owned(), ..Default::default() }
}

fn after(token: &str, after_sequence: u64) -> AttachExecutionRequest {
    AttachExecutionRequest { after_sequence, ..attachment(token) }
}

fn with_key(token: &str, key: &str) -> AttachExecutionRequest {
    let credential = Credential { source: Some(Source::ApiKey(key.to_owned())) };
    AttachExecutionRequest { credential: Some(credential), ..attachment(token) }
}

fn of_tenant(token: &str, tenant: &str) -> AttachExecutionRequest {
    let context = ExecutionContext { tenant: tenant.to_owned(), ..Default::default() };
    AttachExecutionRequest { context: Some(context), ..attachment(token) }
}
