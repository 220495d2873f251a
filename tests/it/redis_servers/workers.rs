//! Workers as processes of their own, as an operator starts them.

use std::fs;

use tempfile::TempDir;

use crate::support::Program;

/// How the workers of a fleet are started.
pub(crate) struct Workers {
    base_url: String,
    redis_url: String,
    folder: TempDir,
}

impl Workers {
    /// Workers that share the Redis at this address.
    pub(crate) fn of(base_url: &str, redis_url: &str) -> Workers {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("secret"), "a secret of the whole fleet").expect("written");
        Workers { base_url: base_url.to_owned(), redis_url: redis_url.to_owned(), folder }
    }

    /// Starts one, with more arguments. Patient with Redis: the machine may be
    /// busy.
    pub(crate) async fn start(&self, more: &[&str]) -> Program {
        let secret = self.path("secret");
        let shared = ["--redis-url", &self.redis_url, "--cache-secret-file", &secret];
        let patient = ["--redis-timeout", "2s"];
        let given = more.iter().any(|argument| argument.starts_with(patient[0]));
        let patient = if given { &[][..] } else { &patient[..] };
        Program::serve(&self.base_url, &[&shared[..], patient, more].concat()).await
    }

    /// A file of theirs.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("text").to_owned()
    }

    /// Writes such a file.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("written");
    }
}

/// The lines of a log in which something is said.
pub(crate) fn lines_with<'a>(log: &'a [String], text: &str) -> Vec<&'a String> {
    log.iter().filter(|line| line.contains(text)).collect()
}
