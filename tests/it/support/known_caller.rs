//! The one caller that a worker knows.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

/// A callers file with one caller in it, for as long as the value lives.
pub(crate) struct KnownCaller {
    folder: TempDir,
}

impl KnownCaller {
    /// The header that this caller is known by.
    pub(crate) const AUTHORIZATION: &str = "Bearer a token of the flows";

    pub(crate) fn new() -> KnownCaller {
        let known = KnownCaller { folder: tempfile::tempdir().expect("a folder") };
        let file = r#"{"callers": [{"name": "flows", "tokens": ["a token of the flows"]}]}"#;
        fs::write(known.file(), file).expect("written");
        known
    }

    /// For `--callers-file`.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("callers.json")
    }
}
