//! Credentials that the operator has mounted: one file per credential, named by the
//! `secret_name` of a request. Read on every use, so that a rotated file takes
//! effect at once. The operator decides which of them a caller may name.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use zeroize::Zeroizing;

use crate::{
    credentials::{ApiKey, BadApiKey},
    descriptors, files,
};

/// The folder of mounted credentials.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: Option<PathBuf>,
}

/// The mounted credentials that a caller may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Every mounted credential.
    Every,
    /// Only these.
    Named(Arc<[String]>),
}

impl Default for Grant {
    /// Grants nothing.
    fn default() -> Grant {
        Grant::Named(Arc::default())
    }
}

impl Grant {
    fn covers(&self, name: &str) -> bool {
        match self {
            Grant::Every => true,
            Grant::Named(names) => names.iter().any(|known| known == name),
        }
    }
}

/// An error on using a named credential, as a sentence without its subject.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The name is malformed, such as `../key`.
    #[error(
        "is not the name of a secret: letters, digits, `-`, `_` and `.` are, up to 253 of them"
    )]
    BadName,
    /// The worker has no folder of secrets.
    #[error("cannot be used: this worker has no mounted credentials (serve --secrets-dir)")]
    NoSecrets,
    /// There is no such file, or the caller may not name it: it must not learn
    /// which.
    #[error("is not mounted in this worker, or not for this caller")]
    NotFound,
    /// The worker has no file descriptor left to read it.
    #[error("cannot be read now: this worker has no file descriptor left")]
    NoDescriptor,
    /// The file cannot be read.
    #[error("cannot be read by this worker; tell its operator")]
    Unreadable,
    /// The file does not hold a valid key.
    #[error("holds a text that {0}")]
    BadKey(BadApiKey),
}

impl Secrets {
    /// Creates the secrets of a folder; with `None` there are none.
    pub fn new(folder: Option<PathBuf>) -> Secrets {
        Secrets { folder }
    }

    /// Reads a credential on behalf of a caller with this grant: a few hundred
    /// bytes, in Kubernetes from memory. If the folder hangs, the caller waits for half
    /// a second, and other tasks go on.
    ///
    /// # Errors
    ///
    /// Returns an error if the name is malformed, not granted or not mounted, or if
    /// the file is unreadable or not a key.
    pub fn read(&self, name: &str, grant: &Grant) -> Result<ApiKey, SecretError> {
        if !is_name(name) {
            return Err(SecretError::BadName);
        }
        let folder = self.folder.as_deref().ok_or(SecretError::NoSecrets)?;
        if !grant.covers(name) {
            return Err(SecretError::NotFound);
        }
        let text = read_text(folder, name)?;
        ApiKey::new(text.trim_end_matches(['\r', '\n']).to_owned()).map_err(SecretError::BadKey)
    }
}

/// Accepts one visible path component, so nothing outside the folder is reachable.
fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    letters && !name.is_empty() && name.len() <= 253 && !name.starts_with('.')
}

fn read_text(folder: &Path, name: &str) -> Result<Zeroizing<String>, SecretError> {
    let most = 2 * ApiKey::MAX_BYTES as u64;
    let mut bytes =
        files::read_small(folder, &folder.join(name), most).map_err(|error| {
            match error.kind() {
                io::ErrorKind::NotFound => SecretError::NotFound,
                _ if descriptors::ran_out(&error) => SecretError::NoDescriptor,
                _ => SecretError::Unreadable,
            }
        })?;
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    text.map(Zeroizing::new).map_err(|_| SecretError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_key_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("team-a"), "fw_team_a\n").expect("written");
        let secrets = Secrets::new(Some(folder.path().to_owned()));
        let key = secrets.read("team-a", &Grant::Every).expect("a key");
        assert_eq!(key.expose_for_hashing(), b"fw_team_a");
    }

    #[test]
    fn a_caller_reads_its_own_secrets_and_no_others_names() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["team-a", "team-b"] {
            std::fs::write(folder.path().join(name), "fw_key").expect("written");
        }
        let secrets = Secrets::new(Some(folder.path().to_owned()));
        let granted = Grant::Named(["team-a".to_owned()].into());
        secrets.read("team-a", &granted).expect("a key");
        for name in ["team-b", "team-c"] {
            assert!(matches!(secrets.read(name, &granted), Err(SecretError::NotFound)), "{name}");
        }
        assert!(secrets.read("team-a", &Grant::default()).is_err());
    }

    #[test]
    fn nothing_outside_the_folder_can_be_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let inner = folder.path().join("secrets");
        std::fs::create_dir(&inner).expect("created");
        std::fs::write(folder.path().join("outside"), "fw_outside").expect("written");
        let secrets = Secrets::new(Some(inner));
        for name in ["../outside", "..", "", ".hidden", "a/b", "a\0b", "ключ", &"x".repeat(254)]
        {
            let read = secrets.read(name, &Grant::Every);
            assert!(matches!(read, Err(SecretError::BadName)), "{name:?}");
        }
        assert!(matches!(secrets.read("outside", &Grant::Every), Err(SecretError::NotFound)));
        let none = Secrets::new(None).read("x", &Grant::Every);
        assert!(matches!(none, Err(SecretError::NoSecrets)));
    }
}
