//! A flight's events: an append-only list of bounded size, numbered in sequence.
//!
//! Most events are a few characters of text, so the log stores *runs* instead of events:
//! consecutive pieces of one kind and choice, as one text with the end of each piece. A
//! piece costs its bytes and four more, and a late reader gets many pieces with one copy.
//! Sequence numbers stay exact: a reader can stop and resume after any piece.

mod digest;
mod slice;
#[cfg(test)]
mod tests;
mod wire;

use std::mem;

use serde_json::Value;

pub(crate) use self::slice::Gap;
use crate::event::{Delta, Piece, ToolCallFragment};

/// An append-only list of events, numbered from 1.
#[derive(Debug, Default)]
pub struct Log {
    entries: Vec<EventGroup>,
    /// The sequence number of the last event; 0 before the first.
    last: u64,
    bytes: usize,
    /// The buffers of an absorbed run, reused by the next one.
    spare: Option<Run>,
}

/// Consecutive events of one choice that can be merged into one delta.
#[derive(Debug)]
struct EventGroup {
    /// The sequence number of the first event.
    first: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Run(Run),
    ToolCall(u32, ToolCallFragment),
    Logprobs(u32, String),
    Restarted { attempt: u32, reason: &'static str },
}

#[derive(Debug, Default)]
struct Run {
    choice: u32,
    kind: RunKind,
    text: String,
    /// The end of each piece in `text`, as a byte offset.
    ends: Vec<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum RunKind {
    #[default]
    Text,
    Reasoning,
}

/// One or more events, merged for a reader.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// Output.
    Delta(MergedDelta),
    /// All earlier output is void.
    Restarted {
        /// The number of the attempt that starts.
        attempt: u32,
        /// The reason for giving up the previous attempt.
        reason: &'static str,
    },
}

/// Consecutive deltas of one choice, merged.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MergedDelta {
    /// The choice, from 0.
    pub choice: u32,
    /// The added text.
    pub text: String,
    /// The added reasoning.
    pub reasoning: String,
    /// Fragments of tool calls in order, at most one per call: LangChain adds fragments
    /// up across deltas, not within one.
    pub tool_calls: Vec<ToolCallFragment>,
    /// The provider's `logprobs` object; a delta never spans two of them.
    pub logprobs: String,
}

/// One choice with all its deltas joined.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Joined {
    /// The complete text.
    pub text: String,
    /// The complete reasoning.
    pub reasoning: String,
    /// The tool calls by index, each as one fragment.
    pub tool_calls: Vec<ToolCallFragment>,
    /// The `logprobs` objects as one JSON text; empty if there were none.
    pub logprobs: String,
}

impl Log {
    /// Returns the sequence number of the last event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Returns the log's approximate memory use in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns true if the log holds no events.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends one event.
    pub fn append(&mut self, delta: Delta<'_>) {
        let choice = delta.choice;
        match delta.piece {
            Piece::Text(text) => self.append_text(choice, RunKind::Text, &text),
            Piece::Reasoning(text) => self.append_text(choice, RunKind::Reasoning, &text),
            Piece::ToolCall(fragment) => self.push(Content::ToolCall(choice, fragment)),
            Piece::Logprobs(json) => self.push(Content::Logprobs(choice, json.into_owned())),
        }
    }

    /// Voids all output: the next event is a restart, and the new attempt's output
    /// follows. Numbers continue.
    pub fn restart(&mut self, attempt: u32, reason: &'static str) {
        self.restart_at(self.last + 1, attempt, reason);
    }

    /// Restarts like [`restart`](Log::restart), but numbers continue from `number`, which
    /// must be above the last.
    pub fn restart_at(&mut self, number: u64, attempt: u32, reason: &'static str) {
        self.entries.clear();
        self.bytes = 0;
        self.last = number - 1;
        self.push(Content::Restarted { attempt, reason });
    }

    /// Returns true if the log begins with a restart, which voids everything before it.
    pub fn voids(&self) -> bool {
        matches!(self.entries.first(), Some(EventGroup { content: Content::Restarted { .. }, .. }))
    }

