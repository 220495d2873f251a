//! What the parties of a measurement have in common.

use std::{fs, thread, time::Duration};

use tokio::{runtime, sync::oneshot};

/// Runs something on a thread and a runtime of its own, so that it waits for no other
/// party.
pub(crate) fn apart<T: Send + 'static>(
    work: impl AsyncFnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, result) = oneshot::channel();
    #[expect(clippy::disallowed_methods, reason = "it ends with the test's process")]
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let _ = sender.send(runtime.expect("a runtime").block_on(work()));
    });
    result
}

/// The value that so many of a hundred do not exceed.
pub(crate) fn percentile(sorted: &[Duration], hundredths: usize) -> Duration {
    sorted[(sorted.len() * hundredths).div_ceil(100) - 1]
}

/// The resident memory of a process, in KiB: now, and at its peak so far.
pub(crate) fn resident_kib(process: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    (kib("VmRSS:"), kib("VmHWM:"))
}
