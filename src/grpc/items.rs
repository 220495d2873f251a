//! Counts the items of a request: each takes memory beside its texts, which on the
//! wire is two bytes.

use prost_types::{Struct, Value, value::Kind};

use crate::proto::{
    AttachExecutionRequest, Chat, ChatMessage, CheckNodeRequest, ExecuteNodeRequest,
    ListModelsRequest, ListNodeTypesRequest, Texts, execute_node_request::Input,
};

/// Bytes of an item: a JSON value with its key, a message, or a part of one.
const ITEM_BYTES: usize = 96;

/// The items that a text to embed counts as: it has a flight of its own.
const ITEMS_OF_TEXT: usize = 32;

/// A request that is charged for its items.
pub(super) trait Items {
    /// Returns the number of its items.
    fn items(&self) -> usize {
        0
    }

    /// Returns the memory of its items beside their texts, in bytes.
    fn item_bytes(&self) -> usize {
        self.items().saturating_mul(ITEM_BYTES)
    }
}

impl Items for ExecuteNodeRequest {
    fn items(&self) -> usize {
        let input = match &self.input {
            Some(Input::Chat(Chat { messages })) => messages.iter().map(of_message).sum(),
            Some(Input::Texts(Texts { texts })) => texts.len().saturating_mul(ITEMS_OF_TEXT),
            Some(Input::Prompt(_)) | None => 0,
        };
        self.config.as_ref().map_or(0, of_object) + input + self.tools.len()
    }
}

impl Items for CheckNodeRequest {
    fn items(&self) -> usize {
        self.config.as_ref().map_or(0, of_object)
    }
}

impl Items for AttachExecutionRequest {}
impl Items for ListModelsRequest {}
impl Items for ListNodeTypesRequest {}

fn of_message(message: &ChatMessage) -> usize {
    1 + message.parts.len() + message.tool_calls.len()
}

fn of_object(object: &Struct) -> usize {
    object.fields.values().map(of_value).sum()
}

/// Counts the values within a value, whose depth the decoder has bounded.
fn of_value(value: &Value) -> usize {
    1 + match &value.kind {
        Some(Kind::StructValue(object)) => of_object(object),
        Some(Kind::ListValue(list)) => list.values.iter().map(of_value).sum(),
        _ => 0,
    }
}
