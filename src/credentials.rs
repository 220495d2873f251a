//! The provider's API key, from the request to the `Authorization` header.
//!
//! The only types that hold a key. They print as `[REDACTED]` and are zeroed on
//! drop.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

/// A valid API key: non-empty, printable ASCII.
#[derive(Clone)]
pub struct ApiKey(SecretString);

/// The reason a text is not a valid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadApiKey {
    /// The text is empty.
    #[error("is empty: give the Fireworks API key")]
    Empty,
    /// It has a character that no HTTP header may carry, such as a newline.
    #[error(
        "has a character that no key has (white space, a control character or non-ASCII): copy it again, without the line end"
    )]
    Unprintable,
    /// It is longer than any key.
    #[error("is longer than {} bytes: this is no API key", ApiKey::MAX_BYTES)]
    TooLong,
}

impl ApiKey {
    /// Maximum length of a key in bytes.
    pub const MAX_BYTES: usize = 4096;

    /// Takes ownership of a key and zeroes the text it came in.
    pub fn new(mut text: String) -> Result<ApiKey, BadApiKey> {
        // Copied: moving the text itself might reallocate, and leave a copy behind.
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

    /// Returns the `Authorization` header, marked as sensitive.
    pub fn authorization(&self) -> HeaderValue {
        let text = zeroize::Zeroizing::new(format!("Bearer {}", self.0.expose_secret()));
        let mut value = HeaderValue::from_str(&text).expect("a key is printable ASCII");
        value.set_sensitive(true);
        value
    }

    /// Returns the key's bytes, for keyed hashing only.
    pub fn expose_for_hashing(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// Replaces every occurrence of the key in provider text, which may quote it.
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
