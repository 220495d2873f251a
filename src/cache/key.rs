//! Cache keys: executions with the same key are identical.
//!
//! A key is a keyed hash, so that it reveals nothing about the request and cannot be
//! forged. Every part is prefixed with its length, so that different parts never run into
//! each other. The credential itself is never a part; its fingerprint under the same
//! secret is.

use std::fmt;

use zeroize::Zeroizing;

use crate::{
    credentials::ApiKey,
    recording::Key,
    seal::{Sealer, SealingKey},
};

/// Raised when the meaning of the key parts changes, so that recordings under older keys
/// are never found.
const SCHEMA_VERSION: u8 = 1;

/// The operator's secret, from which every keyed hash is derived. Workers that share a
/// cache share this secret.
#[derive(Clone)]
pub struct CacheSecret(Zeroizing<[u8; 32]>);

/// Identifies a credential without revealing it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// The group of executions that share an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Executions with the same credential.
    Credential(Fingerprint),
    /// Executions of the same tenant.
    Tenant(String),
    /// All executions.
    Shared,
}

/// Everything that identifies an execution. A new field does not compile until
/// [`CacheSecret::key`] handles it.
#[derive(Debug, Clone, Copy)]
pub struct KeyParts<'a> {
    /// The group that may share the answer.
    pub scope: &'a Scope,
    /// The node's type.
    pub node_type: &'a str,
    /// The provider's base URL.
    pub base_url: &'a str,
    /// The provider's endpoint.
    pub endpoint: &'a str,
    /// The request in canonical form, equal for equivalent requests.
    pub canonical_request: &'a [u8],
    /// The caller's salt, which separates otherwise identical executions.
    pub salt: &'a str,
}

/// A name that separates the provider's prompt caches.
#[derive(Debug, Clone, Copy)]
pub enum PromptCacheName<'a> {
    /// A session of a tenant.
    Session {
        /// The tenant; empty if it is unknown.
        tenant: &'a str,
        /// The session.
        session: &'a str,
    },
    /// A flow's run of a tenant.
    Run {
        /// The tenant; empty if it is unknown.
        tenant: &'a str,
        /// The run.
        run: &'a str,
    },
    /// A tenant.
    Tenant(&'a str),
}

/// Hashes the parts of a prompt one after the other. Clones go on from the same part.
#[derive(Clone)]
pub(crate) struct PromptHasher(blake3::Hasher);

impl PromptHasher {
    /// Adds a part; returns the hash of all parts so far.
    pub(crate) fn and(&mut self, part: &[u8]) -> u64 {
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part);
        let [a, b, c, d, e, f, g, h, ..] = *self.0.finalize().as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl CacheSecret {
    /// Minimum length of a secret: a shorter one could be guessed.
    pub const MIN_BYTES: usize = 16;

    /// Derives the secret from the operator's text.
    pub fn new(text: &[u8]) -> CacheSecret {
        CacheSecret(Zeroizing::new(blake3::derive_key("sparkler 2026-11 cache secret", text)))
    }

    /// Returns a random secret for this process, for a cache in memory only.
    pub fn random() -> CacheSecret {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).expect("the system has randomness");
        CacheSecret(bytes)
    }

    /// Returns a credential's fingerprint.
    pub fn fingerprint(&self, credential: &ApiKey) -> Fingerprint {
        Fingerprint(self.hash(b"credential", &[credential.expose_for_hashing()]))
    }

    /// Returns an execution's key.
    pub fn key(&self, parts: KeyParts<'_>) -> Key {
        let KeyParts { scope, node_type, base_url, endpoint, canonical_request, salt } = parts;
        let (scope_kind, scope) = scope.parts();
        self.hash(
            b"execution",
            &[
                &[SCHEMA_VERSION],
                scope_kind,
                scope,
                node_type.as_bytes(),
                base_url.as_bytes(),
                endpoint.as_bytes(),
                canonical_request,
                salt.as_bytes(),
            ],
        )
    }

    /// Returns the hash of an idempotency key within its scope.
    pub fn idempotency_key(&self, scope: &Scope, idempotency_key: &str) -> Key {
        let (scope_kind, scope) = scope.parts();
        self.hash(b"idempotency", &[scope_kind, scope, idempotency_key.as_bytes()])
    }

    /// Returns the name under which the provider sees a session, run or tenant: 32
    /// hexadecimal digits of a keyed hash.
    pub fn prompt_cache_name(&self, name: PromptCacheName<'_>) -> String {
        hex(&self.prompt_cache_hash(name), 32)
    }

    /// Returns the key of the prompt that a node last sent to a model in a session.
    pub(crate) fn session_key(&self, name: PromptCacheName<'_>, node: &str, model: &str) -> Key {
        let session = self.prompt_cache_hash(name);
        self.hash(b"last prompt", &[&session, node.as_bytes(), model.as_bytes()])
    }

    /// Returns a hasher for the parts of prompts.
    pub(crate) fn prompt_hasher(&self) -> PromptHasher {
        let mut hasher = PromptHasher(blake3::Hasher::new_keyed(&self.0));
        hasher.and(b"prompt");
        hasher
    }

