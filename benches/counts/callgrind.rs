//! Counts instructions: this program runs a step under Valgrind's callgrind.

use std::{env, path::Path, process::Command};

use anyhow::{Context, ensure};

use crate::step::Step;

/// The argument with which this program runs a step: its name and the times follow.
pub(crate) const STEP: &str = "--step";

/// Returns the instructions of one run of the step: the difference between a short
/// and a long count, in which whatever happens only once cancels out.
pub(crate) fn count(step: &Step) -> anyhow::Result<u64> {
    let short = collected(step, step.times)?;
    let long = collected(step, step.times * 3)?;
    Ok(long.saturating_sub(short) / (step.times * 2))
}

/// Returns the instructions of a process that runs the step so many times.
fn collected(step: &Step, times: u64) -> anyhow::Result<u64> {
    let report = run(step.name, times, Path::new("/dev/null"))?;
    let total = report.lines().find_map(|line| line.split_once("Collected : "));
    let (_, total) = total.with_context(|| format!("valgrind reports no count:\n{report}"))?;
    total.trim().parse().with_context(|| format!("valgrind reports {total:?}"))
}

/// Runs the step so many times, writes its profile into a file, and returns what valgrind
/// reports.
pub(crate) fn run(step: &str, times: u64, profile: &Path) -> anyhow::Result<String> {
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env::current_exe()?)
        .args([STEP, step, &times.to_string()])
        .output()
        .context("cannot start valgrind")?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{step} failed under valgrind:\n{report}");
    Ok(report)
}
