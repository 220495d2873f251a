//! Slices of a log, and a log that follows another by its slices, so that events reach
//! other workers without loss or duplication.

use super::{Content, EventGroup, Log, Run};

/// Events are missing between a log and the events to be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the events from {from} to {until} are missing")]
pub struct Gap {
    /// The first missing event.
    pub from: u64,
    /// The last missing event.
    pub until: u64,
}

impl Log {
    /// Returns the sequence number of the first event; 0 if there is none. Anything
    /// before it is void.
    pub fn first(&self) -> u64 {
        self.entries.first().map_or(0, |entry| entry.first)
    }

    /// Returns a copy of the events after number `cursor`, with their numbers.
    pub fn after(&self, cursor: u64) -> Log {
        let start = self.entries.partition_point(|entry| entry.last() <= cursor);
        let mut part = Log { last: self.last, ..Log::default() };
        for entry in &self.entries[start..] {
            part.keep(entry.after(cursor));
        }
        part
    }

    /// Returns a copy of the first events, with their numbers: about `room` bytes, at
    /// least one event. An event larger than that is returned alone.
    pub fn up_to(&self, room: usize) -> Log {
        let mut part = Log::default();
        for entry in &self.entries {
            let left = room.saturating_sub(part.bytes);
            if !part.is_empty() && entry.first_bytes() > left {
                break;
            }
            let (first, is_whole) = entry.up_to(left);
            part.last = first.last();
            part.keep(first);
            if !is_whole {
                break;
            }
        }
        part
    }

    /// Appends the events of `part` that this log does not have yet. A restart voids what
    /// is there, as it did in the log `part` comes from, and may follow anything.
    ///
    /// # Errors
    ///
    /// [`Gap`] if events are missing; the events before the gap have been appended.
    pub fn follow(&mut self, part: Log) -> Result<(), Gap> {
        for entry in part.entries {
            if entry.last() <= self.last {
                continue;
            }
            let restarts = matches!(entry.content, Content::Restarted { .. });
            if restarts {
                self.entries.clear();
                self.bytes = 0;
            } else if entry.first > self.last + 1 {
                return Err(Gap { from: self.last + 1, until: entry.first - 1 });
            }
            let entry = if entry.first <= self.last { entry.after(self.last) } else { entry };
            self.last = entry.last();
            self.join_or_keep(entry);
        }
        Ok(())
    }

    /// Appends the next entry, merged into the last one if they are of one run.
    fn join_or_keep(&mut self, entry: EventGroup) {
        match (&entry.content, self.entries.last_mut().map(|last| &mut last.content)) {
            (Content::Run(run), Some(Content::Run(last))) if last.continues(run) => {
                self.bytes += run.bytes();
                last.extend(run);
            }
            _ => self.keep(entry),
        }
    }

    /// Appends an entry unmerged; the caller maintains `last`.
    pub(super) fn keep(&mut self, entry: EventGroup) {
        self.bytes += size_of::<EventGroup>() + entry.content.bytes();
        self.entries.push(entry);
    }
}

// === impl Entry ===

impl EventGroup {
    /// Returns the size of its first event in bytes.
    fn first_bytes(&self) -> usize {
        match &self.content {
            Content::Run(run) => run.ends[0] as usize,
            content => content.bytes(),
        }
    }

    /// Returns its first events, as many as fit `room` and at least one; true if these
    /// are all.
    fn up_to(&self, room: usize) -> (EventGroup, bool) {
        let Content::Run(run) = &self.content else {
            return (self.after(self.first - 1), true);
        };
        let (until, text) = run.slice(0, room);
        let first = Run { text: text.to_owned(), ends: run.ends[..until].to_vec(), ..*run };
        (EventGroup { first: self.first, content: Content::Run(first) }, until == run.ends.len())
    }

    /// Returns the events after number `cursor`, which must be below the last.
    fn after(&self, cursor: u64) -> EventGroup {
        let done = cursor.saturating_sub(self.first - 1);
        let content = match &self.content {
            Content::Run(run) => Content::Run(run.after(done as usize)),
            Content::ToolCall(choice, fragment) => Content::ToolCall(*choice, fragment.clone()),
            Content::Logprobs(choice, json) => Content::Logprobs(*choice, json.clone()),
            Content::Restarted { attempt, reason } => {
                Content::Restarted { attempt: *attempt, reason }
            }
        };
        EventGroup { first: self.first + done, content }
    }
}

// === impl Run ===

impl Run {
    fn after(&self, done: usize) -> Run {
        let from = done.checked_sub(1).map_or(0, |previous| self.ends[previous]);
        Run {
            choice: self.choice,
            kind: self.kind,
            text: self.text[from as usize..].to_owned(),
            ends: self.ends[done..].iter().map(|end| end - from).collect(),
        }
    }
}
