//! Tool calls in the forms of other providers.

use serde_json::{Value, json};

use crate::{
    answer::choice::{Choice, Part},
    script::dialect::Dialect,
};

/// Rewrites the tool calls of a choice, if the dialect is about them.
pub(crate) fn rewrite_calls(dialect: Dialect, choice: &mut Choice) {
    let spell: fn(&SpelledCall) -> Vec<Value> = match dialect {
        Dialect::CallsInOneDelta | Dialect::CallPerDelta => |call| vec![call.json(None)],
        Dialect::CallsAtOneIndex => |call| vec![call.json(Some(0))],
        Dialect::LateCallNames => |call| vec![call.nameless(), call.json(Some(call.index))],
        Dialect::Reasoning | Dialect::Refusal | Dialect::ContentParts => return,
    };
    let calls = take_calls(&mut choice.parts);
    if dialect == Dialect::CallsInOneDelta && !calls.is_empty() {
        let spelled = calls.iter().flat_map(spell).collect();
        let tokens = calls.into_iter().flat_map(|call| call.tokens).collect();
        choice.parts.push(Part::Calls { calls: spelled, tokens });
        return;
    }
    for mut call in calls {
        let mut spelled = spell(&call);
        let last = spelled.split_off(spelled.len() - 1);
        let part = |calls, tokens| Part::Calls { calls, tokens };
        choice.parts.extend(spelled.into_iter().map(|call| part(vec![call], Vec::new())));
        choice.parts.push(part(last, std::mem::take(&mut call.tokens)));
    }
}

/// A tool call put together from its deltas.
struct SpelledCall {
    index: u32,
    id: String,
    name: String,
    tokens: Vec<String>,
}

impl SpelledCall {
    fn json(&self, index: Option<u32>) -> Value {
        let function = json!({"name": self.name, "arguments": self.tokens.concat()});
        let mut call = json!({"id": self.id, "type": "function", "function": function});
        if let Some(index) = index {
            call["index"] = json!(index);
        }
        call
    }

    fn nameless(&self) -> Value {
        let function = json!({"name": "", "arguments": ""});
        json!({"index": self.index, "id": "", "type": "function", "function": function})
    }
}

/// Removes the tool calls from the parts.
fn take_calls(parts: &mut Vec<Part>) -> Vec<SpelledCall> {
    let mut calls: Vec<SpelledCall> = Vec::new();
    for part in std::mem::take(parts) {
        match part {
            Part::Call { call: index, id, name } => {
                calls.push(SpelledCall { index, id, name, tokens: Vec::new() });
            }
            Part::Arguments { call: of, tokens } => {
                let call = calls.iter_mut().find(|call| call.index == of);
                call.into_iter().for_each(|call| call.tokens.extend_from_slice(&tokens));
            }
            other => parts.push(other),
        }
    }
    calls
}
