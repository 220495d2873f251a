//! A digest of a log's content, independent of how its events were batched: two workers
//! with the same events get the same digest.

use super::{Joined, Log};

impl Log {
    /// Returns the digest of the joined choices and of the last event's number.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.last.to_le_bytes());
        for choice in self.join(0) {
            hash_choice(&mut hasher, &choice);
        }
        *hasher.finalize().as_bytes()
    }
}

fn hash_choice(hasher: &mut blake3::Hasher, choice: &Joined) {
    let Joined { text, reasoning, tool_calls, logprobs } = choice;
    let mut part = |bytes: &[u8]| {
        // The length comes first, so that different choices never hash the same bytes.
        hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
    };
    part(text.as_bytes());
    part(reasoning.as_bytes());
    part(logprobs.as_bytes());
    part(&(tool_calls.len() as u64).to_le_bytes());
    for call in tool_calls {
        part(&call.index.to_le_bytes());
        part(call.id.as_deref().unwrap_or_default().as_bytes());
        part(call.name.as_deref().unwrap_or_default().as_bytes());
        part(call.arguments.as_bytes());
    }
}
