//! Measures what sharing costs in a fleet: workers as processes, one Redis, one
//! simulated provider, callers over real gRPC.
//!
//! `cargo bench --bench fleet -- --help`. Whatever is compared is measured in the
//! same run; the figures are printed as a markdown table, and rates are low
//! enough that the machine is not what is measured.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]
#![expect(unreachable_pub, reason = "its parts are one program")]

#[path = "../compare/machine.rs"]
mod machine;
#[allow(dead_code, unused_imports, reason = "the integration tests use all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

mod commands;
mod first_token;
mod frozen;
mod hits;
mod report;
mod workers;

use clap::Parser;

use self::report::Report;

/// Measures a fleet, and prints a markdown table.
#[derive(Debug, Parser)]
struct Args {
    /// One short round of everything, for CI: figures are rough.
    #[arg(long)]
    quick: bool,
    /// Fails when an aim is missed.
    #[arg(long)]
    enforce: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Repetitions of what takes seconds.
    pub rounds: usize,
    /// Repetitions of what takes milliseconds.
    pub calls: usize,
}

#[tokio::main]
async fn main() {
    // Test runners start every target; a debug build measures nothing.
    if std::env::args().all(|argument| argument != "--bench") {
        eprintln!("nothing is measured but by `cargo bench`");
        return;
    }
    let args = Args::parse();
    let machine = machine::describe();
    let effort = if args.quick {
        Effort { rounds: 5, calls: 300 }
    } else {
        Effort { rounds: 40, calls: 4000 }
    };
    let mut report = Report::default();
    first_token::measure(effort, &mut report).await;
    hits::measure(effort, &mut report).await;
    commands::measure(effort, &mut report).await;
    frozen::measure(effort, &mut report).await;
    println!("{}", report.finish(&machine, args.quick));
    assert!(!args.enforce || report.missed() == 0, "{} aims are missed", report.missed());
}
