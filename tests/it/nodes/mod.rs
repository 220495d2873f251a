//! The nodes end to end: what they ask of the provider, and what they make of
//! its answers.

mod answers;
mod checks;
mod models;
mod requests;

use fireworks_simulator::Seen;
use serde_json::{Value, json};
use sparkler::proto::ChatMessage;

use crate::support::World;

/// A model whose output is text from the first delta.
const PLAIN: &str = "accounts/simulator/models/plain";

fn message(role: &str, content: &str) -> ChatMessage {
    ChatMessage { role: role.into(), content: content.into(), ..ChatMessage::default() }
}

/// The last request that the provider saw.
fn last_request(world: &World) -> Seen {
    world.simulator.report().requests.back().expect("the provider was asked").clone()
}

fn weather() -> Value {
    json!([{"type": "function", "function": {
        "name": "weather",
        "description": "Reports the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    }}])
}
