//! The figures as a markdown table.

use std::{fmt::Write, time::Duration};

/// The table under way.
#[derive(Debug, Default)]
pub struct Report {
    rows: String,
    missed: usize,
}

/// What a figure should be at most.
#[derive(Clone, Copy, Debug)]
pub struct Aim(pub f64);

impl Report {
    /// Adds a figure; `beside` says what it is to be read with.
    pub fn add(&mut self, what: &str, figure: f64, unit: &str, beside: &str, aim: Option<Aim>) {
        let (target, verdict) = match aim {
            None => (String::new(), ""),
            Some(Aim(most)) if figure <= most => (format!("≤ {most} {unit}"), "met"),
            Some(Aim(most)) => {
                self.missed += 1;
                (format!("≤ {most} {unit}"), "**missed**")
            }
        };
        let figure = digits(figure);
        // Writing to a string cannot fail.
        writeln!(self.rows, "| {what} | {figure} {unit} | {beside} | {target} | {verdict} |").ok();
    }

    /// How many aims were missed.
    pub fn missed(&self) -> usize {
        self.missed
    }

    /// The table, with what a reader needs to repeat it.
    pub fn finish(&self, machine: &str, quick: bool) -> String {
        let head = "| what | figure | in the same run | aim | verdict |\n|---|--:|---|--:|---|\n";
        let options = if quick { " -- --quick" } else { "" };
        format!("{head}{}\n`cargo bench --bench fleet{options}` on {machine}.\n", self.rows)
    }
}

/// Three digits, which is more than a shared machine is good for.
pub fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// In milliseconds.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The value below which this part of all are; what is measured is not empty.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let index = ((sorted.len() - 1) as f64 * part).round() as usize;
    sorted[index]
}
