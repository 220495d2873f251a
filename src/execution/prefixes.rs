//! Where a conversation's prompt departs from that of its last call. Until there, the
//! provider's prompt cache can use the prompt again; from there on it is paid in full.
//!
//! Kept per session, node and model: the rolling keyed hashes of the messages' prefixes,
//! no text. They are bounded in number and forgotten after some minutes, as prompt
//! caches are.

use std::{sync::Arc, time::Duration};

use moka::sync::Cache;

use crate::{cache::key::PromptHasher, node::SentPrompt, recording::Key};

/// The prompts that sessions sent last.
#[derive(Debug)]
pub struct Prefixes(Cache<Key, Arc<Hashes>>);

/// The hashes of a prompt: of its tools, and after each message of everything up to
/// there, tools aside.
#[derive(Debug, PartialEq, Eq)]
struct Hashes {
    tools: u64,
    messages: Vec<u64>,
}

/// A prompt beside that of the session's last call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptPrefix {
    /// The messages of the last call.
    pub previous_messages: u32,
    /// The first message, from 0, that differs from the last call's; none if one prompt
    /// begins with the other.
    pub first_changed_message: Option<u32>,
    /// True if the tools differ, which come before all messages.
    pub tools_changed: bool,
}

impl Prefixes {
    /// Maximum hashes kept: 8 bytes each.
    const MOST_HASHES: u64 = 1 << 20;
    /// Maximum messages of a prompt that are followed.
    const MOST_MESSAGES: usize = 4096;
    /// The size of a session besides its messages, in hashes.
    const SESSION_HASHES: u32 = 16;
    /// The time after a session's last call for which its prompt is kept.
    const KEPT: Duration = Duration::from_secs(15 * 60);

    /// Creates an empty store.
    pub fn new() -> Prefixes {
        let weigh = |_: &Key, hashes: &Arc<Hashes>| {
            let messages = u32::try_from(hashes.messages.len()).unwrap_or(u32::MAX);
            messages.saturating_add(Prefixes::SESSION_HASHES)
        };
        let cache = Cache::builder().max_capacity(Prefixes::MOST_HASHES).weigher(weigh);
        Prefixes(cache.time_to_live(Prefixes::KEPT).build())
    }

    /// Compares a prompt with that of the session's last call, which it replaces; none
    /// if no last call is known.
    pub(super) fn follow(
        &self,
        session: Key,
        hasher: PromptHasher,
        prompt: &SentPrompt,
    ) -> Option<PromptPrefix> {
        if prompt.messages().len() == 0 {
            return None;
        }
        let hashes = Arc::new(Hashes::of(hasher, prompt));
        let previous = self.0.get(&session);
        self.0.insert(session, hashes.clone());
        previous.map(|previous| hashes.beside(&previous))
    }
}

impl Default for Prefixes {
    fn default() -> Prefixes {
        Prefixes::new()
    }
}

impl Hashes {
    fn of(mut rolling: PromptHasher, prompt: &SentPrompt) -> Hashes {
        let tools = rolling.clone().and(prompt.tools());
        let messages = prompt.messages().take(Prefixes::MOST_MESSAGES);
        Hashes { tools, messages: messages.map(|message| rolling.and(message)).collect() }
    }

    fn beside(&self, previous: &Hashes) -> PromptPrefix {
        let pairs = self.messages.iter().zip(&previous.messages);
        let first_changed = pairs.into_iter().position(|(one, other)| one != other);
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        PromptPrefix {
            previous_messages: count(previous.messages.len()),
            first_changed_message: first_changed.map(count),
            tools_changed: self.tools != previous.tools,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::key::CacheSecret;

    fn prompt(tools: &str, messages: &[String]) -> SentPrompt {
        let mut body = tools.to_owned();
        let ranges = messages.iter().map(|message| {
            let start = body.len();
            body.push_str(message);
            start..body.len()
        });
        let ranges = ranges.collect();
        SentPrompt::new(body.into(), Some(0..tools.len()), ranges)
    }

    /// Follows two prompts of one session.
    fn second(one: &SentPrompt, other: &SentPrompt) -> PromptPrefix {
        let (prefixes, session) = (Prefixes::new(), Key::default());
        let hasher = || CacheSecret::new(b"secret of the tests").prompt_hasher();
        assert_eq!(prefixes.follow(session, hasher(), one), None);
        prefixes.follow(session, hasher(), other).expect("a last call")
    }

    proptest! {
        /// The first changed message is the first that differs, wherever texts are cut.
        #[test]
        fn the_first_message_that_differs_is_named(
            one in prop::collection::vec("[ab]{0,2}", 0..6),
            other in prop::collection::vec("[ab]{0,2}", 0..6),
        ) {
            prop_assume!(!one.is_empty() && !other.is_empty());
            let expected = one.iter().zip(&other).position(|(one, other)| one != other);
            let prefix = second(&prompt("", &one), &prompt("", &other));
            prop_assert_eq!(prefix.first_changed_message, expected.map(|at| at as u32));
            prop_assert_eq!(prefix.previous_messages as usize, one.len());
            prop_assert!(!prefix.tools_changed);
        }
    }

    #[test]
    fn changed_tools_are_named_apart_from_messages() {
        let messages = ["one".to_owned(), "two".to_owned()];
        let prefix = second(&prompt("a tool", &messages), &prompt("another", &messages));
        assert!(prefix.tools_changed);
        assert_eq!(prefix.first_changed_message, None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let prefixes = Prefixes::new();
        let secret = CacheSecret::random();
        let long = prompt("", &vec![String::new(); Prefixes::MOST_MESSAGES + 10]);
        for number in 0..1000_u64 {
            let mut session = Key::default();
            session[..8].copy_from_slice(&number.to_le_bytes());
            prefixes.follow(session, secret.prompt_hasher(), &long);
            let again = prefixes.follow(session, secret.prompt_hasher(), &long);
            let previous = again.map(|prefix| prefix.previous_messages as usize);
            assert!(previous.is_none_or(|previous| previous == Prefixes::MOST_MESSAGES));
        }
        prefixes.0.run_pending_tasks();
        assert!(prefixes.0.weighted_size() <= Prefixes::MOST_HASHES);
        assert!(prefixes.0.entry_count() > 100);
    }
}
