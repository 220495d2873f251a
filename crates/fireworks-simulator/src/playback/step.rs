//! The steps that a body is played from, and the faults that act on bytes
//! alone. Created by `timeline` and `unstreamed`, played by `playback`.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use crate::script::effects::Effects;

/// One step of a body.
#[derive(Debug)]
pub(crate) enum Step {
    Wait(Duration),
    Write(Write),
    /// Lets written bytes leave before more are written.
    Flush,
    /// Silence; without a duration, forever.
    Stall(Option<Duration>),
    /// Writes the same bytes endlessly.
    Repeat(Write),
    /// Breaks the connection.
    Cut,
}

/// Bytes, and the deltas and tokens they carry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Write {
    pub(crate) bytes: Bytes,
    pub(crate) deltas: u32,
    pub(crate) tokens: u32,
}

/// Bytes that are neither UTF-8 nor an event.
pub(crate) const GARBAGE: Bytes = Bytes::from_static(b"\xff\xfe\x00\x80garbage\xc3\x28\n\n");

/// Applies the faults that act on bytes alone: cutting after a number of them,
/// and shredding.
pub(crate) fn bytewise(mut steps: VecDeque<Step>, effects: &Effects) -> VecDeque<Step> {
    if let Some(limit) = effects.cut_after_bytes {
        steps = cut_after(steps, limit);
    }
    match effects.shred {
        Some(size) => steps.into_iter().flat_map(|step| shred(step, size)).collect(),
        None => steps,
    }
}

fn cut_after(steps: VecDeque<Step>, limit: usize) -> VecDeque<Step> {
    let mut left = limit;
    let mut kept = VecDeque::new();
    for step in steps {
        match step {
            Step::Write(mut write) if write.bytes.len() >= left => {
                write.bytes.truncate(left);
                kept.push_back(Step::Write(write));
                kept.push_back(Step::Cut);
                return kept;
            }
            Step::Write(write) => {
                left -= write.bytes.len();
                kept.push_back(Step::Write(write));
            }
            other => kept.push_back(other),
        }
    }
    kept
}

/// Splits a write into pieces that go out one by one; the first counts as the delta.
fn shred(step: Step, size: usize) -> Vec<Step> {
    let Step::Write(mut write) = step else {
        return vec![step];
    };
    let mut pieces = Vec::new();
    while !write.bytes.is_empty() {
        let bytes = write.bytes.split_to(size.min(write.bytes.len()));
        pieces.push(Step::Write(Write { bytes, ..write }));
        pieces.push(Step::Flush);
        write = Write { bytes: write.bytes, ..Write::default() };
    }
    pieces
}
