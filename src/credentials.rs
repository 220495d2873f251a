//! The key for the provider, from the door to the `Authorization` header.
//!
//! The only types that hold a key. They print as `[REDACTED]` and are zeroed
//! when dropped.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

/// A key that can be sent: non-empty, printable ASCII.
#[derive(Clone)]
pub struct ApiKey(SecretString);

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadApiKey {
    /// Nothing there.
    #[error("is empty: give the Fireworks API key")]
    Empty,
    /// A character that no HTTP header may carry, such as a newline.
    #[error(
        "has a character that no key has (white space, a control character or non-ASCII): copy it again, without the line end"
    )]
    Unprintable,
    /// Longer than any key.
    #[error("is longer than {} bytes: this is no API key", ApiKey::MAX_BYTES)]
    TooLong,
}

impl ApiKey {
    /// Longer texts are refused.
    pub const MAX_BYTES: usize = 4096;

    /// Takes a key over; the text it came in is gone.
    pub fn new(mut text: String) -> Result<ApiKey, BadApiKey> {
        // Copied: to hand the text itself over may move it, and leave it behind.
        let key = SecretString::from(text.as_str());
        text.zeroize();
        let bytes = key.expose_secret().as_bytes();
        if bytes.is_empty() {
            return Err(BadApiKey::Empty);
        }
        if bytes.len() > ApiKey::MAX_BYTES {
            return Err(BadApiKey::TooLong);
        }
        if !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(BadApiKey::Unprintable);
        }
        Ok(ApiKey(key))
    }

    /// The `Authorization` header, marked as sensitive.
    pub fn authorization(&self) -> HeaderValue {
        let text = zeroize::Zeroizing::new(format!("Bearer {}", self.0.expose_secret()));
        let mut value = HeaderValue::from_str(&text).expect("a key is printable ASCII");
        value.set_sensitive(true);
        value
    }

    /// The key's bytes, for keyed hashing only.
    pub fn expose_for_hashing(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// The text with every occurrence of the key taken out: for texts of the
    /// provider, which may quote it.
    pub fn redact(&self, text: &str) -> String {
        text.replace(self.0.expose_secret(), "[REDACTED]")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_no_header_can_carry_is_refused() {
        for (text, problem) in [
            ("", BadApiKey::Empty),
            ("fw_abc\n", BadApiKey::Unprintable),
            ("fw abc", BadApiKey::Unprintable),
            ("fw_ключ", BadApiKey::Unprintable),
            (&"x".repeat(ApiKey::MAX_BYTES + 1), BadApiKey::TooLong),
        ] {
            assert_eq!(ApiKey::new(text.to_owned()).err(), Some(problem), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_never_printed() {
        let key = ApiKey::new("fw_canary".to_owned()).expect("a key");
        assert!(!format!("{key:?} {:?}", key.authorization()).contains("canary"));
        assert_eq!(key.redact("bad key fw_canary!"), "bad key [REDACTED]!");
    }
}
