//! Execution tokens: what AttachExecution is called with.
//!
//! A token names a flight, on whatever worker it runs, what the fleet finds it
//! by, and the recording it may have become. It proves itself with a keyed hash over its content, the caller
//! and the tenant it was given to; so it cannot be guessed, changed, or used by
//! somebody else, and no worker has to remember it.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use crate::execution::{request::Context, response::CacheStatus};
use crate::{
    cache::key::{CacheSecret, Fingerprint},
    callers::Caller,
    recording::{FlightId, Key},
};

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExecutionToken {
    /// The flight.
    pub(crate) flight: FlightId,
    /// What the fleet finds it by, if it does.
    pub(crate) flight_key: Option<Key>,
    /// Where its recording is kept, if it is.
    pub(crate) recording: Option<Key>,
    /// How the execution came by the flight.
    pub(crate) status: CacheStatus,
}

/// A session's token: the one it came with, or one to be made once the flight
/// has its name.
#[derive(Debug)]
pub(crate) enum SessionToken {
    /// As the caller gave it.
    Given(String),
    /// To be made for this holder, bound to this credential.
    New(TokenOwner, Fingerprint),
}

/// Whom a token is for.
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
    /// The token's text for one holder, bound to the credential that paid.
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

    /// What a text says, if it is a token of this holder and, when one is
    /// given, of this credential.
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
    /// The holder behind a call.
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

    /// Compared as hashes, which takes the same time whatever differs.
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
