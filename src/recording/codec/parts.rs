//! Splits events that exceed the size of one message, such as the single long text of a
//! provider that does not stream, and joins the parts again.

use super::{Unreadable, VERSION, ValueKind, decode_events, encode_events};
use crate::recording::Log;

const FIRST: u8 = 1;
const LAST: u8 = 2;

/// Encodes events: as one value if it fits `most_bytes`, otherwise as parts that do.
pub fn encode_events_in_parts(events: &Log, most_bytes: usize) -> Vec<Vec<u8>> {
    let whole = encode_events(events);
    if whole.len() <= most_bytes {
        return vec![whole];
    }
    let count = whole.len().div_ceil(most_bytes);
    let part = |(index, bytes): (usize, &[u8])| {
        let first = if index == 0 { FIRST } else { 0 };
        let last = if index + 1 == count { LAST } else { 0 };
        [&[VERSION, ValueKind::Part as u8, first | last], bytes].concat()
    };
    whole.chunks(most_bytes).enumerate().map(part).collect()
}

/// Joins parts in order of arrival.
#[derive(Debug, Default)]
pub struct Parts(Vec<u8>);

impl Parts {
    /// Returns true if parts have arrived and the last one is missing.
    pub fn is_waiting(&self) -> bool {
        !self.0.is_empty()
    }

    /// Takes the next part or whole value, and returns the events once they are complete.
    /// A first part discards an earlier incomplete value.
    ///
    /// # Errors
    ///
    /// [`Unreadable`] if the bytes cannot be decoded, or a first part is missing.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<Log>, Unreadable> {
        let [VERSION, kind, place, part @ ..] = bytes else {
            return decode_events(bytes).map(Some);
        };
        if *kind != ValueKind::Part as u8 {
            self.0.clear();
            return decode_events(bytes).map(Some);
        }
        if *place & FIRST != 0 {
            self.0.clear();
        } else if !self.is_waiting() {
            return Err(Unreadable::Content);
        }
        self.0.extend_from_slice(part);
        if *place & LAST == 0 {
            return Ok(None);
        }
        decode_events(&std::mem::take(&mut self.0)).map(Some)
    }
}
