//! A call's body as a list of steps: what is written when, with the call's
//! faults worked in. Made by `routes`, played by `playback`.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    answer::{Choice, Part},
    effects::{Effects, Ending, Incident},
    options::Pace,
    shape::Envelope,
};

/// One thing to do.
#[derive(Debug)]
pub(super) enum Step {
    Wait(Duration),
    Write(Write),
    /// Lets what was written go out before more is.
    Flush,
    /// Silence; without a time, for ever.
    Stall(Option<Duration>),
    /// The same again and again.
    Repeat(Write),
    /// Breaks the connection.
    Cut,
}

/// Bytes, and what they stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Write {
    pub(super) bytes: Bytes,
    pub(super) deltas: u32,
    pub(super) tokens: u32,
}

/// What a stream is made from.
pub(super) struct Score<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) choices: &'a [Choice],
    /// The usage, and whether it has a chunk of its own (it was asked for) or
    /// goes on the last finish.
    pub(super) usage: Option<(Value, bool)>,
    /// Members for the last chunk, such as `perf_metrics`.
    pub(super) extra: Vec<(&'static str, Value)>,
    pub(super) pace: Pace,
    pub(super) effects: &'a Effects,
}

/// The steps of a streamed answer.
pub(super) fn streamed(score: Score<'_>) -> VecDeque<Step> {
    let effects = score.effects;
    let mut timeline = Timeline { score, steps: VecDeque::new(), deltas: 0, incidents: 0 };
    let preamble = timeline.score.effects.framing.preamble();
    if !preamble.is_empty() {
        timeline.raw(preamble);
    }
    timeline.perform();
    bytewise(timeline.steps, effects)
}

/// The steps of an answer that is not streamed.
pub(super) fn unstreamed(reply: &Value, tokens: u32, effects: &Effects) -> VecDeque<Step> {
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
            // The rest has no meaning without a stream.
            Incident::Error { .. }
            | Incident::ErrorEvent(_)
            | Incident::EndlessLine
            | Incident::EndlessStream
            | Incident::HugeEvent(_) => {}
        }
    }
    steps.push_back(whole);
    bytewise(steps, effects)
}

const GARBAGE: Bytes = Bytes::from_static(b"\xff\xfe\x00\x80garbage\xc3\x28\n\n");

struct Timeline<'a> {
    score: Score<'a>,
    steps: VecDeque<Step>,
    /// Deltas so far.
    deltas: u32,
    /// Incidents dealt with so far.
    incidents: usize,
}

/// The stream is over: nothing follows.
struct Over;

