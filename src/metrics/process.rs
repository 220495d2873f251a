//! Metrics of the process and its release, under the names that Prometheus client
//! libraries use. Those that need Linux's /proc are left out elsewhere.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::KeyValue;
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::Metrics;
use crate::telemetry::names::sparkler;

impl Metrics {
    pub(super) fn watch_process(&self) {
        let instruments = self.instruments();
        let build = [
            KeyValue::new(sparkler::BUILD_VERSION, env!("CARGO_PKG_VERSION")),
            KeyValue::new(sparkler::BUILD_OS, std::env::consts::OS),
            KeyValue::new(sparkler::BUILD_ARCHITECTURE, std::env::consts::ARCH),
        ];
        instruments.build_info.of(build, || 1);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        instruments.process_start.with(move || started);
        instruments.process_cpu.with(cpu_time);
        let unlimited = u64::MAX;
        instruments
            .process_max_fds
            .with(move || getrlimit(Resource::Nofile).current.unwrap_or(unlimited));
        if cfg!(target_os = "linux") {
            instruments.process_memory.with(|| resident_memory().unwrap_or(0));
            instruments.process_open_fds.with(open_files);
        }
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Returns the resident memory in bytes: the second field of statm counts pages.
fn resident_memory() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Counts the open descriptors, without the one that reads the folder.
fn open_files() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1) as u64)
}
