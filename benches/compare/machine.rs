//! Where a measurement was made: without it, figures are hearsay.

use std::{fs, process::Command, thread, time::SystemTime};

/// One line about the machine, the load that was on it, and the project's
/// commit.
pub(crate) fn describe() -> String {
    let processor = value_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown CPU".into());
    let memory = value_of("/proc/meminfo", "MemTotal")
        .and_then(|value| value.split_whitespace().next()?.parse::<f64>().ok())
        .map_or_else(String::new, |kib| format!("{:.0} GiB, ", kib / 1024.0 / 1024.0));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    format!(
        "{processor}, {cores} cores, {memory}Linux {}, load average {load} before the start; \
         commit {}, {}",
        kernel.trim(),
        commit().unwrap_or_else(|| "unknown".into()),
        date.split('T').next().unwrap_or_default(),
    )
}

fn value_of(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
