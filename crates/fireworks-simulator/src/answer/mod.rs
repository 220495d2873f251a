//! The contents of an answer: reasoning, text and tool calls, split into
//! deltas, with a finish reason. The same request gets the same answer. `reply`
//! and `timeline` give it its wire form.

pub(crate) mod calls;
pub(crate) mod choice;
pub(crate) mod composer;
pub(crate) mod embedding;
pub(crate) mod generation;
pub(crate) mod logprobs;
pub(crate) mod prefix_cache;
pub(crate) mod prompt;
pub(crate) mod replicas;
pub(crate) mod schema;
pub(crate) mod text;
pub(crate) mod tokens;
pub(crate) mod usage;

use self::{
    calls::rewrite_calls,
    choice::{Choice, Part, call_id, seeded},
    composer::Composer,
    generation::Generation,
};
use crate::{
    endpoint::Endpoint,
    options::Options,
    script::effects::{Effects, ScriptedAnswer},
};

/// Composes every choice of the answer to a request.
pub(crate) fn compose(
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
            for dialect in &effects.dialects {
                rewrite_calls(*dialect, &mut choice);
            }
            choice
        })
        .collect()
}

/// Splits a scripted answer into its deltas.
fn recite(script: &ScriptedAnswer, generation: &Generation, index: u32) -> Choice {
    let split = |text: &String| tokens::split(text).map(str::to_owned).collect();
    let reasoning = script.reasoning.iter().map(|text| match generation.endpoint {
        Endpoint::ChatCompletions => Part::Reasoning(split(text)),
        Endpoint::Completions | Endpoint::Embeddings | Endpoint::Models => {
            Part::Content(split(text))
        }
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
