//! Credentials that the operator has mounted: one file a credential, named by
//! the `secret_name` of a request. Read anew at every use, so that a rotated
//! file counts at once.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::credentials::{ApiKey, BadApiKey};

/// The folder of mounted credentials.
#[derive(Debug, Clone)]
pub struct Secrets {
    folder: Option<PathBuf>,
}

/// Why a named credential cannot be used, as a sentence without its subject.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A name that is not one, such as `../key`.
    #[error(
        "is not the name of a secret: letters, digits, `-`, `_` and `.` are, up to 253 of them"
    )]
    BadName,
    /// The operator has mounted none.
    #[error("cannot be used: this worker has no mounted credentials (serve --secrets-dir)")]
    NoSecrets,
    /// No such file.
    #[error("is not mounted in this worker")]
    NotFound,
    /// The file cannot be read.
    #[error("cannot be read by this worker; tell its operator")]
    Unreadable,
    /// The file holds no key.
    #[error("holds a text that {0}")]
    BadKey(BadApiKey),
}

impl Secrets {
    /// The secrets in a folder; `None` has none.
    pub fn new(folder: Option<PathBuf>) -> Secrets {
        Secrets { folder }
    }

    /// Reads a credential. Blocking, a few hundred bytes from a file in
    /// memory, as Kubernetes mounts it.
    pub fn read(&self, name: &str) -> Result<ApiKey, SecretError> {
        if !is_name(name) {
            return Err(SecretError::BadName);
        }
        let folder = self.folder.as_deref().ok_or(SecretError::NoSecrets)?;
        let text = read_bounded(&folder.join(name))?;
        ApiKey::new(text.trim_end_matches(['\r', '\n']).to_owned()).map_err(SecretError::BadKey)
    }
}

/// One path component, and not a hidden one: so nothing outside the folder.
fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    letters && !name.is_empty() && name.len() <= 253 && !name.starts_with('.')
}

fn read_bounded(path: &Path) -> Result<zeroize::Zeroizing<String>, SecretError> {
    use io::Read;
    let file = std::fs::File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SecretError::NotFound,
        _ => SecretError::Unreadable,
    })?;
    let mut text = zeroize::Zeroizing::new(String::with_capacity(ApiKey::MAX_BYTES));
    file.take(2 * ApiKey::MAX_BYTES as u64)
        .read_to_string(&mut text)
        .map_err(|_| SecretError::Unreadable)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mounted_key_is_read_without_its_line_end() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("team-a"), "fw_team_a\n").expect("written");
        let key = Secrets::new(Some(folder.path().to_owned())).read("team-a").expect("a key");
        assert_eq!(key.expose_for_hashing(), b"fw_team_a");
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
            assert!(matches!(secrets.read(name), Err(SecretError::BadName)), "{name:?}");
        }
        assert!(matches!(secrets.read("outside"), Err(SecretError::NotFound)));
        assert!(matches!(Secrets::new(None).read("x"), Err(SecretError::NoSecrets)));
    }
}
