//! The members of a reply that only some requests ask for: `prompt_token_ids`,
//! `perf_metrics`, `raw_output`. `timeline` spreads them over a stream.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::answer::{
    choice::{Choice, Part},
    generation::Generation,
    tokens,
    usage::Usage,
};

/// The requested members only.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// On the first chunk.
    pub(crate) prompt_token_ids: Option<Value>,
    /// On the last chunk.
    pub(crate) perf_metrics: Option<Value>,
    /// On each choice's finish, by position; empty if not requested.
    pub(crate) raw_outputs: Vec<Value>,
}

impl Extras {
    /// Collects the requested members; `elapsed` is the time to the first token.
    pub(crate) fn of(
        generation: &Generation,
        choices: &[Choice],
        usage: Usage,
        elapsed: Duration,
    ) -> Extras {
        let prompt = generation.prompts.first().map_or("", String::as_str);
        let raw = if generation.raw_output { choices } else { &[] };
        Extras {
            prompt_token_ids: generation.return_token_ids.then(|| ids(tokens::split(prompt))),
            perf_metrics: generation.perf_metrics.then(|| perf_metrics(usage, elapsed)),
            raw_outputs: raw.iter().map(|choice| raw_output(prompt, choice)).collect(),
        }
    }

    /// Adds all of them to an unstreamed reply.
    pub(crate) fn add_to(self, reply: &mut Map<String, Value>) {
        let top =
            [("prompt_token_ids", self.prompt_token_ids), ("perf_metrics", self.perf_metrics)];
        for (name, value) in top {
            if let Some(value) = value {
                reply.insert(name.to_owned(), value);
            }
        }
        let choices = reply.get_mut("choices").and_then(Value::as_array_mut);
        for (choice, raw) in choices.into_iter().flatten().zip(self.raw_outputs) {
            choice["raw_output"] = raw;
        }
    }
}

/// Returns the performance headers without their prefix; times in seconds, as text.
fn perf_metrics(usage: Usage, elapsed: Duration) -> Value {
    let seconds = format!("{:.3}", elapsed.as_secs_f64());
    json!({
        "prompt-tokens": usage.prompt,
        "cached-prompt-tokens": usage.cached,
        "server-time-to-first-token": seconds,
        "server-processing-time": seconds,
    })
}

fn raw_output(prompt: &str, choice: &Choice) -> Value {
    let said = || choice.parts.iter().flat_map(Part::tokens).map(String::as_str);
    json!({
        "prompt_fragments": [prompt],
        "prompt_token_ids": ids(tokens::split(prompt)),
        "completion": said().collect::<String>(),
        "completion_token_ids": ids(said()),
    })
}

fn ids<'a>(tokens: impl Iterator<Item = &'a str>) -> Value {
    tokens.map(|token| json!(tokens::id(token))).collect()
}
