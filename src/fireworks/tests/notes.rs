//! A receiver that notes everything emitted, and can be watched meanwhile.

use std::sync::{Arc, Mutex};

use crate::{
    emit::Emit,
    error::Error,
    event::{Delta, Phase, Piece, ToolCallFragment},
};

/// One thing that was emitted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Note {
    Phase(Phase),
    Text(u32, String),
    Reasoning(u32, String),
    ToolCall(u32, ToolCallFragment),
    Logprobs(u32, String),
    Flush,
}

/// Notes everything; can be watched while a run is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    emitted: Arc<Mutex<Vec<Note>>>,
    changed: Arc<tokio::sync::Notify>,
    pub(super) refuse_after: Option<usize>,
}

impl Notes {
    pub(super) fn all(&self) -> Vec<Note> {
        self.emitted.lock().expect("notes").clone()
    }

    pub(super) fn phases(&self) -> Vec<Phase> {
        self.all()
            .into_iter()
            .filter_map(|emitted| match emitted {
                Note::Phase(phase) => Some(phase),
                _ => None,
            })
            .collect()
    }

    pub(super) fn text(&self, choice: u32) -> String {
        self.joined(|emitted| match emitted {
            Note::Text(index, text) if *index == choice => Some(text),
            _ => None,
        })
    }

    pub(super) fn reasoning(&self, choice: u32) -> String {
        self.joined(|emitted| match emitted {
            Note::Reasoning(index, text) if *index == choice => Some(text),
            _ => None,
        })
    }

    fn joined(&self, pick: impl Fn(&Note) -> Option<&String>) -> String {
        self.all().iter().filter_map(pick).cloned().collect()
    }

    /// Waits until `wanted` has been emitted.
    pub(super) async fn until(&self, wanted: Note) {
        loop {
            let changed = self.changed.notified();
            if self.all().contains(&wanted) {
                return;
            }
            changed.await;
        }
    }

    fn note(&self, emitted: Note) {
        self.emitted.lock().expect("notes").push(emitted);
        self.changed.notify_one();
    }
}

impl Emit for Notes {
    fn phase(&mut self, phase: Phase) {
        self.note(Note::Phase(phase));
    }

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        if self.refuse_after == Some(0) {
            return Err(Error::OutputTooLarge { limit_bytes: 7 });
        }
        self.refuse_after = self.refuse_after.map(|left| left - 1);
        let choice = delta.choice;
        self.note(match delta.piece {
            Piece::Text(text) => Note::Text(choice, text.into_owned()),
            Piece::Reasoning(text) => Note::Reasoning(choice, text.into_owned()),
            Piece::ToolCall(fragment) => Note::ToolCall(choice, fragment),
            Piece::Logprobs(text) => Note::Logprobs(choice, text.into_owned()),
        });
        Ok(())
    }

    fn flush(&mut self) {
        self.note(Note::Flush);
    }
}
