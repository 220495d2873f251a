//! The headers by which the provider finds the prompt cache of a conversation.

use http::{HeaderMap, HeaderValue};

/// Requests with the same value reach the same replica, which then has their prefix in
/// its prompt cache.
const SESSION: &str = "x-session-affinity";
/// Requests with different values share no entry of a prompt cache.
const ISOLATION: &str = "x-prompt-cache-isolation-key";

/// The names of a session and of a party to the provider's prompt caches.
#[derive(Debug, Clone, Default)]
pub struct Affinity {
    session: Option<HeaderValue>,
    isolation: Option<HeaderValue>,
}

impl Affinity {
    /// Creates the headers from names; a name that is not a header's value is left out.
    pub fn new(session: Option<&str>, isolation: Option<&str>) -> Affinity {
        let value = |name: Option<&str>| HeaderValue::from_str(name?).ok();
        Affinity { session: value(session), isolation: value(isolation) }
    }

    /// Returns the names without that of the session, for a request of several sessions.
    pub fn without_session(&self) -> Affinity {
        Affinity { session: None, isolation: self.isolation.clone() }
    }

    pub(super) fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in [(SESSION, &self.session), (ISOLATION, &self.isolation)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
    }
}
