//! A streamed answer as a list of timed steps, with the call's faults worked
//! in; `playback` plays it.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    answer::choice::{Choice, Part},
    options::Pace,
    playback::{
        chunk::Chunk,
        extras::Extras,
        shape::Envelope,
        step::{self, GARBAGE, Step, Write},
    },
    refusal::foreign::ErrorShape,
    script::effects::{Effects, Ending, Incident},
};

/// The inputs of a stream.
pub(crate) struct Score<'a> {
    pub(crate) envelope: &'a Envelope,
    pub(crate) choices: &'a [Choice],
    /// The usage, and true if it has a chunk of its own (it was requested);
    /// otherwise it goes on the last finish.
    pub(crate) usage: Option<(Value, bool)>,
    pub(crate) extras: Extras,
    pub(crate) pace: Pace,
    pub(crate) effects: &'a Effects,
}

/// Returns the steps of a streamed answer.
pub(crate) fn streamed(score: Score<'_>) -> VecDeque<Step> {
    let effects = score.effects;
    let mut timeline = Timeline { score, steps: VecDeque::new(), deltas: 0, incidents: 0 };
    let preamble = timeline.score.effects.framing.preamble();
    if !preamble.is_empty() {
        timeline.raw(preamble);
    }
    timeline.perform();
    step::bytewise(timeline.steps, effects)
}

struct Timeline<'a> {
    score: Score<'a>,
    steps: VecDeque<Step>,
    /// Deltas so far.
    deltas: u32,
    /// Incidents handled so far.
    incidents: usize,
}

/// Signals the end of the stream: nothing follows.
struct Over;

impl Timeline<'_> {
    fn perform(&mut self) {
        if self.deltas().is_ok() && self.incidents_until(u32::MAX).is_ok() {
            self.finish();
        }
    }

    /// Adds the roles, then all deltas, alternating between the choices.
    fn deltas(&mut self) -> Result<(), Over> {
        let choices = self.score.choices;
        for choice in choices {
            if let Some(role) = self.score.envelope.role(choice.index) {
                let role = begun(role, &mut self.score.extras);
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
        let chunk = begun(chunk, &mut self.score.extras);
        *offset += part.tokens().iter().map(|token| token.chars().count()).sum::<usize>();
        let bytes = effects.framing.event(None, &text(&chunk));
        self.steps.push_back(Step::Write(Write { bytes, deltas: 1, tokens: part.cost() }));
        self.deltas += 1;
    }

    /// Adds the incidents due by this number of deltas.
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
                let chunk = self.score.envelope.text("x".repeat(*bytes));
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
            Incident::ForeignError(error) if error.shape == ErrorShape::Field => {
                self.raw(framing.error_field(&text(&error.json())));
            }
            Incident::ForeignError(error) => self.event(&error.json()),
            Incident::EndlessLine => {
                self.raw("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
                let bytes = Bytes::from("x".repeat(4096));
                self.steps.push_back(Step::Repeat(Write { bytes, ..Write::default() }));
            }
            Incident::EndlessStream => {
                let chunk = self.score.envelope.text(" and on".to_owned());
                let bytes = framing.event(None, &text(&chunk));
                self.steps.push_back(Step::Repeat(Write { bytes, deltas: 1, tokens: 2 }));
            }
        }
        Err(Over)
    }

    fn cut_in_character(&mut self) {
        let chunk = self.score.envelope.text("日".to_owned());
        let bytes = self.score.effects.framing.event(None, &text(&chunk));
        let character = bytes.iter().position(|byte| !byte.is_ascii());
        // One byte of three.
        let end = character.map_or(bytes.len(), |place| place + 1);
        self.raw(bytes.slice(..end));
        self.steps.push_back(Step::Cut);
    }

    /// Adds finish reasons, usage and `[DONE]`.
    fn finish(&mut self) {
        let envelope = self.score.envelope;
        let usage = self.score.usage.take();
        let mut raw_outputs = std::mem::take(&mut self.score.extras.raw_outputs).into_iter();
        let choices = self.score.choices.iter();
        let mut last: Vec<Chunk<'_>> = choices
            .map(|choice| envelope.finish(choice.index, &choice.finish, raw_outputs.next()))
            .collect();
        match &usage {
            Some((usage, true)) => last.push(envelope.usage(usage)),
            Some((usage, false)) => {
                if let Some(finish) = last.last_mut() {
                    finish.usage = Some(usage);
                }
            }
            None => {}
        }
        if let Some(last) = last.last_mut() {
            last.perf_metrics = self.score.extras.perf_metrics.take();
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
            let chunk = self.score.envelope.text(" after the end".to_owned());
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

    fn event(&mut self, data: &impl Serialize) {
        let bytes = self.score.effects.framing.event(None, &text(data));
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

/// Adds the prompt's token ids to the first chunk.
fn begun<'a>(mut chunk: Chunk<'a>, extras: &mut Extras) -> Chunk<'a> {
    chunk.prompt_token_ids = extras.prompt_token_ids.take();
    chunk
}

fn text(data: &impl Serialize) -> String {
    // Texts and numbers with text keys always serialise.
    serde_json::to_string(data).unwrap_or_default()
}