    /// Moves the events of `staged` to the end of this log, and keeps its buffers for
    /// reuse.
    pub fn absorb(&mut self, staged: &mut Log) {
        let mut spare = None;
        for entry in staged.entries.drain(..) {
            match (entry.content, self.entries.last_mut().map(|last| &mut last.content)) {
                (Content::Run(run), Some(Content::Run(last))) if last.continues(&run) => {
                    self.last += run.ends.len() as u64;
                    self.bytes += run.bytes();
                    last.extend(&run);
                    spare = Some(run);
                }
                (content, _) => self.push(content),
            }
        }
        staged.last = 0;
        staged.bytes = 0;
        staged.spare = spare;
    }

    /// Returns the events after number `cursor`, merged, with the number of the last of
    /// them; `None` if there are none yet. Stops after about `max_bytes`, at the end of
    /// an event.
    pub fn read(&self, cursor: u64, max_bytes: usize) -> Option<(u64, Reading)> {
        let start = self.entries.partition_point(|entry| entry.last() <= cursor);
        let first = self.entries.get(start)?;
        if let Content::Restarted { attempt, reason } = first.content {
            return Some((first.first, Reading::Restarted { attempt, reason }));
        }
        let mut merged = MergedDelta { choice: first.choice(), ..MergedDelta::default() };
        let mut reached = cursor;
        let mut room = max_bytes;
        for entry in &self.entries[start..] {
            if !entry.joins(&merged) || room == 0 {
                break;
            }
            let (number, bytes) = entry.copy_into(&mut merged, reached, room);
            reached = number;
            room = room.saturating_sub(bytes);
            if reached < entry.last() {
                break;
            }
        }
        Some((reached, Reading::Delta(merged)))
    }

    /// Returns true if a choice has text other than white space, or a tool call.
    pub fn says(&self, choice: u32) -> bool {
        let entries = self.entries.iter().filter(|entry| entry.choice() == choice);
        entries.map(|entry| &entry.content).any(|content| match content {
            Content::Run(run) => !run.text.trim().is_empty(),
            Content::ToolCall(..) => true,
            Content::Logprobs(..) | Content::Restarted { .. } => false,
        })
    }

    /// Returns the joined choices by index, at least `count` of them.
    pub fn join(&self, count: usize) -> Vec<Joined> {
        let mut choices = vec![Joined::default(); count];
        let mut logprobs: Vec<Vec<&str>> = vec![Vec::new(); count];
        for entry in &self.entries {
            let index = entry.choice() as usize;
            if index >= choices.len() {
                choices.resize(index + 1, Joined::default());
                logprobs.resize(index + 1, Vec::new());
            }
            match &entry.content {
                Content::Run(run) => choices[index].push(run),
                Content::ToolCall(_, fragment) => choices[index].join_fragment(fragment),
                Content::Logprobs(_, json) => logprobs[index].push(json),
                Content::Restarted { .. } => {}
            }
        }
        for (choice, parts) in choices.iter_mut().zip(logprobs) {
            choice.logprobs = join_logprobs(&parts);
        }
        choices
    }

    fn append_text(&mut self, choice: u32, kind: RunKind, text: &str) {
        if let Some(Content::Run(run)) = self.entries.last_mut().map(|entry| &mut entry.content)
            && run.choice == choice
            && run.kind == kind
        {
            run.text.push_str(text);
            run.ends.push(run.text.len() as u32);
            self.last += 1;
            self.bytes += text.len() + Run::MARK_BYTES;
            return;
        }
        let mut run = self.spare.take().unwrap_or_default();
        run.begin(choice, kind, text);
        self.push(Content::Run(run));
    }

    fn push(&mut self, content: Content) {
        self.bytes += mem::size_of::<EventGroup>() + content.bytes();
        let first = self.last + 1;
        self.last += content.events();
        self.entries.push(EventGroup { first, content });
    }
}

// === impl Entry ===

impl EventGroup {
    fn last(&self) -> u64 {
        self.first + self.content.events() - 1
    }

    fn choice(&self) -> u32 {
        match &self.content {
            Content::Run(run) => run.choice,
            Content::ToolCall(choice, _) | Content::Logprobs(choice, _) => *choice,
            Content::Restarted { .. } => 0,
        }
    }

    /// Returns true if it can be merged into the same delta.
    fn joins(&self, merged: &MergedDelta) -> bool {
        !matches!(self.content, Content::Restarted { .. })
            && self.choice() == merged.choice
            && merged.logprobs.is_empty()
            && !self.is_of_a_call_in(merged)
    }

