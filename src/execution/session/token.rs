//! Execution tokens, the argument of AttachExecution.
//!
//! A token names a flight on any worker, the key the fleet finds it by, and the key
//! of the recording it may have become. A keyed hash over its content, the caller
//! and the tenant authenticates it: it cannot be guessed, altered or used by
//! another caller, and no worker has to remember it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::execution::{request::Context, response::CacheStatus};
use crate::{
    cache::key::{CacheSecret, Fingerprint},
    callers::Caller,
    recording::{FlightId, Key},
};

/// The content of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExecutionToken {
    /// The flight.
    pub(crate) flight: FlightId,
    /// The key the fleet finds it by, if it is shared.
    pub(crate) flight_key: Option<Key>,
    /// The key of its recording, if it is stored.
    pub(crate) recording: Option<Key>,
    /// The execution's result of the look-up.
    pub(crate) status: CacheStatus,
}

/// A session's token: given by the caller, or created once the flight has its id.
#[derive(Debug)]
pub(crate) enum SessionToken {
    /// As given by the caller.
    Given(String),
    /// To be sealed for this owner, bound to this credential.
    New(TokenOwner, Fingerprint),
}

/// The caller and tenant a token belongs to.
#[derive(Debug, Clone)]
pub(crate) struct TokenOwner {
    name: String,
    tenant: String,
}

const VERSION: u8 = 2;
const MAC_BYTES: usize = 16;
const FINGERPRINT_BYTES: usize = 16;
const BODY_BYTES: usize = 2 + 16 + 32 + 32 + FINGERPRINT_BYTES;
const NO_KEY: Key = [0; 32];

impl ExecutionToken {
    /// Seals the token for one owner, bound to the credential that paid.
    pub(crate) fn seal(
        &self,
        secret: &CacheSecret,
        owner: &TokenOwner,
        credential: &Fingerprint,
    ) -> String {
        let mut bytes = Vec::with_capacity(BODY_BYTES + MAC_BYTES);
        bytes.push(VERSION);
        bytes.push(self.status.as_u8());
        bytes.extend_from_slice(self.flight.as_bytes());
        bytes.extend_from_slice(&self.flight_key.unwrap_or(NO_KEY));
        bytes.extend_from_slice(&self.recording.unwrap_or(NO_KEY));
        bytes.extend_from_slice(&credential.as_bytes()[..FINGERPRINT_BYTES]);
        let mac = owner.authenticate(secret, &bytes);
        bytes.extend_from_slice(&mac);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a token. `None` unless it belongs to this owner and, if one is given,
    /// to this credential.
    pub(crate) fn open(
        text: &str,
        secret: &CacheSecret,
        owner: &TokenOwner,
        credential: Option<&Fingerprint>,
    ) -> Option<ExecutionToken> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, mac) = bytes.split_at_checked(BODY_BYTES)?;
        let body: &[u8; BODY_BYTES] = body.try_into().ok()?;
        let mac: [u8; MAC_BYTES] = mac.try_into().ok()?;
        if !owner.vouches(secret, body, mac) || body[0] != VERSION {
            return None;
        }
        let (flight, rest) = body[2..].split_first_chunk::<16>()?;
        let (flight_key, rest) = rest.split_first_chunk::<32>()?;
        let (recording, fingerprint) = rest.split_first_chunk::<32>()?;
        if credential.is_some_and(|own| own.as_bytes()[..FINGERPRINT_BYTES] != *fingerprint) {
            return None;
        }
        Some(ExecutionToken {
            flight: FlightId::from_bytes(*flight),
            flight_key: (*flight_key != NO_KEY).then_some(*flight_key),
            recording: (*recording != NO_KEY).then_some(*recording),
            status: CacheStatus::from_u8(body[1])?,
        })
    }
}

impl TokenOwner {
    /// Returns the owner behind a call.
    pub(crate) fn of(caller: &Caller, context: &Context) -> TokenOwner {
        TokenOwner {
            name: caller.name.clone().unwrap_or_default(),
            tenant: caller.tenant.clone().unwrap_or_else(|| context.tenant.clone()),
        }
    }

    fn authenticate(&self, secret: &CacheSecret, body: &[u8]) -> [u8; MAC_BYTES] {
        let hash = self.hash(secret, body);
        std::array::from_fn(|index| hash.as_bytes()[index])
    }

    /// Compares hashes, which takes the same time wherever they differ.
    fn vouches(&self, secret: &CacheSecret, body: &[u8], mac: [u8; MAC_BYTES]) -> bool {
        let expected = self.authenticate(secret, body);
        blake3::hash(&expected) == blake3::hash(&mac)
    }

    fn hash(&self, secret: &CacheSecret, body: &[u8]) -> blake3::Hash {
        secret.authenticate(&[body, self.name.as_bytes(), self.tenant.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::ApiKey;

    fn token() -> ExecutionToken {
        ExecutionToken {
            flight: FlightId::random(),
            flight_key: Some([8; 32]),
            recording: Some([7; 32]),
            status: CacheStatus::Miss,
        }
    }

    fn owner(caller: &Caller, tenant: &str) -> TokenOwner {
        TokenOwner::of(caller, &Context { tenant: tenant.to_owned(), ..Context::default() })
    }

    fn fingerprint(secret: &CacheSecret, key: &str) -> Fingerprint {
        secret.fingerprint(&ApiKey::new(key.to_owned()).expect("a key"))
    }

    #[test]
    fn a_token_serves_its_holder_and_nobody_else() {
        let secret = CacheSecret::random();
        let caller = Caller { name: Some("flows".to_owned()), ..Caller::anyone() };
        let mine = owner(&caller, "a");
        let credential = fingerprint(&secret, "fw_a");
        let text = token().seal(&secret, &mine, &credential);
        let open = |owner: &TokenOwner, credential: Option<&Fingerprint>| {
            ExecutionToken::open(&text, &secret, owner, credential)
        };
        assert!(open(&mine, None).is_some());
        assert!(open(&mine, Some(&credential)).is_some());
        assert!(open(&mine, Some(&fingerprint(&secret, "fw_b"))).is_none());
        assert!(open(&owner(&caller, "b"), None).is_none());
        let other = Caller { name: Some("other".to_owned()), ..Caller::anyone() };
        assert!(open(&owner(&other, "a"), None).is_none());
    }

    #[test]
    fn a_token_comes_back_as_it_was_and_only_unchanged() {
        let secret = CacheSecret::random();
        let caller = Caller::anyone();
        let mine = owner(&caller, "");
        let token = token();
        let text = token.seal(&secret, &mine, &fingerprint(&secret, "fw_a"));
        assert_eq!(ExecutionToken::open(&text, &secret, &mine, None), Some(token));
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert_eq!(ExecutionToken::open(&changed, &secret, &mine, None), None);
        }
        for text in ["", "short", "!!!", &text[1..], &format!("{text}AAAA")] {
            assert_eq!(ExecutionToken::open(text, &secret, &mine, None), None);
        }
    }
}
