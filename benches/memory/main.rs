//! Measures what an open stream takes on the heap, by part: a worker holds many streams
//! under Valgrind's DHAT, and whatever is allocated then is given to the part whose code
//! allocated it.
//!
//! `cargo bench --bench memory` prints a Markdown table, and with `-- --sites` the
//! largest places in the code. What is allocated only once cancels out: the figures are
//! the difference between few streams and many.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

mod parts;
mod profile;
mod streams;
#[allow(dead_code, unused_imports, reason = "the integration tests use all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;
mod worker;

use std::env;

use anyhow::Context;
use tokio::runtime::Runtime;

use crate::{parts::Parts, profile::Profile};

/// The numbers of streams that are compared.
const FEW: usize = 50;
const MANY: usize = 250;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.as_slice() {
        [flag, base_url] if flag == worker::FLAG => worker::run(base_url),
        // Test runners start every target.
        arguments if !arguments.iter().any(|argument| argument == "--bench") => {
            eprintln!("nothing is measured but by `cargo bench`");
            Ok(())
        }
        arguments => measure(arguments.iter().any(|argument| argument == "--sites")),
    }
}

fn measure(sites: bool) -> anyhow::Result<()> {
    let runtime = Runtime::new().context("no runtime")?;
    let few = runtime.block_on(streams::profile_with(FEW))?;
    let many = runtime.block_on(streams::profile_with(MANY))?;
    let each = Profile::difference(&few, &many, MANY - FEW);
    if sites {
        each.print_sites();
    }
    Parts::of(&each).print();
    Ok(())
}
