//! The JSON of a stream's events, chat and completions. Called by `timeline`.

use serde_json::{Map, Value, json};

use super::{
    answer::Part, endpoint::Endpoint, generation::Logprobs, logprobs, shape::Envelope, tokens,
};

impl Envelope {
    /// The first chunk of a chat choice; completions have none.
    pub(super) fn role(&self, choice: u32) -> Option<Value> {
        match self.endpoint {
            Endpoint::Completions => None,
            _ => Some(self.chunk(choice, json!({"delta": {"role": "assistant"}}), Value::Null)),
        }
    }

    /// A delta; `offset` is how many characters of this choice came before it.
    pub(super) fn part(&self, choice: u32, part: &Part, offset: usize) -> Value {
        let mut body = match self.endpoint {
            Endpoint::Completions => json!({"text": part.tokens().concat()}),
            _ => json!({"delta": delta(part)}),
        };
        let legacy_null = self.endpoint == Endpoint::Completions;
        if let Some(object) = body.as_object_mut() {
            match logprobs::of(self.logprobs, part.tokens(), offset) {
                Some(logprobs) => {
                    object.insert("logprobs".to_owned(), logprobs);
                }
                None if legacy_null => {
                    object.insert("logprobs".to_owned(), Value::Null);
                }
                None => {}
            }
            if self.token_ids {
                let ids: Vec<u32> = part.tokens().iter().map(|token| tokens::id(token)).collect();
                object.insert("token_ids".to_owned(), json!(ids));
            }
        }
        self.chunk(choice, body, Value::Null)
    }

    /// A delta of content that was not generated: for faults.
    pub(super) fn content(&self, text: String) -> Value {
        let part = Part::Content(vec![text]);
        // Its logprobs would be as long as the text, which may be megabytes.
        let plain = Envelope { logprobs: Logprobs::Absent, ..self.clone() };
        plain.part(0, &part, 0)
    }

    /// The end of a choice.
    pub(super) fn finish(&self, choice: u32, reason: &str, usage: Option<&Value>) -> Value {
        let body = match self.endpoint {
            Endpoint::Completions => json!({"text": "", "logprobs": null}),
            _ => json!({"delta": {}}),
        };
        let mut chunk = self.chunk(choice, body, json!(reason));
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        chunk
    }

    /// The chunk that holds nothing but usage.
    pub(super) fn usage(&self, usage: &Value) -> Value {
        let mut chunk = self.wrap(true, Vec::new());
        chunk.insert("usage".to_owned(), usage.clone());
        Value::Object(chunk)
    }

    fn chunk(&self, choice: u32, body: Value, finish_reason: Value) -> Value {
        let mut members = Map::new();
        members.insert("index".to_owned(), json!(choice));
        if let Value::Object(body) = body {
            members.extend(body);
        }
        members.insert("finish_reason".to_owned(), finish_reason);
        let mut chunk = self.wrap(true, vec![Value::Object(members)]);
        chunk.insert("usage".to_owned(), Value::Null);
        Value::Object(chunk)
    }
}

/// A chat delta. A call's first chunk has no arguments; those after it have no
/// name and a null id.
fn delta(part: &Part) -> Value {
    match part {
        Part::Reasoning(tokens) => json!({"reasoning_content": tokens.concat()}),
        Part::Content(tokens) => json!({"content": tokens.concat()}),
        Part::Call { call, id, name } => json!({"tool_calls": [
            {"index": call, "id": id, "type": "function", "function": {"name": name}},
        ]}),
        Part::Arguments { call, tokens } => json!({"tool_calls": [
            {"index": call, "id": null, "type": "function",
             "function": {"arguments": tokens.concat()}},
        ]}),
    }
}
