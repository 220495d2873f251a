//! Composes one choice: reasoning, then tool calls or prose or JSON, within the
//! token budget.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::{
    answer::{
        choice::{Choice, Part, call_id, seeded},
        generation::{Generation, ToolUse},
        schema, text, tokens,
    },
    endpoint::Endpoint,
    model::Reasoning,
    options::Options,
};

/// Maximum tokens with `ignore_eos`, whatever `max_tokens` is: answers are
/// composed before they are sent.
const MOST_TOKENS: u32 = 65_536;

/// Composes one choice.
pub(crate) struct Composer<'a> {
    generation: &'a Generation,
    options: &'a Options,
    index: u32,
    rng: Rng,
    /// Tokens that may still be generated.
    budget: u32,
    /// True if something did not fit the budget.
    cut: bool,
    parts: Vec<Part>,
}

impl Composer<'_> {
    pub(crate) fn new<'a>(
        generation: &'a Generation,
        options: &'a Options,
        index: u32,
    ) -> Composer<'a> {
        Composer {
            generation,
            options,
            index,
            rng: seeded(generation, index),
            budget: generation.max_tokens,
            cut: false,
            parts: Vec::new(),
        }
    }

    pub(crate) fn compose(mut self, not_json: bool) -> Choice {
        let finish = self.say(not_json);
        let finish = if self.cut { "length" } else { finish };
        Choice { index: self.index, parts: self.parts, finish: finish.to_owned() }
    }

    /// Composes everything that fits the budget, and returns the finish reason.
    fn say(&mut self, not_json: bool) -> &'static str {
        if self.generation.thinks {
            self.think();
        }
        let called = self.called();
        if !called.is_empty() {
            for (call, (name, parameters)) in (0..).zip(called) {
                self.call(call, name, &parameters);
            }
            return "tool_calls";
        }
        let mut content = match &self.generation.json {
            Some(schema) if !not_json => self.json(schema),
            _ => self.prose(),
        };
        for stop in &self.generation.stop {
            if let Some(place) = content.find(stop.as_str()).filter(|_| !stop.is_empty()) {
                content.truncate(place);
            }
        }
        self.echo();
        self.speak(&content, Part::Content);
        while self.generation.ignore_eos && !self.cut && self.said() < MOST_TOKENS {
            let more = format!(" {}", text::sentence(&mut self.rng));
            self.speak(&more, Part::Content);
        }
        "stop"
    }

    fn said(&self) -> u32 {
        self.generation.max_tokens.saturating_sub(self.budget)
    }

    fn prompt(&self) -> &str {
        let prompt = self.index / self.generation.n.max(1);
        let prompt = usize::try_from(prompt).unwrap_or(usize::MAX);
        self.generation.prompts.get(prompt).map_or("", String::as_str)
    }

    /// Repeats the end of the prompt, as far as requested.
    fn echo(&mut self) {
        let tokens: Vec<&str> = tokens::split(self.prompt()).collect();
        let wanted = usize::try_from(self.generation.echo).unwrap_or(usize::MAX);
        let repeated = &tokens[tokens.len().saturating_sub(wanted)..];
        if !repeated.is_empty() {
            let repeated = repeated.iter().map(|&token| token.to_owned()).collect();
            self.parts.push(Part::Echo(repeated));
        }
    }

    fn think(&mut self) {
        let thoughts = format!(
            "The user asks about “{}”. {}",
            text::topic(&self.generation.topic),
            text::sentence(&mut self.rng)
        );
        let apart = self.generation.endpoint == Endpoint::ChatCompletions
            && self.generation.model.reasoning == Reasoning::Field;
        if apart {
            self.speak(&thoughts, Part::Reasoning);
        } else {
            self.speak(&format!("<think>\n{thoughts}\n</think>\n\n"), Part::Content);
        }
    }

    fn prose(&mut self) -> String {
        let mut prose = format!("On “{}”:", text::topic(&self.generation.topic));
        let mut length = tokens::count(&prose);
        while length < self.options.answer_tokens {
            let sentence = format!(" {}", text::sentence(&mut self.rng));
            length += tokens::count(&sentence);
            prose.push_str(&sentence);
        }
        prose
    }

    fn json(&mut self, schema: &Value) -> String {
        if schema.as_object().is_some_and(|schema| !schema.is_empty()) {
            return schema::instance(schema, &mut self.rng).to_string();
        }
        json!({
            "topic": text::topic(&self.generation.topic),
            "answer": text::sentence(&mut self.rng),
            "words": [text::word(&mut self.rng), text::word(&mut self.rng)],
        })
        .to_string()
    }

    /// Returns the functions that this answer calls, with their arguments.
    fn called(&self) -> Vec<(String, Value)> {
        let tools = &self.generation.tools;
        let functions = tools.functions.iter();
        let named = |name: &str| self.generation.topic.contains(name);
        let mut called: Vec<_> = match &tools.wanted {
            ToolUse::Never => Vec::new(),
            ToolUse::Offered if self.answers_a_tool() => Vec::new(),
            ToolUse::Offered => functions.filter(|(name, _)| named(name)).cloned().collect(),
            ToolUse::Named(wanted) => {
                functions.filter(|(name, _)| name == wanted).cloned().collect()
            }
            ToolUse::Required => {
                let called: Vec<_> =
                    functions.clone().filter(|(name, _)| named(name)).cloned().collect();
                if called.is_empty() { functions.take(1).cloned().collect() } else { called }
            }
        };
        if !tools.parallel {
            called.truncate(1);
        }
        called
    }

    /// Returns true if the last message is a tool's result, which calls for text.
    fn answers_a_tool(&self) -> bool {
        let messages = self.generation.body.get("messages").and_then(Value::as_array);
        let last = messages.and_then(|messages| messages.last());
        last.and_then(|message| message.get("role")).is_some_and(|role| role == "tool")
    }

    fn call(&mut self, call: u32, name: String, parameters: &Value) {
        if self.budget == 0 {
            self.cut = true;
            return;
        }
        self.budget -= 1;
        let id = call_id(&mut self.rng);
        self.parts.push(Part::Call { call, id, name });
        let arguments = match parameters.as_object() {
            Some(schema) if !schema.is_empty() => schema::instance(parameters, &mut self.rng),
            _ => json!({}),
        };
        self.speak(&arguments.to_string(), |tokens| Part::Arguments { call, tokens });
    }

    /// Splits a text into deltas of one to `delta_tokens` tokens, within the budget.
    fn speak(&mut self, text: &str, part: impl Fn(Vec<String>) -> Part) {
        let mut tokens = tokens::split(text).map(str::to_owned).peekable();
        while tokens.peek().is_some() && self.budget > 0 {
            let size = self.rng.u32(1..=self.options.delta_tokens.max(1)).min(self.budget);
            let delta: Vec<String> =
                tokens.by_ref().take(usize::try_from(size).unwrap_or(1)).collect();
            self.budget -= u32::try_from(delta.len()).unwrap_or(self.budget);
            self.parts.push(part(delta));
        }
        self.cut |= tokens.peek().is_some();
    }
}
