//! Authenticated encryption of values stored outside the worker: a reader learns nothing,
//! and any change or move is detected.
//!
//! A sealed value consists of a version, the id of its secret, a salt, and the encrypted
//! content with its tag. Every value has its own key, derived from the secret and the
//! salt of 24 random bytes, so a fleet may seal any number of values under one secret. A
//! value that cannot be opened is treated as absent: another secret or version, a changed
//! byte, or another place.

use std::{fmt, sync::Arc};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

const VERSION: u8 = 1;
const ID_BYTES: usize = 4;
const SALT_BYTES: usize = 24;
const HEAD_BYTES: usize = 1 + ID_BYTES + SALT_BYTES;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// A secret for sealing, and the id that distinguishes it from others.
#[derive(Clone)]
pub struct SealingKey {
    id: [u8; ID_BYTES],
    key: Zeroizing<[u8; KEY_BYTES]>,
}

/// Seals under one secret, and opens values sealed under it or a former one. Cheap to
/// clone.
#[derive(Clone)]
pub struct Sealer {
    /// The first key seals; the others only open.
    keys: Arc<[SealingKey]>,
}

impl SealingKey {
    /// Derives the key from a secret that must be as good as random.
    pub fn derive(secret: &[u8; 32]) -> SealingKey {
        let id = blake3::derive_key("sparkler 2026-11 id of a sealing key", secret);
        SealingKey {
            id: std::array::from_fn(|index| id[index]),
            key: Zeroizing::new(blake3::derive_key("sparkler 2026-11 sealing key", secret)),
        }
    }

    /// Derives the key and nonce of one value, which are used once.
    fn of_one_value(&self, salt: &[u8]) -> (LessSafeKey, Nonce) {
        let mut bytes = Zeroizing::new([0; KEY_BYTES + NONCE_BYTES]);
        blake3::Hasher::new_keyed(&self.key).update(salt).finalize_xof().fill(bytes.as_mut());
        let (key, nonce) = bytes.split_at(KEY_BYTES);
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are a key");
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("12 bytes are a nonce");
        (LessSafeKey::new(key), nonce)
    }
}

impl Sealer {
    /// Seals under `current`, and opens values sealed under `current` or `former`.
    pub fn new(current: SealingKey, former: impl IntoIterator<Item = SealingKey>) -> Sealer {
        Sealer { keys: std::iter::once(current).chain(former).collect() }
    }

    /// Seals content for one place, such as its storage key: it can be opened for this
    /// place only.
    pub fn seal(&self, place: &[u8], content: &[u8]) -> Vec<u8> {
        let key = &self.keys[0];
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).expect("the system has randomness");
        let mut sealed = Vec::with_capacity(HEAD_BYTES + content.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&salt);
        sealed.extend_from_slice(content);
        let (one, nonce) = key.of_one_value(&salt);
        let bound = bound_to(place, key.id);
        let tag = one
            .seal_in_place_separate_tag(nonce, Aad::from(bound), &mut sealed[HEAD_BYTES..])
            .expect("a content is far shorter than the cipher's bound");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens a sealed value; `None` unless it was sealed for this place under a known
    /// secret. Never panics, whatever the bytes are.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (head, content) = sealed.split_first_chunk::<HEAD_BYTES>()?;
        let (id, salt) = head[1..].split_first_chunk::<ID_BYTES>()?;
        let key = self.keys.iter().find(|key| key.id == *id).filter(|_| head[0] == VERSION)?;
        let (one, nonce) = key.of_one_value(salt);
        let mut content = content.to_vec();
        let length =
            one.open_in_place(nonce, Aad::from(bound_to(place, *id)), &mut content).ok()?.len();
        content.truncate(length);
        Some(content)
    }
}

/// Returns the associated data that the tag authenticates beside the content.
fn bound_to(place: &[u8], id: [u8; ID_BYTES]) -> Vec<u8> {
    [&[VERSION], id.as_slice(), place].concat()
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealingKey([REDACTED])")
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Sealer({} keys)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(name: &str) -> SealingKey {
        SealingKey::derive(blake3::hash(name.as_bytes()).as_bytes())
    }

    fn sealer(current: &str, former: &[&str]) -> Sealer {
        Sealer::new(key(current), former.iter().map(|name| key(name)))
    }

    proptest! {
        #[test]
        fn a_sealed_value_opens_at_its_place_only(
            content in prop::collection::vec(any::<u8>(), 0..200),
            place in "[a-z]{0,8}",
        ) {
            let sealer = sealer("a", &[]);
            let sealed = sealer.seal(place.as_bytes(), &content);
            prop_assert_eq!(sealer.open(place.as_bytes(), &sealed), Some(content));
            prop_assert_eq!(sealer.open(b"elsewhere", &sealed), None);
        }

        #[test]
        fn a_changed_or_shortened_value_does_not_open(
            content in prop::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let sealer = sealer("a", &[]);
            let sealed = sealer.seal(b"place", &content);
            let at = at.index(sealed.len());
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            prop_assert_eq!(sealer.open(b"place", &flipped), None);
            prop_assert_eq!(sealer.open(b"place", &sealed[..at]), None);
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(
            sealed in prop::collection::vec(any::<u8>(), 0..128),
        ) {
            prop_assert_eq!(sealer("a", &[]).open(b"place", &sealed), None);
        }
    }

    #[test]
    fn a_former_secret_opens_and_no_longer_seals() {
        let before = sealer("old", &[]);
        let after = sealer("new", &["old"]);
        let old = before.seal(b"place", b"content");
        assert_eq!(after.open(b"place", &old).as_deref(), Some(&b"content"[..]));
        let new = after.seal(b"place", b"content");
        assert_eq!(before.open(b"place", &new), None, "the old secret opens the new one's");
        assert_eq!(sealer("other", &[]).open(b"place", &old), None);
    }

    #[test]
    fn no_two_values_are_alike_and_none_shows_its_content() {
        let sealer = sealer("a", &[]);
        let [one, two] = [(); 2].map(|()| sealer.seal(b"place", b"a canary of a prompt"));
        assert_ne!(one, two);
        assert!(!one.windows(6).any(|window| window == b"canary"));
    }
}
