//! Counts the instructions of the hot steps, and fails if one takes more than was
//! accepted. Instructions, unlike times, are the same on a busy machine.
//!
//! `benches/counts/run` builds and runs it. The accepted counts are in
//! `benches/counts/accepted.tsv`; `UPDATE=1 benches/counts/run` accepts those of now, and
//! `benches/counts/run --parts` prints those of the parts of a hit.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod accepted;
mod callgrind;
#[path = "../fixtures/executions.rs"]
mod executions;
#[path = "../fixtures/flights.rs"]
mod flights;
mod parts;
mod step;
#[path = "../fixtures/tokens.rs"]
mod tokens;

use std::env;

use anyhow::{Context, ensure};

use crate::{accepted::Accepted, step::Step};

// The allocator of the worker.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The largest growth that is no failure.
const TOLERANCE: f64 = 0.03;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, name, times] if flag == callgrind::STEP => {
            Step::named(name).context("no such step")?.run(times.parse()?);
            Ok(())
        }
        // Test runners start every target.
        arguments if !arguments.iter().any(|argument| argument == "--bench") => {
            eprintln!("nothing is counted but by benches/counts/run");
            Ok(())
        }
        arguments if arguments.iter().any(|argument| argument == "--parts") => parts::print(),
        _ => count(),
    }
}

fn count() -> anyhow::Result<()> {
    let accepts = env::var_os("UPDATE").is_some();
    let mut accepted = Accepted::read()?;
    let mut grown = Vec::new();
    println!("{:<10} {:>12} {:>12}  change", "step", "accepted", "now");
    for step in Step::ALL {
        let count = callgrind::count(step)?;
        let before = accepted.of(step.name);
        let change = before.map(|before| count as f64 / before as f64 - 1.0);
        let (before, shown) = (before.unwrap_or_default(), change.unwrap_or_default() * 100.0);
        println!("{:<10} {before:>12} {count:>12}  {shown:+.1} %", step.name);
        if change.is_none_or(|change| change > TOLERANCE) {
            grown.push(step.name);
        }
        accepted.set(step.name, count);
    }
    if accepts {
        return accepted.write();
    }
    ensure!(
        grown.is_empty(),
        "{} takes over {:.0} % more instructions than accepted, or is new; if the growth is worth \
         it, accept it with UPDATE=1 benches/counts/run and say why in the commit",
        grown.join(", "),
        TOLERANCE * 100.0
    );
    Ok(())
}
