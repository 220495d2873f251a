//! The demo's prompts, the simulated model's answers, and their pace.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Pace, Rule};

pub(super) const QUESTION: &str = "What does a worker do for a flow?";
const REASONING: &str = "A short answer will do: what comes in, what goes out, and why it is \
                         worth having between the two.";
const ANSWER: &str = "It runs one node of the flow. A prompt comes in over gRPC, the words go out \
                      as the model makes them, and the end is always one of two: complete, or an \
                      error with a name. What has been answered once need not be paid for twice.";

pub(super) const SHARED_QUESTION: &str = "What happens when two ask the same at once?";
const SHARED_ANSWER: &str = "They share one flight: the second receives everything from the first \
                             word on, and the provider is asked once.";

/// Returns the pace, slow enough on a terminal to be read as it arrives. The delay before the first
/// token also gives the second of two callers time to join the first.
pub(super) fn options(terminal: bool) -> Options {
    let pace = Pace {
        first_token: Duration::from_millis(if terminal { 400 } else { 150 }),
        tokens_per_second: if terminal { 50.0 } else { f64::INFINITY },
    };
    let answer = Fault::Answer {
        reasoning: words(REASONING),
        deltas: words(ANSWER),
        tool_calls: Vec::new(),
    };
    Options {
        pace,
        rules: vec![
            Rule::always(answer).prompt(QUESTION),
            Rule::always(Fault::answer(words(SHARED_ANSWER))).prompt(SHARED_QUESTION),
        ],
        ..Options::default()
    }
}

/// Splits a text into one delta per word, with the space before it.
fn words(text: &str) -> Vec<String> {
    text.split(' ')
        .enumerate()
        .map(|(index, word)| if index == 0 { word.to_owned() } else { format!(" {word}") })
        .collect()
}
