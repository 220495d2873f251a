//! `sparkler prices`: prints a price table, or what differs between two.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, anyhow};

use super::{
    failure::CommandError,
    table::{Cell, Table},
    terminal::{DIM, HEADING, WARNING},
    units::dollars,
};
use crate::{
    files,
    price::{Prices, Rate},
};

pub(super) const EXAMPLES: &str = "\
Examples:
  sparkler prices
  sparkler prices --file prices.json
  sparkler prices --prices prices.json --file newer.json

Prices are in US dollars per million tokens. Without --prices the table is the one built into
this release. With --file only what differs is printed, as `from → to`; an empty side has no
price.";

/// The arguments of `sparkler prices`.
#[derive(Debug, clap::Args)]
pub(super) struct PricesArgs {
    /// A JSON file of prices that replaces the built-in table, as for the worker.
    #[arg(long, env = "SPARKLER_PRICES", value_name = "FILE")]
    prices: Option<PathBuf>,

    /// Another JSON file of prices: print what differs in it.
    #[arg(long, env = "SPARKLER_PRICES_FILE", value_name = "FILE")]
    file: Option<PathBuf>,
}

impl PricesArgs {
    pub(super) fn run(self) -> Result<ExitCode, CommandError> {
        let prices = read("--prices", self.prices.as_deref()).map_err(CommandError::Usage)?;
        let mut out = anstream::stdout().lock();
        match &self.file {
            None => write_all(&prices, &mut out)?,
            Some(file) => {
                let other = read("--file", Some(file)).map_err(CommandError::Usage)?;
                write_differences(&prices, &other, &mut out)?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Reads the price table that a flag names; the built-in one without a file.
pub(super) fn read(flag: &str, file: Option<&Path>) -> anyhow::Result<Prices> {
    let Some(file) = file else { return Ok(Prices::built_in()) };
    let text = files::read_text(file)
        .with_context(|| format!("{flag} {} cannot be read", file.display()))?;
    Prices::parse(text.as_bytes())
        .map_err(|problem| anyhow!("{flag} {}: {problem}", file.display()))
}

fn write_all(prices: &Prices, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{DIM}US dollars per million tokens, as of {}{DIM:#}\n", prices.date())?;
    let mut table = Table::new(["MODEL", "TIER", "IN", "CACHED", "OUT"]);
    for model in prices.models().collect::<BTreeSet<_>>() {
        for (tier, rate) in prices.rates(model) {
            let [input, cached, output] = amounts(Some(rate)).map(|amount| Cell::new(&amount));
            table.push([Cell::styled(model, HEADING), Cell::new(tier), input, cached, output]);
        }
    }
    table.write(0, out)
}

fn write_differences(prices: &Prices, other: &Prices, out: &mut impl Write) -> io::Result<()> {
    let mut table = Table::new(["MODEL", "TIER", "IN", "CACHED", "OUT"]);
    let differences = differences(prices, other);
    writeln!(out, "{DIM}from {} to {}{DIM:#}\n", prices.date(), other.date())?;
    if differences.is_empty() {
        return writeln!(out, "The prices are the same.");
    }
    for Difference { model, tier, from, to } in &differences {
        let (from, to) = (amounts(*from), amounts(*to));
        let [input, cached, output] = std::array::from_fn(|index| change(&from[index], &to[index]));
        table.push([Cell::styled(model, HEADING), Cell::new(tier), input, cached, output]);
    }
    table.write(0, out)
}

/// A rate that differs between two tables; `None` where a table has none.
#[derive(Debug, PartialEq, Eq)]
struct Difference {
    model: String,
    tier: String,
    from: Option<Rate>,
    to: Option<Rate>,
}

/// Returns the rates that differ, by model and tier.
fn differences(prices: &Prices, other: &Prices) -> Vec<Difference> {
    let models: BTreeSet<&str> = prices.models().chain(other.models()).collect();
    let of_model = |model: &&str| {
        let (from, to) = (prices.rates(model), other.rates(model));
        let tiers: BTreeSet<&str> = from.iter().chain(&to).map(|(tier, _)| *tier).collect();
        let rate = |rates: &[(&str, Rate)], tier: &str| {
            rates.iter().find(|(named, _)| *named == tier).map(|(_, rate)| *rate)
        };
        let of_tier = |tier: &str| Difference {
            model: (*model).to_owned(),
            tier: tier.to_owned(),
            from: rate(&from, tier),
            to: rate(&to, tier),
        };
        tiers.into_iter().map(of_tier).collect::<Vec<_>>()
    };
    let all = models.iter().flat_map(of_model);
    all.filter(|difference| difference.from != difference.to).collect()
}

/// Returns the prices of a rate as text: of input, cached input and output.
fn amounts(rate: Option<Rate>) -> [String; 3] {
    let Some(Rate { input, cached_input, output }) = rate else { return Default::default() };
    [input, cached_input, output].map(|amount| dollars(amount.cast_signed()))
}

fn change(from: &str, to: &str) -> Cell {
    if from == to {
        return Cell::new(from);
    }
    Cell::styled(format!("{from} → {to}").trim(), WARNING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(models: &str) -> Prices {
        let text = format!(r#"{{"date": "2026-11-22", "models": [{models}]}}"#);
        Prices::parse(text.as_bytes()).expect("well-formed")
    }

    #[test]
    fn only_rates_that_differ_are_named() {
        let one = table(
            r#"{"model": "gone", "input": 1, "output": 2},
               {"model": "kept", "input": 1, "output": 2, "priority_input": 3, "priority_output": 4},
               {"model": "same", "input": 1, "output": 2}"#,
        );
        let other = table(
            r#"{"model": "kept", "input": 1, "output": 2.5, "priority_input": 3, "priority_output": 4},
               {"model": "new", "input": 1, "output": 2},
               {"model": "same", "input": 1, "output": 2}"#,
        );
        let found = differences(&one, &other);
        let named: Vec<_> = found
            .iter()
            .map(|Difference { model, tier, from, to }| {
                (model.as_str(), tier.as_str(), from.is_some(), to.is_some())
            })
            .collect();
        assert_eq!(
            named,
            [
                ("gone", "default", true, false),
                ("kept", "default", true, true),
                ("new", "default", false, true),
            ]
        );
        assert_eq!(differences(&one, &one), []);
    }

    #[test]
    fn a_change_is_shown_from_and_to() {
        let one = table(r#"{"model": "m", "input": 0.225, "cached_input": 0.045, "output": 1}"#);
        let other = table(r#"{"model": "m", "input": 0.15, "cached_input": 0.045, "output": 1}"#);
        let mut out = anstream::StripStream::new(Vec::new());
        write_differences(&one, &other, &mut out).expect("written");
        let text = String::from_utf8(out.into_inner()).expect("text");
        assert!(text.contains("$0.225 → $0.15") && text.contains("$0.045"), "{text}");
    }
}
