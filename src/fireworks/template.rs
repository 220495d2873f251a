//! Reads a chunk that differs from the last one in its text only.
//!
//! That is nearly every chunk of a stream: the same id, model, index and empty
//! fields around another token. So the bytes before and after the text are kept
//! from the last chunk that was parsed in full, and if they match, only the
//! text between them is read. Nothing is guessed: the surrounding bytes are
//! equal and the bytes between are one whole JSON string, so a full parse would
//! give the same chunk with this text.
//!
//! There is one instance per answer.

use std::borrow::Cow;

use serde::Deserialize;

use super::reasoning::TextKind;

/// The last chunk around its text.
#[derive(Debug, Default)]
pub(super) struct ChunkTemplate {
    /// Up to and including the quotation mark that opens the text.
    before: Vec<u8>,
    /// From the quotation mark that closes the text.
    after: Vec<u8>,
    place: Option<Place>,
}

/// The position of the text in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) choice: u32,
    pub(super) part: TextKind,
}

impl ChunkTemplate {
    /// Keeps the bytes around the text, which must be borrowed from the event
    /// and be the only content of the chunk.
    pub(super) fn learn(&mut self, event: &[u8], text: &str, place: Place) {
        self.place = None;
        let start = (text.as_ptr() as usize).wrapping_sub(event.as_ptr() as usize);
        let end = start.wrapping_add(text.len());
        let (Some(before), Some(after)) = (event.get(..start), event.get(end..)) else {
            return;
        };
        if before.last() != Some(&b'"') || after.first() != Some(&b'"') {
            return;
        }
        self.before.clear();
        self.before.extend_from_slice(before);
        self.after.clear();
        self.after.extend_from_slice(after);
        self.place = Some(place);
    }

    /// Returns the text of a chunk that differs from the last only in it.
    /// `None` means that the chunk has to be parsed in full.
    #[inline]
    pub(super) fn read<'a>(&self, event: &'a [u8]) -> Option<(Place, Cow<'a, str>)> {
        let place = self.place?;
        let inner =
            event.strip_prefix(self.before.as_slice())?.strip_suffix(self.after.as_slice())?;
        // With both quotation marks.
        let start = self.before.len() - 1;
        let literal = &event[start..start + inner.len() + 2];
        let JsonString(text) = serde_json::from_slice(literal).ok()?;
        Some((place, text))
    }
}

/// A JSON string, borrowed if it has no escapes.
#[derive(Deserialize)]
struct JsonString<'a>(#[serde(borrow)] Cow<'a, str>);
