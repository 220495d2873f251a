//! An unstreamed answer as a list of steps: a single write, unless faults
//! change it; `playback` plays it.

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;

use crate::{
    playback::step::{self, GARBAGE, Step, Write},
    script::effects::{Effects, Incident},
};

/// Returns the steps of an unstreamed answer.
pub(crate) fn steps(reply: &Value, tokens: u32, effects: &Effects) -> VecDeque<Step> {
    let text = Bytes::from(reply.to_string());
    let half = text.slice(..text.len() / 2);
    let whole = Step::Write(Write { bytes: text, deltas: 0, tokens });
    let mut steps = VecDeque::new();
    for (_, incident) in &effects.incidents {
        match incident {
            Incident::Stall(lasting) => steps.push_back(Step::Stall(*lasting)),
            Incident::Cut | Incident::CutInCharacter => {
                steps.push_back(Step::Write(Write { bytes: half, deltas: 0, tokens }));
                steps.push_back(Step::Cut);
                return steps;
            }
            Incident::Garbage | Incident::NotJsonEvent => {
                steps.push_back(Step::Write(Write { bytes: GARBAGE, deltas: 0, tokens }));
                return steps;
            }
            Incident::End | Incident::Done => {
                steps.push_back(Step::Write(Write { bytes: half, deltas: 0, tokens }));
                return steps;
            }
            // The rest is meaningless without a stream.
            Incident::Error { .. }
            | Incident::ErrorEvent(_)
            | Incident::ForeignError(_)
            | Incident::EndlessLine
            | Incident::EndlessStream
            | Incident::HugeEvent(_) => {}
        }
    }
    steps.push_back(whole);
    step::bytewise(steps, effects)
}
