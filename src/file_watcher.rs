//! A value that is parsed from files and parsed again when they change, such as the
//! callers file and the TLS certificate.
//!
//! Polls the contents instead of using file system notifications: Kubernetes swaps
//! a mounted secret through a symbolic link, editors replace the file, and some
//! file systems send no notifications.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

use crate::files;
pub(crate) use crate::files::Contents;

/// A value parsed from files: the last version that was valid.
pub struct FileWatcher<T> {
    files: Vec<PathBuf>,
    parse: Parse<T>,
    may_replace: fn(current: &T, next: &T) -> Result<(), String>,
    current: RwLock<Arc<T>>,
    digest: blake3::Hash,
}

type Parse<T> = fn(&[Contents]) -> Result<T, String>;

/// The result of one poll.
struct Look<T> {
    digest: blake3::Hash,
    /// The parsed value, where the files have changed and are stable.
    value: Option<Result<T, String>>,
}

/// Wakes every watcher.
static READ_AGAIN: Notify = Notify::const_new();

/// Makes every watcher read its files at once and apply changes without waiting for
/// a second identical read.
pub(crate) fn read_again() {
    tracing::info!("reading the followed files again");
    READ_AGAIN.notify_waiters();
}

/// The poll interval. A change is applied when two consecutive polls read the same
/// contents, so that a pair of files is not read while it is being written.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl<T: Send + Sync + 'static> FileWatcher<T> {
    /// Reads and parses the files.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the files.
    pub fn read(files: Vec<PathBuf>, parse: Parse<T>) -> Result<FileWatcher<T>, String> {
        let contents = read_all(&files)?;
        let value = parse(&contents)?;
        Ok(FileWatcher {
            files,
            parse,
            may_replace: |_, _| Ok(()),
            current: RwLock::new(Arc::new(value)),
            digest: digest(&contents),
        })
    }

    /// Adds a condition on which a new value may replace the current one. A refused
    /// value is checked again on every poll.
    pub fn replaced_if(
        self,
        may_replace: fn(current: &T, next: &T) -> Result<(), String>,
    ) -> FileWatcher<T> {
        FileWatcher { may_replace, ..self }
    }

    /// Returns the current value.
    pub fn current(&self) -> Arc<T> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows the files. Never returns. Files that cannot be read or parsed leave
    /// the value unchanged and are logged once.
    pub async fn follow(&self) {
        let (mut taken, mut seen) = (self.digest, self.digest);
        let mut refused = None;
        let mut unreadable = false;
        loop {
            let is_asked = timeout(LOOK_EVERY, READ_AGAIN.notified()).await.is_ok();
            let Look { digest, value } = match self.look(taken, seen, is_asked).await {
                Ok(look) => look,
                Err(problem) => {
                    if !std::mem::replace(&mut unreadable, true) || is_asked {
                        keep(&problem);
                    }
                    continue;
                }
            };
            (unreadable, seen) = (false, digest);
            match value.map(|value| value.map(|next| self.replace(next))) {
                None => {}
                Some(Ok(Ok(()))) => taken = digest,
                Some(Ok(Err(problem))) if refused.replace(digest) != Some(digest) => keep(&problem),
                Some(Ok(Err(_known))) => {}
                Some(Err(problem)) => {
                    taken = digest;
                    keep(&problem);
                }
            }
        }
    }

    /// Reads the files, and parses them if they have changed and are stable or a
    /// read was requested. Runs on a blocking thread, since a file may be large.
    async fn look(
        &self,
        taken: blake3::Hash,
        seen: blake3::Hash,
        is_asked: bool,
    ) -> Result<Look<T>, String> {
        let (files, parse) = (self.files.clone(), self.parse);
        #[expect(clippy::disallowed_methods, reason = "one at a time, and reads have a time limit")]
        let look = tokio::task::spawn_blocking(move || {
            let contents = read_all(&files)?;
            let digest = digest(&contents);
            let is_new = digest != taken && (is_asked || digest == seen);
            Ok(Look { digest, value: is_new.then(|| parse(&contents)) })
        });
        look.await.unwrap_or_else(|_| Err("the files could not be understood".to_owned()))
    }

    fn replace(&self, next: T) -> Result<(), String> {
        (self.may_replace)(&self.current(), &next)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        tracing::info!(files = ?self.files, "reloaded");
        Ok(())
    }
}

fn keep(problem: &str) {
    tracing::warn!("keeping the previous version: {problem}");
}

fn read_all(files: &[PathBuf]) -> Result<Vec<Contents>, String> {
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Result<Contents, String> {
    files::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

fn digest(contents: &[Contents]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for content in contents {
        hasher.update(&(content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    hasher.finalize()
}

impl<T> fmt::Debug for FileWatcher<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileWatcher").field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn number(contents: &[Contents]) -> Result<u32, String> {
        let text = std::str::from_utf8(&contents[0]).map_err(|_| "no text".to_owned())?;
        text.trim().parse().map_err(|_| "is no number".to_owned())
    }

    async fn until(watched: &FileWatcher<u32>, expected: u32) {
        for _ in 0..100 {
            if *watched.current() == expected {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        panic!("it stays {}", watched.current());
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_followed_through_links_as_kubernetes_swaps_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        for (version, text) in [("v1", "1"), ("v2", "2")] {
            fs::create_dir(at(version)).expect("created");
            fs::write(at(version).join("number"), text).expect("written");
        }
        symlink("v1", at("..data")).expect("linked");
        symlink("..data/number", at("number")).expect("linked");
        let watched = FileWatcher::read(vec![at("number")], number).expect("a number");
        assert_eq!(*watched.current(), 1);
        let change = async {
            symlink("v2", at("..new")).expect("linked");
            fs::rename(at("..new"), at("..data")).expect("swapped");
            until(&watched, 2).await;
        };
        tokio::select! {
            () = watched.follow() => unreachable!("it follows forever"),
            () = change => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_makes_no_sense_leaves_the_value_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("number");
        fs::write(&file, "1").expect("written");
        let watched = FileWatcher::read(vec![file.clone()], number).expect("a number");
        let change = async {
            fs::write(&file, "one").expect("written");
            tokio::time::sleep(LOOK_EVERY * 6).await;
            assert_eq!(*watched.current(), 1);
            fs::remove_file(&file).expect("removed");
            tokio::time::sleep(LOOK_EVERY * 6).await;
            assert_eq!(*watched.current(), 1);
            fs::write(&file, "3").expect("written");
            until(&watched, 3).await;
        };
        tokio::select! {
            () = watched.follow() => unreachable!("it follows forever"),
            () = change => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_not_replace_the_value_does_so_once_it_may() {
        // Stands for a certificate whose validity period begins later.
        static MAY: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("number");
        fs::write(&file, "1").expect("written");
        let watched = FileWatcher::read(vec![file.clone()], number).expect("a number");
        let watched = watched.replaced_if(|_, _| {
            let may = MAY.load(std::sync::atomic::Ordering::Relaxed);
            if may { Ok(()) } else { Err("not yet".to_owned()) }
        });
        let change = async {
            fs::write(&file, "2").expect("written");
            tokio::time::sleep(LOOK_EVERY * 6).await;
            assert_eq!(*watched.current(), 1);
            MAY.store(true, std::sync::atomic::Ordering::Relaxed);
            until(&watched, 2).await;
        };
        tokio::select! {
            () = watched.follow() => unreachable!("it follows forever"),
            () = change => {}
        }
    }
}
