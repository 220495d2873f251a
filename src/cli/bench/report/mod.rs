//! The report of a benchmark: its figures, and the forms they are written in.

mod escape;
mod html;
mod json;
mod plot;
mod table;

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;

use super::{
    super::failure::CommandError,
    arguments::OutputArgs,
    plan::BenchPlan,
    run::{BenchEnd, Measurements},
    summary::Summary,
};

/// The path that stands for stdout.
const STDOUT: &str = "-";

/// Everything there is to report.
#[derive(Debug)]
pub(super) struct Report<'a> {
    plan: &'a BenchPlan,
    measurements: &'a Measurements,
    /// The figures of each scenario, in the order of the plan.
    summaries: Vec<Summary>,
}

impl<'a> Report<'a> {
    pub(super) fn new(plan: &'a BenchPlan, measurements: &'a Measurements) -> Report<'a> {
        let summaries = Summary::all(plan, &measurements.samples);
        Report { plan, measurements, summaries }
    }

    /// Returns 130 after Ctrl-C, and 1 if no request succeeded.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self.measurements.end {
            BenchEnd::Interrupted => CommandError::Interrupted.exit_code(),
            _ if self.summaries.iter().all(|summary| summary.latency.len() == 0) => {
                ExitCode::FAILURE
            }
            BenchEnd::Completed | BenchEnd::BudgetReached => ExitCode::SUCCESS,
        }
    }
}

impl OutputArgs {
    /// Checks that the files can be written, before anything is spent.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        for path in self.files() {
            let opened = OpenOptions::new().append(true).create(true).open(path);
            opened
                .with_context(|| format!("{} cannot be written", path.display()))
                .map_err(CommandError::Usage)?;
        }
        Ok(())
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let paths = [self.json.as_deref(), self.html.as_deref()].into_iter().flatten();
        paths.filter(|path| path.as_os_str() != STDOUT)
    }

    /// Writes the report in every form asked for.
    pub(super) fn write(&self, report: &Report<'_>) -> Result<(), CommandError> {
        match &self.json {
            Some(path) if path.as_os_str() == STDOUT => {
                let mut out = io::stdout().lock();
                writeln!(out, "{}", json::text(report)?)?;
                out.flush()?;
            }
            json => {
                table::write(report, &mut anstream::stdout().lock())?;
                if let Some(path) = json {
                    save(path, &json::text(report)?)?;
                }
            }
        }
        if let Some(path) = &self.html {
            save(path, &html::text(report))?;
        }
        Ok(())
    }
}

fn save(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
