//! The JSON of an unstreamed reply.

use serde_json::{Map, Value, json};

use crate::{
    answer::{
        choice::{Choice, Part},
        logprobs, tokens,
    },
    endpoint::Endpoint,
    playback::shape::Envelope,
};

impl Envelope {
    /// Returns the whole answer at once.
    pub(crate) fn reply(&self, choices: &[Choice], usage: Option<&Value>) -> Map<String, Value> {
        let choices: Vec<Value> = choices.iter().map(|choice| self.whole(choice)).collect();
        let mut reply = Map::new();
        for (name, value) in [
            ("id", json!(self.id)),
            ("object", json!(self.object(false))),
            ("created", json!(self.created)),
            ("model", json!(self.model)),
            ("choices", Value::Array(choices)),
        ] {
            reply.insert(name.to_owned(), value);
        }
        if let Some(usage) = usage {
            reply.insert("usage".to_owned(), usage.clone());
        }
        reply
    }

    fn whole(&self, choice: &Choice) -> Value {
        let said =
            choice.parts.iter().filter(|part| matches!(part, Part::Echo(_) | Part::Content(_)));
        let said: Vec<String> = said.flat_map(Part::tokens).cloned().collect();
        let mut whole = match self.endpoint {
            Endpoint::Completions => json!({"index": choice.index, "text": said.concat()}),
            _ => json!({"index": choice.index, "message": self.message(choice, said.concat())}),
        };
        whole["finish_reason"] = json!(choice.finish);
        match logprobs::of(self.logprobs, &said, 0) {
            Some(logprobs) => whole["logprobs"] = logprobs,
            None if self.endpoint == Endpoint::Completions => whole["logprobs"] = Value::Null,
            None => {}
        }
        if self.token_ids {
            whole["token_ids"] = said.iter().map(|token| json!(tokens::id(token))).collect();
        }
        whole
    }

    fn message(&self, choice: &Choice, text: String) -> Value {
        let mut message = json!({"role": "assistant"});
        let calls = calls(&choice.parts);
        // A reply that consists of calls has no content, not an empty one.
        if calls.is_empty() || !text.is_empty() {
            let (member, content) = self.content(text);
            message[member] = content;
        }
        let thoughts = choice.parts.iter().filter(|part| matches!(part, Part::Reasoning(_)));
        let thoughts: String = thoughts.flat_map(Part::tokens).map(String::as_str).collect();
        if !thoughts.is_empty() {
            message[self.reasoning_member()] = json!(thoughts);
        }
        if !calls.is_empty() {
            message["tool_calls"] = Value::Array(calls);
        }
        message
    }
}

fn calls(parts: &[Part]) -> Vec<Value> {
    let mut calls = Vec::new();
    for part in parts {
        if let Part::Calls { calls: spelled, .. } = part {
            // Only a stream can fill an id in later.
            calls.extend(spelled.iter().filter(|call| call["id"] != "").cloned());
        }
        let Part::Call { call, id, name } = part else {
            continue;
        };
        let arguments: String = parts
            .iter()
            .filter(|part| matches!(part, Part::Arguments { call: of, .. } if of == call))
            .flat_map(Part::tokens)
            .map(String::as_str)
            .collect();
        calls.push(json!({
            "index": call,
            "id": id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }));
    }
    calls
}
