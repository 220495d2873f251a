//! The worker's log on stderr, for people or for machines, each line with the ids
//! of its span.
//!
//! A separate thread writes the lines from a bounded queue: a reader that stops
//! reading costs lines, which are counted, but never delays an execution.

mod lines;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    ffi::OsString,
    io::{self, BufWriter, Write},
    panic,
    sync::mpsc,
    thread,
    time::Duration,
};

use anstream::ColorChoice;
use anyhow::Context;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt::format::Format};

pub use self::lines::JsonLines;
use self::lines::{TextLines, timestamp};
use crate::config::{LogFormat, ServeArgs};

/// The capacity of the queue in lines; further ones are lost and counted.
const LINES_WAITING: usize = 8192;

/// The pause after a batch of lines. Lines that arrive meanwhile are written together,
/// and their senders need not wake the writing thread.
const PAUSE: Duration = Duration::from_millis(5);

/// The time that the process's end waits for the queue to be written.
const END_LIMIT: Duration = Duration::from_millis(1500);

/// The active log. Dropping it flushes the queue, within a time limit.
#[derive(Debug)]
pub(super) struct LogGuard {
    guard: Option<WorkerGuard>,
    lost: ErrorCounter,
}

/// Starts the log on stderr, panics included.
pub(super) fn begin(args: &ServeArgs) -> anyhow::Result<LogGuard> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| {
        format!("--log {:?} is not a filter, such as info or sparkler=debug", args.log)
    })?;
    let queue = NonBlockingBuilder::default()
        .buffered_lines_limit(LINES_WAITING)
        .lossy(true)
        .thread_name("log");
    let (writer, guard) = queue.finish(Batches::new(io::stderr()));
    let log = LogGuard { guard: Some(guard), lost: writer.error_counter() };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // An internal error would be printed to stderr, which panics if that is
        // closed.
        .log_internal_errors(false);
    match args.log_format {
        LogFormat::Json => lines.event_format(JsonLines).init(),
        LogFormat::Text => {
            let colours = anstream::AutoStream::choice(&io::stderr()) != ColorChoice::Never;
            let format = TextLines(Format::default().with_ansi(colours));
            lines.with_ansi(colours).event_format(format).init();
        }
    }
    panic::set_hook(Box::new(panicked));
    Ok(log)
}

impl LogGuard {
    /// Returns a reader of the number of lost lines.
    pub(super) fn lost(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let lost = self.lost.clone();
        move || lost.dropped_lines() as u64
    }
}

impl Drop for LogGuard {
    /// Flushes on another thread: if the queue is full, the guard prints a message
    /// to stdout, whose reader may be the one that is stuck.
    fn drop(&mut self) {
        let guard = self.guard.take();
        let (done, ended) = mpsc::sync_channel(1);
        #[expect(clippy::disallowed_methods, reason = "waited for, up to the limit")]
        thread::spawn(move || {
            drop(guard);
            // The receiver has gone once the limit has passed.
            let _ = done.send(());
        });
        let _ = ended.recv_timeout(END_LIMIT);
    }
}

/// Writes the lines that the queue holds at once, then pauses. The queue's thread flushes
/// when the queue is empty.
struct Batches<W: Write>(BufWriter<W>);

impl<W: Write> Batches<W> {
    const BYTES: usize = 64 * 1024;

    fn new(to: W) -> Batches<W> {
        Batches(BufWriter::with_capacity(Batches::<W>::BYTES, to))
    }
}

impl<W: Write> Write for Batches<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.0.flush();
        thread::sleep(PAUSE);
        flushed
    }
}

/// Logs a panic.
fn panicked(panic: &panic::PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let message = panic.payload();
    let message = message
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| message.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    let backtrace = Backtrace::capture();
    let backtrace =
        (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        thread = thread::current().name(),
        location,
        backtrace,
        "a bug: the worker panicked: {message}"
    );
}

/// Returns true if a command line that could not be parsed asks for a JSON log.
pub(super) fn is_json(argv: &[OsString]) -> bool {
    let mut words = argv.iter().map(|word| word.to_string_lossy());
    if words.nth(1).as_deref() != Some("serve") {
        return false;
    }
    let words: Vec<_> = words.collect();
    let flag = words.iter().enumerate().find_map(|(at, word)| match word.as_ref() {
        "--log-format" => words.get(at + 1).map(ToString::to_string),
        word => word.strip_prefix("--log-format=").map(str::to_owned),
    });
    flag.or_else(|| std::env::var("SPARKLER_LOG_FORMAT").ok()).as_deref() == Some("json")
}

/// Returns the JSON line of a worker that could not start its log.
pub(super) fn json_failure(message: &str) -> String {
    serde_json::json!({ "timestamp": timestamp(), "level": "ERROR", "message": message, "target": "sparkler::cli" })
        .to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_failed_start_is_json_where_lines_are_to_be() {
        let argv = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        assert!(is_json(&argv(&["sparkler", "serve", "--log-format", "json", "--nonsense"])));
        assert!(is_json(&argv(&["sparkler", "serve", "--nonsense", "--log-format=json"])));
        assert!(!is_json(&argv(&["sparkler", "serve", "--log-format=text"])));
        assert!(!is_json(&argv(&["sparkler", "nodes", "--log-format=json"])));
        let line: Value =
            serde_json::from_str(&json_failure("a \"quoted\"\nfailure")).expect("JSON");
        assert_eq!(line["message"], "a \"quoted\"\nfailure");
        assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    }

    /// Remembers the writes that reach it.
    #[derive(Clone, Default)]
    pub(super) struct Writes(pub(super) Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_wait_together_are_one_write() {
        let writes = Writes::default();
        let queue = NonBlockingBuilder::default().lossy(true);
        let (mut writer, guard) = queue.finish(Batches::new(writes.clone()));
        for _ in 0..1000 {
            writer.write_all(b"line\n").expect("it is queued");
        }
        drop(guard);
        let writes = writes.0.lock().expect("no panic");
        assert_eq!(writes.concat(), b"line\n".repeat(1000));
        assert!(writes.len() < 100, "{} writes", writes.len());
    }
}