impl Timeline<'_> {
    fn perform(&mut self) {
        if self.deltas().is_ok() && self.incidents_until(u32::MAX).is_ok() {
            self.finish();
        }
    }

    /// Roles, then everything said, the choices taking turns.
    fn deltas(&mut self) -> Result<(), Over> {
        let choices = self.score.choices;
        for choice in choices {
            if let Some(role) = self.score.envelope.role(choice.index) {
                self.event(&role);
            }
        }
        let mut offsets = vec![0; choices.len()];
        let longest = choices.iter().map(|choice| choice.parts.len()).max().unwrap_or(0);
        for turn in 0..longest {
            for (choice, offset) in choices.iter().zip(&mut offsets) {
                if let Some(part) = choice.parts.get(turn) {
                    self.incidents_until(self.deltas)?;
                    self.delta(choice.index, part, offset);
                }
            }
        }
        Ok(())
    }

    fn delta(&mut self, choice: u32, part: &Part, offset: &mut usize) {
        let effects = self.score.effects;
        if self.deltas == 0 {
            self.wait(effects.first_token_delay);
        } else {
            let speakers = u32::try_from(self.score.choices.len()).unwrap_or(u32::MAX).max(1);
            self.wait(self.score.pace.tokens(part.cost()) / speakers + effects.delta_delay);
        }
        let chunk = self.score.envelope.part(choice, part, *offset);
        *offset += part.tokens().iter().map(|token| token.chars().count()).sum::<usize>();
        let bytes = effects.framing.event(None, &chunk.to_string());
        self.steps.push_back(Step::Write(Write { bytes, deltas: 1, tokens: part.cost() }));
        self.deltas += 1;
    }

    /// The incidents whose place is reached.
    fn incidents_until(&mut self, deltas: u32) -> Result<(), Over> {
        let effects = self.score.effects;
        while let Some((place, incident)) = effects.incidents.get(self.incidents) {
            if *place > deltas {
                break;
            }
            self.incidents += 1;
            self.incident(incident)?;
        }
        Ok(())
    }

    fn incident(&mut self, incident: &Incident) -> Result<(), Over> {
        let framing = &self.score.effects.framing;
        match incident {
            Incident::Stall(lasting) => {
                self.steps.push_back(Step::Stall(*lasting));
                return Ok(());
            }
            Incident::NotJsonEvent => {
                self.raw(framing.event(None, "{\"this is\": no JSON"));
                return Ok(());
            }
            Incident::Garbage => {
                self.raw(GARBAGE);
                return Ok(());
            }
            Incident::HugeEvent(bytes) => {
                let chunk = self.score.envelope.content("x".repeat(*bytes));
                self.event(&chunk);
                return Ok(());
            }
            Incident::End => {}
            Incident::Done => self.raw(framing.event(None, "[DONE]")),
            Incident::Cut => self.steps.push_back(Step::Cut),
            Incident::CutInCharacter => self.cut_in_character(),
            Incident::Error { status, code, message } => {
                self.error(*status, code.as_deref(), message);
            }
            Incident::ErrorEvent(data) => self.raw(framing.event(Some("error"), data)),
            Incident::EndlessLine => {
                self.raw("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
                let bytes = Bytes::from("x".repeat(4096));
                self.steps.push_back(Step::Repeat(Write { bytes, ..Write::default() }));
            }
            Incident::EndlessStream => {
                let chunk = self.score.envelope.content(" and on".to_owned());
                let bytes = framing.event(None, &chunk.to_string());
                self.steps.push_back(Step::Repeat(Write { bytes, deltas: 1, tokens: 2 }));
            }
        }
        Err(Over)
    }

    fn cut_in_character(&mut self) {
        let chunk = self.score.envelope.content("日".to_owned());
        let bytes = self.score.effects.framing.event(None, &chunk.to_string());
        let character = bytes.iter().position(|byte| !byte.is_ascii());
        // One byte of three.
        let end = character.map_or(bytes.len(), |place| place + 1);
        self.raw(bytes.slice(..end));
        self.steps.push_back(Step::Cut);
    }

    /// Finish reasons, usage, `[DONE]`.
    fn finish(&mut self) {
        let envelope = self.score.envelope;
        let usage = self.score.usage.take();
        let mut last = Vec::new();
        for (place, choice) in (1..).zip(self.score.choices) {
            let inline =
                usage.as_ref().filter(|(_, apart)| !apart && place == self.score.choices.len());
            let inline = inline.map(|(usage, _)| usage);
            last.push(envelope.finish(choice.index, &choice.finish, inline));
        }
        if let Some((usage, true)) = &usage {
            last.push(envelope.usage(usage));
        }
        if let Some(last) = last.last_mut() {
            for (name, value) in self.score.extra.drain(..) {
                last[name] = value;
            }
        }
        for event in &last {
            self.event(event);
        }
        self.done();
    }

    fn done(&mut self) {
        let effects = self.score.effects;
        match &effects.ending {
            Ending::WithoutDone => return,
            Ending::ErrorBeforeDone(message) => self.error(Some(500), None, message),
            Ending::Whole | Ending::DataAfterDone => {}
        }
        self.raw(effects.framing.event(None, "[DONE]"));
        if matches!(effects.ending, Ending::DataAfterDone) {
            let chunk = self.score.envelope.content(" after the end".to_owned());
            self.event(&chunk);
        }
    }

    fn error(&mut self, status: Option<u16>, code: Option<&str>, message: &str) {
        let mut error = json!({"message": message, "type": "error", "code": code});
        if let Some(status) = status {
            error["status"] = json!(status);
        }
        self.event(&json!({"id": self.score.envelope.id, "error": error}));
    }

    fn event(&mut self, data: &Value) {
        let bytes = self.score.effects.framing.event(None, &data.to_string());
        self.raw(bytes);
    }

    fn raw(&mut self, bytes: impl Into<Bytes>) {
        self.steps.push_back(Step::Write(Write { bytes: bytes.into(), ..Write::default() }));
    }

    fn wait(&mut self, time: Duration) {
        if !time.is_zero() {
            self.steps.push_back(Step::Wait(time));
        }
    }
}

/// The faults that look at bytes only: cutting after so many, and shredding.
fn bytewise(mut steps: VecDeque<Step>, effects: &Effects) -> VecDeque<Step> {
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

/// A write as pieces that go out one by one; the first stands for the delta.
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
