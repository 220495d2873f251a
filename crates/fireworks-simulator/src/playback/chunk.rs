//! The events of a stream, for chat and completions. Typed, since there is one
//! for every delta, but for the member that dialects rename.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    answer::{choice::Part, logprobs, tokens},
    endpoint::Endpoint,
    playback::shape::Envelope,
};

/// One event's data.
#[derive(Debug, Serialize)]
pub(crate) struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Said<'a>>,
    pub(crate) usage: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt_token_ids: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) perf_metrics: Option<Value>,
}

/// One choice's part of an event.
#[derive(Debug, Default, Serialize)]
struct Said<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Delta>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Null in completions, absent in chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_output: Option<Value>,
    finish_reason: Option<&'a str>,
}

#[derive(Debug, Default, Serialize)]
struct Delta {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    /// The rest: one member, named as the dialect has it.
    #[serde(flatten)]
    said: BTreeMap<&'static str, Value>,
}

impl Envelope {
    /// Returns the first chunk of a chat choice; completions have none.
    pub(crate) fn role(&self, choice: u32) -> Option<Chunk<'_>> {
        let role = Delta { role: Some("assistant"), ..Delta::default() };
        let said = Said { index: choice, delta: Some(role), ..Said::default() };
        (self.endpoint != Endpoint::Completions).then(|| self.chunk(vec![said]))
    }

    /// Returns a delta; `offset` counts the characters of this choice before it.
    pub(crate) fn part(&self, choice: u32, part: &Part, offset: usize) -> Chunk<'_> {
        let tokens = part.tokens();
        let mut said = self.said(choice, part);
        said.logprobs = logprobs::of(self.logprobs, tokens, offset).or(said.logprobs);
        if self.token_ids {
            said.token_ids = Some(tokens.iter().map(|token| tokens::id(token)).collect());
        }
        self.chunk(vec![said])
    }

    /// Returns a delta of content that was not generated: for faults.
    pub(crate) fn text(&self, text: String) -> Chunk<'_> {
        // No logprobs: they would be as long as the text, which may be megabytes.
        self.chunk(vec![self.said(0, &Part::Content(vec![text]))])
    }

    /// Returns the last chunk of a choice.
    pub(crate) fn finish<'a>(
        &'a self,
        choice: u32,
        reason: &'a str,
        raw_output: Option<Value>,
    ) -> Chunk<'a> {
        let mut said = self.said(choice, &Part::Content(Vec::new()));
        if said.delta.is_some() {
            said.delta = Some(Delta::default());
        }
        said.raw_output = raw_output;
        said.finish_reason = Some(reason);
        self.chunk(vec![said])
    }

    /// Returns the chunk that holds nothing but usage.
    pub(crate) fn usage<'a>(&'a self, usage: &'a Value) -> Chunk<'a> {
        Chunk { usage: Some(usage), ..self.chunk(Vec::new()) }
    }

    fn said(&self, choice: u32, part: &Part) -> Said<'static> {
        let (delta, text, logprobs) = match self.endpoint {
            Endpoint::Completions => (None, Some(part.tokens().concat()), Some(Value::Null)),
            Endpoint::ChatCompletions | Endpoint::Embeddings | Endpoint::Models => {
                (Some(self.delta(part)), None, None)
            }
        };
        Said { index: choice, delta, text, logprobs, ..Said::default() }
    }

    /// Returns a chat delta. A call's first chunk has no arguments; later ones
    /// have no name and a null id.
    fn delta(&self, part: &Part) -> Delta {
        let (member, value) = match part {
            Part::Reasoning(tokens) => (self.reasoning_member(), json!(tokens.concat())),
            Part::Echo(tokens) | Part::Content(tokens) => self.content(tokens.concat()),
            Part::Call { call, id, name } => (
                "tool_calls",
                json!([
                    {"index": call, "id": id, "type": "function", "function": {"name": name}},
                ]),
            ),
            Part::Arguments { call, tokens } => (
                "tool_calls",
                json!([
                    {"index": call, "id": null, "type": "function",
                     "function": {"arguments": tokens.concat()}},
                ]),
            ),
            Part::Calls { calls, .. } => ("tool_calls", json!(calls)),
        };
        Delta { role: None, said: BTreeMap::from([(member, value)]) }
    }

    fn chunk<'a>(&'a self, choices: Vec<Said<'a>>) -> Chunk<'a> {
        Chunk {
            id: &self.id,
            object: self.object(true),
            created: self.created,
            model: &self.model,
            choices,
            usage: None,
            prompt_token_ids: None,
            perf_metrics: None,
        }
    }
}
