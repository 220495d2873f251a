//! One of the `n` answers, delta by delta. Created by `composer` or from a script.

use fastrand::Rng;
use serde_json::Value;

use crate::answer::generation::Generation;

/// One of the `n` answers.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) index: u32,
    pub(crate) parts: Vec<Part>,
    pub(crate) finish: String,
}

/// The contents of one delta.
#[derive(Debug)]
pub(crate) enum Part {
    /// A repeated piece of the prompt, free of charge.
    Echo(Vec<String>),
    Reasoning(Vec<String>),
    Content(Vec<String>),
    /// The start of a tool call.
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
    /// Calls in the form of another provider, verbatim.
    Calls {
        calls: Vec<Value>,
        tokens: Vec<String>,
    },
}

impl Part {
    pub(crate) fn tokens(&self) -> &[String] {
        match self {
            Part::Echo(tokens)
            | Part::Reasoning(tokens)
            | Part::Content(tokens)
            | Part::Arguments { tokens, .. }
            | Part::Calls { tokens, .. } => tokens,
            Part::Call { .. } => &[],
        }
    }

    /// Returns the cost in tokens: a call's name is one token.
    pub(crate) fn cost(&self) -> u32 {
        match self {
            Part::Echo(_) => 0,
            Part::Call { .. } => 1,
            Part::Calls { calls, tokens } => count(calls.len() + tokens.len()),
            part => count(part.tokens().len()),
        }
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

/// Returns the random generator of a choice's words.
pub(crate) fn seeded(generation: &Generation, index: u32) -> Rng {
    let [a, b, c, d, e, f, g, h, ..] = *generation.hash.as_bytes();
    let seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    Rng::with_seed(seed.wrapping_add(u64::from(index)))
}

/// Returns `call_` and 24 letters or digits.
pub(crate) fn call_id(rng: &mut Rng) -> String {
    let tail: String = (0..24).map(|_| rng.alphanumeric()).collect();
    format!("call_{tail}")
}
