//! The figures as a markdown table and as JSON, and into files.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, ensure};
use serde::Serialize;

use crate::{
    contestant::Contestant,
    experiment::{Aim, Experiment, Figure, Metric, Outcome},
    plan::Measured,
};

/// Around what `--write` replaces.
const BEGIN: &str = "<!-- figures -->";
const END: &str = "<!-- /figures -->";

const HEAD: &str = "\
| experiment | worker | figure | ratio | aim | verdict | answers/s | p50 / p99 / slowest |
|---|---|--:|--:|--:|---|--:|--:|
";

const METHOD: &str = "\
The processes of a measurement share the machine, so absolute rates say little; CPU time (user and \
system, of the process under test alone) and the ratio to another worker in the same round do. \
Within a round the workers take turns; figures are medians of the rounds, with the lowest and the \
highest round in brackets. *floor* is a bare tonic \
worker without validation, time limits, retries, telemetry, bounds or sharing of executions: what \
it would cost to do nothing but the work. Upstream, floor and load are the benchmark's own, in \
cleartext, and every answer is checked for its number of tokens.
";

/// A figure of one worker in one experiment.
#[derive(Debug, Serialize)]
struct Record {
    experiment: String,
    worker: &'static str,
    unit: &'static str,
    /// One value a round.
    rounds: Vec<f64>,
    median: f64,
    /// The median of the rounds' ratios to the reference.
    ratio: Option<f64>,
    reference: Option<&'static str>,
    aim: Option<String>,
    verdict: Verdict,
}

/// The table under way.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: String,
    records: Vec<Record>,
    /// Aims that Sparkler missed, or of which nothing is known.
    pub(crate) missed: usize,
}

impl Report {
    /// Adds what came of an experiment.
    pub(crate) fn add(&mut self, experiment: &Experiment, outcomes: &[(Contestant, Outcome)]) {
        let mut title = format!("**{}**", experiment.title);
        for (index, figure) in experiment.figures.iter().enumerate() {
            let results = Results { experiment, figure, outcomes };
            for (contestant, outcome) in outcomes {
                let is_sparkler = *contestant == Contestant::Sparkler;
                let aim = figure.aims.iter().find(|(of, _)| of == contestant).map(|(_, aim)| *aim);
                let Some(row) = results.row(*contestant, outcome, aim) else {
                    continue;
                };
                self.missed +=
                    usize::from(matches!(row.verdict, Verdict::Missed | Verdict::Unknown));
                let name = contestant.name();
                let name = if is_sparkler { format!("**{name}**") } else { name.to_owned() };
                self.records.push(row.record(experiment, figure, contestant.name(), aim));
                // Rates and latencies are the contestant's, not the figure's.
                let speed = row.speed.as_deref().filter(|_| index == 0).unwrap_or(" | ");
                writeln!(
                    self.rows,
                    "| {title} | {name} | {} | {} | {} | {} | {speed} |",
                    row.figure,
                    row.ratio(),
                    aim.map_or_else(String::new, |aim| figure.target(aim)),
                    row.verdict.word(),
                )
                .ok(); // Writing to a string cannot fail.
                title.clear();
            }
        }
    }

    /// The same figures, round by round, for programs.
    pub(crate) fn json(&self, machine: &str, command: &str) -> String {
        let report = serde_json::json!({
            "machine": machine, "command": command, "figures": self.records,
        });
        format!("{report:#}\n")
    }

    /// The table, with what a reader needs to judge and to repeat it.
    pub(crate) fn finish(&self, machine: &str, command: &str) -> String {
        format!("{HEAD}{}\n`{command}` on {machine}.\n\n{METHOD}", self.rows)
    }
}

/// The cells of a row that are not the same for everyone.
struct Row {
    figure: String,
    values: Vec<f64>,
    ratio: Option<(f64, &'static str)>,
    verdict: Verdict,
    speed: Option<String>,
}

impl Row {
    fn record(
        &self,
        experiment: &Experiment,
        figure: &Figure,
        worker: &'static str,
        aim: Option<Aim>,
    ) -> Record {
        Record {
            experiment: experiment.title.clone(),
            worker,
            unit: figure.metric.unit(),
            rounds: self.values.clone(),
            median: median(self.values.clone()),
            ratio: self.ratio.map(|(ratio, _)| ratio),
            reference: self.ratio.map(|(_, reference)| reference),
            aim: aim.map(|aim| figure.target(aim)),
            verdict: self.verdict,
        }
    }

