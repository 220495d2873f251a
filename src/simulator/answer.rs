//! What is said: reasoning, text, tool calls, cut into deltas, and why it ends.
//! The same request gets the same answer. Called by `performance`; `reply` and
//! `timeline` give it its form.

use fastrand::Rng;

use super::{
    composer::Composer,
    effects::{Effects, ScriptedAnswer},
    endpoint::Endpoint,
    generation::Generation,
    options::Options,
    tokens,
};

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
    /// A piece of the prompt, repeated; nobody pays for it.
    Echo(Vec<String>),
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
            Part::Echo(tokens)
            | Part::Reasoning(tokens)
            | Part::Content(tokens)
            | Part::Arguments { tokens, .. } => tokens,
            Part::Call { .. } => &[],
        }
    }

    /// What it costs: a call's name is one token.
    pub(super) fn cost(&self) -> u32 {
        match self {
            Part::Echo(_) => 0,
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

/// The generator of a choice's words.
pub(super) fn seeded(generation: &Generation, index: u32) -> Rng {
    let [a, b, c, d, e, f, g, h, ..] = *generation.hash.as_bytes();
    let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    Rng::with_seed(seed.wrapping_add(u64::from(index)))
}

/// `call_` and 24 letters or digits.
pub(super) fn call_id(rng: &mut Rng) -> String {
    let tail: String = (0..24).map(|_| rng.alphanumeric()).collect();
    format!("call_{tail}")
}
