//! The effects of a call's faults: the only exhaustive match of [`Fault`],
//! sorted by the stage of the call that they affect.

use std::time::Duration;

use serde_json::Value;

use crate::{
    framing::{Framing, LineEnd},
    refusal::{Refusal, foreign::ForeignError},
    script::{
        dialect::Dialect,
        fault::{Fault, ScriptedToolCall},
    },
};

/// The faults of one call, sorted by the stage that they affect.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) refusal: Option<Refusal>,
    pub(crate) hang_up: bool,
    pub(crate) head_delay: Duration,
    pub(crate) first_token_delay: Duration,
    pub(crate) delta_delay: Duration,
    pub(crate) answer: Option<ScriptedAnswer>,
    pub(crate) dialects: Vec<Dialect>,
    pub(crate) not_json: bool,
    pub(crate) usage: ScriptedUsage,
    pub(crate) finish_reason: Option<String>,
    pub(crate) framing: Framing,
    pub(crate) ending: Ending,
    /// Incidents during the stream, each before the delta of that index.
    pub(crate) incidents: Vec<(u32, Incident)>,
    pub(crate) cut_after_bytes: Option<usize>,
    pub(crate) shred: Option<usize>,
}

/// A scripted answer, verbatim.
#[derive(Debug)]
pub(crate) struct ScriptedAnswer {
    pub(crate) deltas: Vec<String>,
    pub(crate) reasoning: Vec<String>,
    pub(crate) tool_calls: Vec<ScriptedToolCall>,
}

/// The reported usage.
#[derive(Debug, Default)]
pub(crate) enum ScriptedUsage {
    #[default]
    Counted,
    Absent,
    Given(Value),
}

/// The end of the stream, after the answer.
#[derive(Debug, Default)]
pub(crate) enum Ending {
    #[default]
    Whole,
    WithoutDone,
    ErrorBeforeDone(String),
    DataAfterDone,
}

/// An incident in the middle of a stream.
#[derive(Debug, Clone)]
pub(crate) enum Incident {
    Stall(Option<Duration>),
    Cut,
    CutInCharacter,
    End,
    Done,
    Error { status: Option<u16>, code: Option<String>, message: String },
    ErrorEvent(String),
    ForeignError(ForeignError),
    NotJsonEvent,
    Garbage,
    EndlessLine,
    EndlessStream,
    HugeEvent(usize),
}

/// The position after the last delta, regardless of their number.
const END: u32 = u32::MAX;

impl Effects {
    pub(crate) fn of(faults: Vec<Fault>) -> Effects {
        let mut effects = Effects::default();
        for fault in faults {
            effects.add(fault);
        }
        effects.incidents.sort_by_key(|(place, _)| *place);
        effects
    }

    fn add(&mut self, fault: Fault) {
        match fault {
            Fault::Refuse(refusal) => self.refusal = Some(refusal),
            Fault::HangUp => self.hang_up = true,
            Fault::SlowHead { delay } => self.head_delay = delay,
            Fault::SlowFirstToken { delay } => self.first_token_delay = delay,
            Fault::SlowDeltas { delay } => self.delta_delay = delay,
            Fault::Stall { after_deltas, lasting } => {
                self.at(Some(after_deltas), Incident::Stall(lasting));
            }
            Fault::Cut { after_deltas } => self.at(Some(after_deltas), Incident::Cut),
            Fault::CutAfterBytes { bytes } => self.cut_after_bytes = Some(bytes),
            Fault::CutInCharacter => self.at(Some(1), Incident::CutInCharacter),
            Fault::EndEarly { after_deltas } => self.at(after_deltas, Incident::End),
            Fault::DoneEarly { after_deltas } => self.at(after_deltas, Incident::Done),
            Fault::NoDone => self.ending = Ending::WithoutDone,
            Fault::FinishReason(reason) => self.finish_reason = Some(reason),
            Fault::StreamError { after_deltas, status, code, message } => {
                self.at(after_deltas, Incident::Error { status, code, message });
            }
            Fault::ErrorEvent { after_deltas, data } => {
                self.at(after_deltas, Incident::ErrorEvent(data));
            }
            Fault::ForeignError { after_deltas, error } => {
                self.at(after_deltas, Incident::ForeignError(error));
            }
            Fault::LateError { message } => self.ending = Ending::ErrorBeforeDone(message),
            Fault::Comments => self.framing.comments = true,
            Fault::Pings => self.framing.pings = true,
            Fault::CrLf => self.framing.line_end = LineEnd::CrLf,
            Fault::BareCr => self.framing.line_end = LineEnd::Cr,
            Fault::ByteOrderMark => self.framing.byte_order_mark = true,
            Fault::SeveralDataLines => self.framing.several_data_lines = true,
            Fault::Shred { bytes } => self.shred = Some(bytes.max(1)),
            Fault::DataAfterDone => self.ending = Ending::DataAfterDone,
            Fault::NotJsonEvent { after_deltas } => {
                self.at(Some(after_deltas), Incident::NotJsonEvent);
            }
            Fault::Garbage { after_deltas } => self.at(Some(after_deltas), Incident::Garbage),
            Fault::EndlessLine { after_deltas } => {
                self.at(Some(after_deltas), Incident::EndlessLine);
            }
            Fault::EndlessStream => self.at(None, Incident::EndlessStream),
            Fault::HugeEvent { after_deltas, bytes } => {
                self.at(Some(after_deltas), Incident::HugeEvent(bytes));
            }
            Fault::Answer { deltas, reasoning, tool_calls } => {
                self.answer = Some(ScriptedAnswer { deltas, reasoning, tool_calls });
            }
            Fault::Dialect(dialect) => self.dialects.push(dialect),
            Fault::NotJson => self.not_json = true,
            Fault::NoUsage => self.usage = ScriptedUsage::Absent,
            Fault::Usage(usage) => self.usage = ScriptedUsage::Given(usage),
        }
    }

    fn at(&mut self, place: Option<u32>, incident: Incident) {
        self.incidents.push((place.unwrap_or(END), incident));
    }
}
