//! The report as a table for a terminal.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{super::distribution::Distribution, BenchEnd, Report, Summary};
use crate::cli::{
    table::{Cell, Table},
    terminal::{BAD, DIM, WARNING},
    units,
};

/// The percentiles that the table shows.
const PERCENTILES: [usize; 3] = [50, 90, 99];

pub(super) fn write(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new([
        "SCENARIO",
        "ANSWERS",
        "ERRORS",
        "RETRIES",
        "FIRST TOKEN p50/p90/p99",
        "LATENCY p50/p90/p99",
        "TOKENS/S p50",
        "ANSWERS/S",
        "CACHED",
        "COST",
    ]);
    for (scenario, summary) in report.plan.scenarios.iter().zip(&report.summaries) {
        table.push(row(&scenario.name(), summary));
    }
    table.write(0, out)?;
    writeln!(out)?;
    notes(report, out)
}

fn row(name: &str, summary: &Summary) -> [Cell; 10] {
    let failed = summary.failed();
    let errors = if failed > 0 { BAD } else { DIM };
    [
        Cell::new(name),
        Cell::new(&summary.latency.len().to_string()),
        Cell::styled(&failed.to_string(), errors),
        Cell::styled(&summary.retries.to_string(), DIM),
        Cell::new(&times(&summary.first_token)),
        Cell::new(&times(&summary.latency)),
        Cell::new(&number(summary.tokens_per_second.percentile(50))),
        Cell::new(&number(summary.requests_per_second)),
        Cell::new(&summary.cached_share().map_or_else(absent, percent)),
        Cell::new(&summary.cost.map_or_else(absent, units::dollars)),
    ]
}

fn absent() -> String {
    "–".to_owned()
}

/// Formats a share.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Formats a number to about three digits.
pub(super) fn number(number: Option<f64>) -> String {
    number.map_or_else(absent, |number| match number {
        0.0..10.0 => format!("{number:.2}"),
        10.0..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    })
}

/// Formats a time in seconds.
pub(super) fn time(seconds: Option<f64>) -> String {
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or_else(absent, units::span)
}

fn times(distribution: &Distribution) -> String {
    PERCENTILES.map(|percent| time(distribution.percentile(percent))).join(" / ")
}

fn notes(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    for (scenario, summary) in report.plan.scenarios.iter().zip(&report.summaries) {
        for (reason, count) in &summary.errors {
            writeln!(out, "{BAD}{}: {count} × {reason}{BAD:#}", scenario.name())?;
        }
    }
    match report.measurements.end {
        BenchEnd::Completed => {}
        BenchEnd::BudgetReached => writeln!(
            out,
            "{WARNING}The budget of {} does not cover the most that another request can cost; \
             raise --budget, or lower --max-tokens.{WARNING:#}",
            report.measurements.budget.limit().map_or_else(absent, units::dollars)
        )?,
        BenchEnd::Interrupted => {
            writeln!(
                out,
                "{WARNING}Interrupted: this is what was measured until then.{WARNING:#}"
            )?;
        }
    }
    writeln!(out, "{DIM}{}{DIM:#}", spent(report))
}

/// Returns what was spent, in a sentence.
pub(super) fn spent(report: &Report<'_>) -> String {
    let budget = &report.measurements.budget;
    let known: i64 = report.measurements.samples.iter().filter_map(|sample| sample.cost).sum();
    let unknown = budget.spent() + budget.reserved() - known;
    let mut text = format!("Spent {}, the warm-up included", units::dollars(known));
    if unknown > 0 {
        text +=
            &format!(", and at most {} more for requests of unknown cost", units::dollars(unknown));
    }
    text + &format!(" (prices of {}).", report.plan.prices.date())
}
