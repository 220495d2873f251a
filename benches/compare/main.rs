//! Measures Sparkler against the least a tonic worker can do, against nginx,
//! and against what users would pick instead.
//!
//! `cargo bench --bench compare -- --help`. This executable is everything the
//! measurement needs: it runs itself again as the upstream, as the floor, as
//! the collector and as the load. The worker under test is the `sparkler` binary, as it is shipped.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod answer;
mod call;
mod connection;
mod contestant;
mod experiment;
mod experiments;
mod floor;
mod load;
mod machine;
mod nginx;
mod peers;
mod plan;
mod process;
mod relay;
mod report;
mod scene;
mod sink;
mod upstream;
mod wire;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::ensure;
use clap::Parser;

use crate::{contestant::options, experiments::Effort, report::Report, scene::Place};

// The allocator of the worker under test: the floor must not lose by a worse one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures Sparkler, and prints a markdown table.
#[derive(Debug, Parser)]
struct Args {
    /// One short round of everything, for CI: figures are rough.
    #[arg(long)]
    quick: bool,
    /// Only experiments whose title contains this.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Installs LiteLLM and vllm-router from PyPI. Those that are on the machine are
    /// measured in any case, and nginx.
    #[arg(long)]
    peers: bool,
    /// Replaces what is between the figures marks of this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Writes the figures of every round into this file, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measures this `sparkler`, in place of the one just built.
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_sparkler"))]
    sparkler: PathBuf,
    /// Fails when an aim is missed.
    #[arg(long)]
    enforce: bool,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some(process::LEASH) => process::leash(arguments),
        Some("upstream") => upstream::run(options(arguments.next())?),
        Some("floor") => floor::run(&options(arguments.next())?),
        Some("sink") => sink::run(&options(arguments.next())?),
        Some("load") => load::run(options(arguments.next())?),
        // Test runners start every target; a debug build measures nothing.
        _ if std::env::args().all(|argument| argument != "--bench") => {
            eprintln!("nothing is measured but by `cargo bench`");
            Ok(())
        }
        _ => compare(&Args::parse()),
    }
}

fn compare(args: &Args) -> anyhow::Result<()> {
    let machine = machine::describe();
    process::raise_open_files()?;
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare");
    fs::create_dir_all(&directory)?;
    let place = Place { sparkler: args.sparkler.clone(), directory };

    let effort = if args.quick { Effort::Quick } else { Effort::Full };
    let mut report = Report::default();
    if args.peers {
        peers::install_all(&place.directory);
    }
    for mut experiment in experiments::all(effort) {
        experiment.contestants.retain(|contestant| contestant.is_here(&place));
        if args.only.as_ref().is_none_or(|only| experiment.title.contains(only.as_str())) {
            report.add(&experiment, &experiment.run(&place));
        }
    }

    let command = command_line(args);
    let text = report.finish(&machine, &command);
    println!("{text}");
    if let Some(file) = &args.write {
        report::write_into(file, &text)?;
    }
    if let Some(file) = &args.json {
        fs::write(file, report.json(&machine, &command))?;
    }
    ensure!(!args.enforce || report.missed == 0, "{} aims are missed", report.missed);
    Ok(())
}

/// What brings these figures about again.
fn command_line(args: &Args) -> String {
    let only = args.only.as_ref().map(|only| format!("--only \"{only}\""));
    let options =
        [args.quick.then_some("--quick"), args.peers.then_some("--peers"), only.as_deref()];
    let options: Vec<&str> = options.into_iter().flatten().collect();
    match options.as_slice() {
        [] => "cargo bench --bench compare".to_owned(),
        options => format!("cargo bench --bench compare -- {}", options.join(" ")),
    }
}