    fn prompt_cache_hash(&self, name: PromptCacheName<'_>) -> Key {
        match name {
            PromptCacheName::Session { tenant, session } => {
                self.hash(b"prompt session", &[tenant.as_bytes(), session.as_bytes()])
            }
            PromptCacheName::Run { tenant, run } => {
                self.hash(b"prompt run", &[tenant.as_bytes(), run.as_bytes()])
            }
            PromptCacheName::Tenant(tenant) => self.hash(b"prompt tenant", &[tenant.as_bytes()]),
        }
    }

    /// Returns a sealer for values stored outside the worker; it also opens values sealed
    /// under `former` secrets.
    pub fn sealer(&self, former: &[CacheSecret]) -> Sealer {
        let key = |secret: &CacheSecret| SealingKey::derive(&secret.0);
        Sealer::new(key(self), former.iter().map(key))
    }

    /// Returns a hash that proves that `parts` were written under this secret.
    pub fn authenticate(&self, parts: &[&[u8]]) -> blake3::Hash {
        blake3::Hash::from_bytes(self.hash(b"token", parts))
    }

    /// Returns the key for hashing names that are stored outside the worker.
    pub fn naming_key(&self) -> [u8; 32] {
        self.hash(b"names", &[])
    }

    fn hash(&self, purpose: &[u8], parts: &[&[u8]]) -> Key {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        let mut write = |part: &[u8]| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        };
        write(purpose);
        for part in parts {
            write(part);
        }
        *hasher.finalize().as_bytes()
    }
}

impl fmt::Debug for CacheSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CacheSecret([REDACTED])")
    }
}

impl Fingerprint {
    /// Returns the fingerprint's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&short(&self.0))
    }
}

impl Scope {
    fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Scope::Credential(fingerprint) => (b"credential", fingerprint.as_bytes()),
            Scope::Tenant(tenant) => (b"tenant", tenant.as_bytes()),
            Scope::Shared => (b"shared", b""),
        }
    }
}

/// Returns the first 16 hexadecimal digits of a key: enough to compare executions, too
/// few to look anything up.
pub(crate) fn short(key: &Key) -> String {
    hex(key, 16)
}

fn hex(key: &Key, digits: usize) -> String {
    blake3::Hash::from_bytes(*key).to_hex()[..digits].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key_of(secret: &CacheSecret, parts: &[String; 6], scope: &Scope) -> Key {
        secret.key(KeyParts {
            scope,
            node_type: &parts[0],
            base_url: &parts[1],
            endpoint: &parts[2],
            canonical_request: parts[3].as_bytes(),
            salt: &parts[4],
        })
    }

    proptest! {
        /// Moving text from one part to the next changes the key.
        #[test]
        fn parts_do_not_run_into_each_other(
            parts in prop::array::uniform6("[ab]{0,3}"),
            others in prop::array::uniform6("[ab]{0,3}"),
        ) {
            let secret = CacheSecret::new(b"secret of the tests");
            let same = parts[..5] == others[..5];
            let keys_agree = key_of(&secret, &parts, &Scope::Shared)
                == key_of(&secret, &others, &Scope::Shared);
            prop_assert_eq!(keys_agree, same);
        }
    }

    #[test]
    fn scopes_tenants_credentials_and_secrets_are_kept_apart() {
        let parts: [String; 6] = std::array::from_fn(|index| index.to_string());
        let secret = CacheSecret::new(b"secret of the tests");
        let alice = ApiKey::new("fw_alice".to_owned()).expect("a key");
        let bob = ApiKey::new("fw_bob".to_owned()).expect("a key");
        let scopes = [
            Scope::Credential(secret.fingerprint(&alice)),
            Scope::Credential(secret.fingerprint(&bob)),
            Scope::Tenant("alice".to_owned()),
            Scope::Tenant(String::new()),
            Scope::Shared,
        ];
        let mut keys: Vec<Key> =
            scopes.iter().map(|scope| key_of(&secret, &parts, scope)).collect();
        keys.push(key_of(&CacheSecret::random(), &parts, &Scope::Shared));
        keys.push(secret.idempotency_key(&Scope::Shared, "0"));
        let distinct: std::collections::HashSet<Key> = keys.iter().copied().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn prompt_cache_names_are_apart_and_say_nothing() {
        let secret = CacheSecret::new(b"secret of the tests");
        let names = [
            PromptCacheName::Session { tenant: "a", session: "b" },
            PromptCacheName::Session { tenant: "", session: "ab" },
            PromptCacheName::Session { tenant: "b", session: "b" },
            PromptCacheName::Run { tenant: "a", run: "b" },
            PromptCacheName::Tenant("a"),
        ];
        let hashes = |secret: &CacheSecret| names.map(|name| secret.prompt_cache_name(name));
        let distinct: std::collections::HashSet<String> =
            hashes(&secret).into_iter().chain(hashes(&CacheSecret::random())).collect();
        assert_eq!(distinct.len(), 2 * names.len());
        assert_eq!(hashes(&secret), hashes(&CacheSecret::new(b"secret of the tests")));
        assert!(distinct.iter().all(|name| name.len() == 32));
    }

    #[test]
    fn the_same_execution_has_the_same_key() {
        let parts: [String; 6] = std::array::from_fn(|index| index.to_string());
        let [first, second] =
            [(); 2].map(|()| key_of(&CacheSecret::new(b"one secret"), &parts, &Scope::Shared));
        assert_eq!(first, second);
        assert_eq!(short(&first).len(), 16);
    }
}