    fn ratio(&self) -> String {
        self.ratio.map_or_else(String::new, |(ratio, of)| format!("{ratio:.2} × {of}"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// There was no aim.
    None,
    Met,
    Missed,
    /// There was an aim, but nothing to judge it by.
    Unknown,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::Unknown => "not known",
        }
    }
}

/// One figure of everyone in an experiment.
struct Results<'a> {
    experiment: &'a Experiment,
    figure: &'a Figure,
    outcomes: &'a [(Contestant, Outcome)],
}

impl Results<'_> {
    /// `None` for what others are only compared with.
    fn row(&self, contestant: Contestant, outcome: &Outcome, aim: Option<Aim>) -> Option<Row> {
        if contestant == Contestant::Direct {
            return None;
        }
        let rounds = match outcome {
            Ok(rounds) => rounds,
            Err(reason) => {
                let figure = format!("**NOT MEASURED**: {}", one_line(reason));
                let verdict = aim.map_or(Verdict::None, |_| Verdict::Missed);
                return Some(Row { figure, values: Vec::new(), ratio: None, verdict, speed: None });
            }
        };
        let values = self.values(contestant)?;
        let value = median(values.clone());
        let ratio = self.ratio(contestant, &values);
        let failed = failures(rounds);
        let met = aim.map(|aim| match aim {
            // Cheap because it did not answer is not cheap.
            _ if failed.is_some() => false,
            Aim::AtMost(bound) => value <= bound,
            Aim::Times(bound) => ratio.is_some_and(|(ratio, _)| ratio <= bound),
        });
        let is_unknown = matches!(aim, Some(Aim::Times(_))) && ratio.is_none() && failed.is_none();
        Some(Row {
            figure: format!(
                "{} {}{}{}",
                digits(value),
                self.figure.metric.unit(),
                range(&values),
                failed.unwrap_or_default()
            ),
            values,
            ratio,
            verdict: match met {
                None => Verdict::None,
                Some(true) => Verdict::Met,
                Some(false) if is_unknown => Verdict::Unknown,
                Some(false) => Verdict::Missed,
            },
            speed: Some(speed(rounds)),
        })
    }

    /// The median of the rounds' ratios to the reference, and its name.
    fn ratio(&self, contestant: Contestant, values: &[f64]) -> Option<(f64, &'static str)> {
        let reference = self.figure.reference.filter(|reference| *reference != contestant)?;
        let references = self.values(reference)?;
        let ratios = values.iter().zip(references).map(|(value, of)| value / of);
        Some((median(ratios.collect()), reference.name()))
    }

    /// A contestant's figure in each round.
    fn values(&self, contestant: Contestant) -> Option<Vec<f64>> {
        let direct = self.rounds(Contestant::Direct);
        let callers = self.experiment.measured.callers;
        let rounds = self.rounds(contestant)?.iter().enumerate();
        rounds
            .map(|(index, round)| {
                let direct = direct.and_then(|direct| direct.get(index));
                self.figure.metric.of(round, direct, callers)
            })
            .collect()
    }

    fn rounds(&self, contestant: Contestant) -> Option<&[Measured]> {
        let (_, outcome) = self.outcomes.iter().find(|(other, _)| *other == contestant)?;
        outcome.as_deref().ok()
    }
}

/// What went wrong in any round.
fn failures(rounds: &[Measured]) -> Option<String> {
    let reason = rounds.iter().find_map(|round| round.first_failure.as_deref())?;
    let count: u64 = rounds.iter().map(|round| round.failures).sum();
    Some(format!(", **{count} CALLS FAILED**, the first: {}", one_line(reason)))
}

/// The lowest and the highest round, if there are several.
fn range(values: &[f64]) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.len() < 2 || lowest >= highest {
        return String::new();
    }
    format!(" ({} to {})", digits(lowest), digits(highest))
}

fn speed(rounds: &[Measured]) -> String {
    let middle = |of: fn(&Measured) -> f64| digits(median(rounds.iter().map(of).collect()));
    format!(
        "{} | {} / {} / {} ms",
        middle(|round| round.answers as f64 / round.elapsed.as_secs_f64()),
        middle(|round| round.latency.p50),
        middle(|round| round.latency.p99),
        middle(|round| round.latency.slowest),
    )
}

impl Figure {
    fn target(&self, aim: Aim) -> String {
        match aim {
            Aim::AtMost(bound) => format!("≤ {bound} {}", self.metric.unit()),
            Aim::Times(bound) => format!("≤ {bound:.2} ×"),
        }
    }
}

impl Metric {
    fn unit(self) -> &'static str {
        match self {
            Self::CpuPerAnswer => "µs CPU an answer",
            Self::CpuPerToken => "µs CPU a token",
            Self::TimePerAnswer => "µs an answer",
            Self::MemoryPerStream => "KiB a stream",
            Self::FirstTokenLater => "ms later, p50",
            Self::FirstTokenLaterP99 => "ms later, p99",
            Self::Lost => "lost",
        }
    }
}

/// Replaces what is between the marks of `file`.
pub(crate) fn write_into(file: &Path, report: &str) -> anyhow::Result<()> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let marks = || format!("{} needs {BEGIN} and, after it, {END}", file.display());
    let (before, rest) = text.split_once(BEGIN).with_context(marks)?;
    let (_, after) = rest.split_once(END).with_context(marks)?;
    ensure!(!after.contains(BEGIN), "{} has more than one {BEGIN}", file.display());
    fs::write(file, format!("{before}{BEGIN}\n{report}{END}{after}"))?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

/// Three digits, which is more than a shared machine is good for.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 || size == 0.0 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/")
}
