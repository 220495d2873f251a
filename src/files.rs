//! Reads files that the operator names, with bounds on size and time: an endless
//! device, a pipe that nobody writes to and a hung mount are errors like any other.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    task::block_in_place,
};
use zeroize::Zeroizing;

/// The contents of a file, zeroed when dropped.
pub(crate) type Contents = Zeroizing<Vec<u8>>;

/// The default size limit of a file: 16 MiB.
pub(crate) const MOST_BYTES: u64 = 16 << 20;

/// The time limit at startup and on blocking threads.
const PATIENCE: Duration = Duration::from_secs(5);
/// The time limit where an execution waits for the file.
const SHORT_PATIENCE: Duration = Duration::from_millis(500);

/// The time for which a thread that executes tasks waits itself.
const MOMENT: Duration = Duration::from_millis(2);

/// Paths with an overdue read that has not returned. Further reads there fail at
/// once: a hung mount costs one time limit and one thread.
static OVERDUE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Reads a file of at most [`MOST_BYTES`]. Blocks for up to 5 seconds.
pub(crate) fn read(path: &Path) -> io::Result<Contents> {
    read_within(path, path, MOST_BYTES, PATIENCE)
}

/// Reads a UTF-8 text file under the same limits.
pub(crate) fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let text = String::from_utf8(std::mem::take(&mut *read(path)?));
    text.map(Zeroizing::new)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Reads a file of at most `most` bytes. Blocks for up to half a second; while a
/// read in `folder` is overdue, others there fail at once.
pub(crate) fn read_small(folder: &Path, path: &Path, most: u64) -> io::Result<Contents> {
    read_within(folder, path, most, SHORT_PATIENCE)
}

fn read_within(place: &Path, path: &Path, most: u64, limit: Duration) -> io::Result<Contents> {
    if overdue().iter().any(|overdue| overdue == place) {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "an earlier read has not come back"));
    }
    let (send, receive) = mpsc::sync_channel(1);
    let is_done = Arc::new(AtomicBool::new(false));
    let (at, from, done) = (place.to_owned(), path.to_owned(), is_done.clone());
    let reader = thread::Builder::new().name("file".to_owned());
    #[expect(
        clippy::disallowed_methods,
        reason = "one per file: a read that hangs cannot be stopped"
    )]
    reader.spawn(move || {
        let read = read_bounded(&from, most);
        let mut overdue = overdue();
        done.store(true, Ordering::Relaxed);
        overdue.retain(|overdue| *overdue != at);
        drop(overdue);
        // The receiver may have timed out and gone.
        let _ = send.send(read);
    })?;
    // A file in memory or on a local disk is read in microseconds.
    let soon = receive.recv_timeout(MOMENT);
    let read = soon.or_else(|_| aside(|| receive.recv_timeout(limit.saturating_sub(MOMENT))));
    read.unwrap_or_else(|_| {
        let mut overdue = overdue();
        // Under the lock, so the reader either has removed the entry already or
        // will find it.
        if !is_done.load(Ordering::Relaxed) {
            overdue.push(place.to_owned());
        }
        let why = format!("nothing came of it within {}", humantime::format_duration(limit));
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    })
}

/// Waits in a way that lets the other tasks of an executing thread go on elsewhere.
fn aside<T>(wait: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => block_in_place(wait),
        _ => wait(),
    }
}

fn overdue() -> std::sync::MutexGuard<'static, Vec<PathBuf>> {
    OVERDUE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_bounded(path: &Path, most: u64) -> io::Result<Contents> {
    let file = File::open(path)?;
    // One allocation where the size is known: growing a buffer would leave copies
    // of a secret.
    let expected = file.metadata()?.len().min(most) + 1;
    let mut contents = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or(0)));
    file.take(most + 1).read_to_end(&mut contents)?;
    if contents.len() as u64 > most {
        let why = format!("it is larger than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::{process::Command, time::Instant};

    use super::*;

    #[test]
    fn a_file_is_read_whole_up_to_its_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "twelve bytes").expect("written");
        let read = |most| read_within(&path, &path, most, PATIENCE);
        assert_eq!(read(12).expect("it fits").as_slice(), b"twelve bytes");
        assert_eq!(read(11).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_text(&path).expect("text").as_str(), "twelve bytes");
    }

    #[test]
    fn a_device_that_never_ends_is_too_large() {
        let failed = read(Path::new("/dev/urandom")).expect_err("it never ends");
        assert_eq!(failed.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "both end with the test's runtime")]
    fn a_read_that_hangs_holds_no_other_task_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().expect("it runs").success());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        runtime.expect("a runtime").block_on(async {
            let limit = Duration::from_secs(2);
            let at = (folder.path().to_owned(), path.clone());
            let hanging = tokio::spawn(async move { read_within(&at.0, &at.1, 10, limit) });
            let began = Instant::now();
            tokio::spawn(async {}).await.expect("it runs");
            assert!(began.elapsed() < limit / 2, "{:?}", began.elapsed());
            assert!(!hanging.is_finished());
            std::fs::write(&path, "late").expect("written");
            assert_eq!(hanging.await.expect("no panic").expect("read").as_slice(), b"late");
        });
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_costs_one_limit() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().expect("it runs").success());
        let limit = Duration::from_millis(200);
        let read = || read_within(folder.path(), &path, 10, limit);
        assert_eq!(read().expect_err("nothing").kind(), io::ErrorKind::TimedOut);
        let began = Instant::now();
        for _ in 0..100 {
            assert_eq!(read().expect_err("still nothing").kind(), io::ErrorKind::TimedOut);
        }
        assert!(began.elapsed() < 10 * limit, "{:?} for 100 reads", began.elapsed());
        // A late write releases the reader, which removes the path from the list.
        std::fs::write(&path, "late").expect("written");
        let began = Instant::now();
        while overdue().iter().any(|place| place == folder.path()) {
            assert!(began.elapsed() < PATIENCE, "it stays overdue");
            thread::sleep(Duration::from_millis(10));
        }
    }
}