    /// Returns true if it continues a tool call that the delta already has a fragment of.
    fn is_of_a_call_in(&self, merged: &MergedDelta) -> bool {
        let Content::ToolCall(_, fragment) = &self.content else {
            return false;
        };
        merged.tool_calls.iter().any(|call| call.index == fragment.index)
    }

    /// Copies the events after `cursor`; returns the last number and the bytes copied.
    fn copy_into(&self, merged: &mut MergedDelta, cursor: u64, room: usize) -> (u64, usize) {
        match &self.content {
            Content::Run(run) => {
                let done = cursor.saturating_sub(self.first - 1) as usize;
                let (until, text) = run.slice(done, room);
                match run.kind {
                    RunKind::Text => merged.text.push_str(text),
                    RunKind::Reasoning => merged.reasoning.push_str(text),
                }
                (self.first - 1 + until as u64, text.len())
            }
            Content::ToolCall(_, fragment) => {
                merged.tool_calls.push(fragment.clone());
                (self.first, fragment.arguments.len())
            }
            Content::Logprobs(_, json) => {
                merged.logprobs.clone_from(json);
                (self.first, json.len())
            }
            Content::Restarted { .. } => (self.first, 0),
        }
    }
}

// === impl Content ===

impl Content {
    fn events(&self) -> u64 {
        match self {
            Content::Run(run) => run.ends.len() as u64,
            Content::ToolCall(..) | Content::Logprobs(..) | Content::Restarted { .. } => 1,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Content::Run(run) => run.bytes(),
            Content::ToolCall(_, fragment) => {
                fragment.arguments.len()
                    + fragment.id.as_ref().map_or(0, String::len)
                    + fragment.name.as_ref().map_or(0, String::len)
            }
            Content::Logprobs(_, json) => json.len(),
            Content::Restarted { .. } => 0,
        }
    }
}

// === impl Run ===

impl Run {
    const MARK_BYTES: usize = mem::size_of::<u32>();

    fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * Run::MARK_BYTES
    }

    fn begin(&mut self, choice: u32, kind: RunKind, text: &str) {
        (self.choice, self.kind) = (choice, kind);
        self.text.clear();
        self.text.push_str(text);
        self.ends.clear();
        self.ends.push(text.len() as u32);
    }

    fn continues(&self, other: &Run) -> bool {
        self.choice == other.choice && self.kind == other.kind
    }

    fn extend(&mut self, other: &Run) {
        let offset = self.text.len() as u32;
        self.text.push_str(&other.text);
        self.ends.extend(other.ends.iter().map(|end| offset + end));
    }

    /// Returns the pieces after the first `done` as one text of about `room` bytes, at
    /// least one piece, with the number of pieces done then.
    fn slice(&self, done: usize, room: usize) -> (usize, &str) {
        let from = done.checked_sub(1).map_or(0, |previous| self.ends[previous] as usize);
        let fitting = self.ends.partition_point(|end| *end as usize <= from.saturating_add(room));
        let until = fitting.max(done + 1);
        (until, &self.text[from..self.ends[until - 1] as usize])
    }
}

// === impl Joined ===

impl Joined {
    fn push(&mut self, run: &Run) {
        match run.kind {
            RunKind::Text => self.text.push_str(&run.text),
            RunKind::Reasoning => self.reasoning.push_str(&run.text),
        }
    }

    fn join_fragment(&mut self, fragment: &ToolCallFragment) {
        let known = self.tool_calls.iter_mut().find(|call| call.index == fragment.index);
        match known {
            Some(call) => call.extend(fragment),
            None => {
                self.tool_calls.push(fragment.clone());
                self.tool_calls.sort_by_key(|call| call.index);
            }
        }
    }
}

/// Joins `logprobs` objects: lists are concatenated (both of the provider's forms are
/// objects of lists); otherwise the last value other than `null` wins.
fn join_logprobs(parts: &[&str]) -> String {
    if let [] | [_] = parts {
        return parts.concat();
    }
    let mut joined = serde_json::Map::new();
    for part in parts {
        let Ok(Value::Object(object)) = serde_json::from_str(part) else {
            continue;
        };
        for (key, value) in object {
            match (joined.get_mut(&key), value) {
                (Some(_), Value::Null) => {}
                (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
                (_, value) => {
                    joined.insert(key, value);
                }
            }
        }
    }
    Value::Object(joined).to_string()
}
