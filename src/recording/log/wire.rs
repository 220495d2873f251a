//! Converts a log to [`wire`](crate::recording::wire) messages, and back with
//! every field validated.

use super::{Content, EventGroup, Log, Run, RunKind};
use crate::{
    error::ProviderErrorKind,
    event::ToolCallFragment,
    recording::{
        WORKER_LOST,
        wire::{self, Unreadable},
    },
};

/// Above any provider's number of choices; a log with a later one is invalid.
const MAX_CHOICES: u32 = 1024;

/// Above any flight's number of events.
const MAX_SEQUENCE: u64 = 1 << 48;

impl Log {
    pub(in crate::recording) fn to_wire(&self) -> wire::LogMessage {
        wire::LogMessage {
            last: self.last,
            entries: self.entries.iter().map(EventGroup::to_wire).collect(),
        }
    }

    pub(in crate::recording) fn from_wire(log: wire::LogMessage) -> Result<Log, Unreadable> {
        let mut read = Log::default();
        for entry in log.entries {
            let entry = EventGroup::from_wire(entry)?;
            let restarts = matches!(entry.content, Content::Restarted { .. });
            let continues = entry.first == read.last + 1 && !restarts;
            if !read.entries.is_empty() && !continues {
                return Err(Unreadable::Content);
            }
            read.last = entry.last();
            read.keep(entry);
        }
        if !read.entries.is_empty() && read.last != log.last || log.last > MAX_SEQUENCE {
            return Err(Unreadable::Content);
        }
        read.last = log.last;
        Ok(read)
    }
}

impl EventGroup {
    fn to_wire(&self) -> wire::EntryMessage {
        let content = match &self.content {
            Content::Run(run) => match run.kind {
                RunKind::Text => wire::ContentMessage::Text(run.to_wire()),
                RunKind::Reasoning => wire::ContentMessage::Reasoning(run.to_wire()),
            },
            Content::ToolCall(_, fragment) => {
                wire::ContentMessage::ToolCall(wire::ToolCallMessage {
                    index: fragment.index,
                    id: fragment.id.clone(),
                    name: fragment.name.clone(),
                    arguments: fragment.arguments.clone(),
                })
            }
            Content::Logprobs(_, json) => wire::ContentMessage::Logprobs(json.clone()),
            Content::Restarted { attempt, reason } => {
                wire::ContentMessage::Restarted(wire::Restarted {
                    attempt: *attempt,
                    reason: (*reason).to_owned(),
                })
            }
        };
        wire::EntryMessage { first: self.first, choice: self.choice(), content: Some(content) }
    }

    fn from_wire(entry: wire::EntryMessage) -> Result<EventGroup, Unreadable> {
        let choice = entry.choice;
        if choice >= MAX_CHOICES || !(1..=MAX_SEQUENCE).contains(&entry.first) {
            return Err(Unreadable::Content);
        }
        let content = match entry.content.ok_or(Unreadable::Content)? {
            wire::ContentMessage::Text(run) => {
                Content::Run(Run::from_wire(choice, RunKind::Text, run)?)
            }
            wire::ContentMessage::Reasoning(run) => {
                Content::Run(Run::from_wire(choice, RunKind::Reasoning, run)?)
            }
            wire::ContentMessage::ToolCall(wire::ToolCallMessage {
                index,
                id,
                name,
                arguments,
            }) => Content::ToolCall(choice, ToolCallFragment { index, id, name, arguments }),
            wire::ContentMessage::Logprobs(json) => Content::Logprobs(choice, json),
            wire::ContentMessage::Restarted(wire::Restarted { attempt, reason }) => {
                let reason = restart_reason(&reason).ok_or(Unreadable::Content)?;
                Content::Restarted { attempt, reason }
            }
        };
        Ok(EventGroup { first: entry.first, content })
    }
}

impl Run {
    fn to_wire(&self) -> wire::RunMessage {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let lengths = self.ends.iter().zip(begins).map(|(end, begin)| end - begin).collect();
        wire::RunMessage { text: self.text.clone(), lengths }
    }

    fn from_wire(choice: u32, kind: RunKind, run: wire::RunMessage) -> Result<Run, Unreadable> {
        let mut end = 0_u32;
        let mut ends = Vec::with_capacity(run.lengths.len());
        for length in run.lengths {
            end = end.checked_add(length).ok_or(Unreadable::Content)?;
            if !run.text.is_char_boundary(end as usize) {
                return Err(Unreadable::Content);
            }
            ends.push(end);
        }
        if ends.is_empty() || end as usize != run.text.len() {
            return Err(Unreadable::Content);
        }
        Ok(Run { choice, kind, text: run.text, ends })
    }
}

/// Returns the static text of a restart's reason: a provider error's, or the loss of a
/// worker.
fn restart_reason(text: &str) -> Option<&'static str> {
    if text == WORKER_LOST {
        return Some(WORKER_LOST);
    }
    ProviderErrorKind::named(text).map(ProviderErrorKind::reason)
}
