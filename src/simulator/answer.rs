//! What is said: reasoning, text, tool calls, cut into deltas, and why it ends.
//! The same request gets the same answer. Called by `routes`; `reply` and
//! `timeline` give it its form.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{
    effects::{Effects, ScriptedAnswer},
    endpoint::Endpoint,
    generation::{Generation, ToolUse},
    model::Reasoning,
    options::Options,
    schema, text, tokens,
};

/// The most tokens that `ignore_eos` makes, whatever `max_tokens` is: answers
/// are made before they are sent.
const MOST_TOKENS: u32 = 65_536;

/// One of the `n` answers.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) index: u32,
    pub(super) parts: Vec<Part>,
    pub(super) finish: String,
}

/// One delta's worth.
#[derive(Debug)]
pub(super) enum Part {
    Reasoning(Vec<String>),
    Content(Vec<String>),
    /// A tool call begins.
    Call {
        call: u32,
        id: String,
        name: String,
    },
    /// A fragment of a call's arguments.
    Arguments {
        call: u32,
        tokens: Vec<String>,
    },
}

impl Part {
    pub(super) fn tokens(&self) -> &[String] {
        match self {
            Part::Reasoning(tokens) | Part::Content(tokens) | Part::Arguments { tokens, .. } => {
                tokens
            }
            Part::Call { .. } => &[],
        }
    }

    /// What it costs: a call's name is one token.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Part::Call { .. } => 1,
            part => u32::try_from(part.tokens().len()).unwrap_or(u32::MAX),
        }
    }
}

/// The answer to a request, every choice of it.
pub(super) fn compose(
    generation: &Generation,
    options: &Options,
    effects: &Effects,
) -> Vec<Choice> {
    (0..generation.choices())
        .map(|index| {
            let mut choice = match &effects.answer {
                Some(scripted) => recite(scripted, generation, index),
                None => Composer::new(generation, options, index).compose(effects.not_json),
            };
            if let Some(reason) = &effects.finish_reason {
                choice.finish.clone_from(reason);
            }
            choice
        })
        .collect()
}

/// A scripted answer, delta by delta.
fn recite(script: &ScriptedAnswer, generation: &Generation, index: u32) -> Choice {
    let split = |text: &String| tokens::split(text).map(str::to_owned).collect();
    let reasoning = script.reasoning.iter().map(|text| match generation.endpoint {
        Endpoint::ChatCompletions => Part::Reasoning(split(text)),
        Endpoint::Completions | Endpoint::Models => Part::Content(split(text)),
    });
    let content = script.deltas.iter().map(|text| Part::Content(split(text)));
    let mut parts: Vec<Part> = reasoning.chain(content).collect();
    let mut rng = seeded(generation, index);
    for (call, scripted) in (0..).zip(&script.tool_calls) {
        let name = scripted.name.clone();
        parts.push(Part::Call { call, id: call_id(&mut rng), name });
        let fragments = scripted.arguments.iter();
        parts.extend(fragments.map(|text| Part::Arguments { call, tokens: split(text) }));
    }
    let finish = if script.tool_calls.is_empty() { "stop" } else { "tool_calls" };
    Choice { index, parts, finish: finish.to_owned() }
}

struct Composer<'a> {
    generation: &'a Generation,
    options: &'a Options,
    index: u32,
    rng: Rng,
    /// Tokens that may still be said.
    budget: u32,
    parts: Vec<Part>,
}

impl Composer<'_> {
    fn new<'a>(generation: &'a Generation, options: &'a Options, index: u32) -> Composer<'a> {
        Composer {
            generation,
            options,
            index,
            rng: seeded(generation, index),
            budget: generation.max_tokens,
            parts: Vec::new(),
        }
    }

    fn compose(mut self, not_json: bool) -> Choice {
        let finish = self.say(not_json);
        let finish = if self.budget == 0 { "length" } else { finish };
        Choice { index: self.index, parts: self.parts, finish: finish.to_owned() }
    }

    /// Says everything, as far as the budget goes, and why it ended.
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
        if self.generation.echo {
            let prompt = self.prompt().to_owned();
            content.insert_str(0, &prompt);
            // The prompt is repeated, not generated: it is outside the budget.
            self.budget = self.budget.saturating_add(tokens::count(&prompt));
        }
        self.speak(&content, Part::Content);
        while self.generation.ignore_eos && self.budget > 0 && self.said() < MOST_TOKENS {
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
        while tokens::count(&prose) < self.options.answer_tokens {
            prose.push(' ');
            prose.push_str(&text::sentence(&mut self.rng));
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

    /// The functions that this answer calls.
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

    /// Whether the last message is a tool's result, which wants words.
    fn answers_a_tool(&self) -> bool {
        let messages = self.generation.body.get("messages").and_then(Value::as_array);
        let last = messages.and_then(|messages| messages.last());
        last.and_then(|message| message.get("role")).is_some_and(|role| role == "tool")
    }

    fn call(&mut self, call: u32, name: String, parameters: &Value) {
        if self.budget == 0 {
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

    /// Cuts a text into deltas of one to `delta_tokens` tokens, within budget.
    fn speak(&mut self, text: &str, part: impl Fn(Vec<String>) -> Part) {
        let mut tokens = tokens::split(text).map(str::to_owned).peekable();
        while tokens.peek().is_some() && self.budget > 0 {
            let size = self.rng.u32(1..=self.options.delta_tokens.max(1)).min(self.budget);
            let delta: Vec<String> =
                tokens.by_ref().take(usize::try_from(size).unwrap_or(1)).collect();
            self.budget -= u32::try_from(delta.len()).unwrap_or(self.budget);
            self.parts.push(part(delta));
        }
    }
}

fn seeded(generation: &Generation, index: u32) -> Rng {
    let [a, b, c, d, e, f, g, h, ..] = *generation.hash.as_bytes();
    let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    Rng::with_seed(seed.wrapping_add(u64::from(index)))
}

/// `call_` and 24 letters or digits.
fn call_id(rng: &mut Rng) -> String {
    let tail: String = (0..24).map(|_| rng.alphanumeric()).collect();
    format!("call_{tail}")
}
