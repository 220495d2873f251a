//! The arguments of `sparkler bench`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::BoolishValueParser};

use super::{
    super::{credential::CredentialArgs, worker::WorkerArgs},
    budget::{self, Budget},
    load,
    prompt::BuiltIn,
};
use crate::config::duration;

/// The arguments of `sparkler bench`.
#[derive(Debug, Args)]
pub(in crate::cli) struct BenchArgs {
    /// The model to measure; may be repeated.
    #[arg(
        long,
        env = "SPARKLER_BENCH_MODEL",
        value_name = "NAME",
        value_delimiter = ',',
        required = true
    )]
    pub(super) model: Vec<String>,

    /// The way to the provider; may be repeated. `worker` is the one of --worker, else
    /// one in this process.
    #[arg(
        long,
        env = "SPARKLER_BENCH_VIA",
        value_name = "WAY",
        value_delimiter = ',',
        default_value = "direct"
    )]
    pub(super) via: Vec<Via>,

    /// A built-in prompt, by its length; may be repeated.
    #[arg(
        long,
        env = "SPARKLER_BENCH_PROMPT",
        value_name = "LENGTH",
        value_delimiter = ',',
        default_value = "short",
        conflicts_with = "prompts_file"
    )]
    pub(super) prompt: Vec<BuiltIn>,

    /// A file with prompts of your own, used in turn: one a line, as text, as a JSON
    /// string or as an object with `prompt`.
    #[arg(long, env = "SPARKLER_BENCH_PROMPTS_FILE", value_name = "FILE")]
    pub(super) prompts_file: Option<PathBuf>,

    /// Begin each prompt with text of its own, so that no cache, of the worker or of
    /// the provider, holds any part of it.
    #[arg(long, env = "SPARKLER_BENCH_UNIQUE", value_parser = BoolishValueParser::new())]
    pub(super) unique: bool,

    /// Let the worker answer from its cache and merge identical requests; otherwise
    /// each request reaches the provider.
    #[arg(long, env = "SPARKLER_BENCH_CACHE", value_parser = BoolishValueParser::new())]
    pub(super) cache: bool,

    /// The longest answer, in tokens; the built-in prompts ask for more.
    #[arg(
        long,
        env = "SPARKLER_BENCH_MAX_TOKENS",
        value_name = "COUNT",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(super) max_tokens: u32,

    /// More fields of the node chatFireworks, as a JSON object; `sparkler nodes` lists
    /// them.
    #[arg(long, env = "SPARKLER_BENCH_CONFIG", value_name = "JSON")]
    pub(super) config: Option<String>,

    #[command(flatten)]
    pub(super) schedule: ScheduleArgs,

    #[command(flatten)]
    pub(super) money: MoneyArgs,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    #[command(flatten)]
    pub(super) credential: CredentialArgs,

    #[command(flatten)]
    pub(super) worker: WorkerArgs,
}

/// The arguments that set how many requests are sent, and when.
#[derive(Debug, Args)]
#[command(next_help_heading = "Load")]
pub(super) struct ScheduleArgs {
    /// Requests in flight: each end starts the next (a closed loop); may be repeated.
    #[arg(
        long,
        env = "SPARKLER_BENCH_CONCURRENCY",
        value_name = "COUNT",
        value_delimiter = ',',
        default_value = "1",
        value_parser = clap::value_parser!(u32).range(1..=4096)
    )]
    pub(super) concurrency: Vec<u32>,

    /// Requests a second instead, sent on time whatever is in flight (an open loop);
    /// may be repeated.
    #[arg(
        long,
        env = "SPARKLER_BENCH_RATE",
        value_name = "RATE",
        value_delimiter = ',',
        conflicts_with = "concurrency",
        value_parser = load::rate
    )]
    pub(super) rate: Vec<f64>,

    /// Requests of each scenario in each round.
    #[arg(
        long,
        env = "SPARKLER_BENCH_REQUESTS",
        value_name = "COUNT",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub(super) requests: u32,

    /// Rounds: each measures every scenario, so that none has the good hour to itself.
    #[arg(
        long,
        env = "SPARKLER_BENCH_ROUNDS",
        value_name = "COUNT",
        default_value_t = 3,
        value_parser = clap::value_parser!(u32).range(1..=1_000)
    )]
    pub(super) rounds: u32,

    /// Requests before each scenario's first round that are paid for but not measured.
    #[arg(
        long,
        env = "SPARKLER_BENCH_WARM_UP",
        value_name = "COUNT",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(..=10_000)
    )]
    pub(super) warm_up: u32,

    /// Attempts at each request, the first included. A second hides an error, and its
    /// time is the request's.
    #[arg(
        long,
        env = "SPARKLER_BENCH_MAX_ATTEMPTS",
        value_name = "COUNT",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=10)
    )]
    pub(super) max_attempts: u32,

    /// The longest time of a request; beyond it counts as an error.
    #[arg(
        long,
        env = "SPARKLER_BENCH_TIMEOUT",
        value_name = "TIME",
        value_parser = duration,
        default_value = "2m"
    )]
    pub(super) timeout: Duration,
}

/// The arguments about money.
#[derive(Debug, Args)]
#[command(next_help_heading = "Money")]
pub(super) struct MoneyArgs {
    /// The most to spend, in US dollars, or `none`. A request is sent only if it and
    /// all in flight fit at their dearest.
    #[arg(
        long,
        env = "SPARKLER_BENCH_BUDGET",
        value_name = "DOLLARS",
        default_value = "1",
        value_parser = budget::parse
    )]
    pub(super) budget: Budget,

    /// A JSON file of prices that replaces the built-in table.
    #[arg(long, env = "SPARKLER_BENCH_PRICES", value_name = "FILE")]
    pub(super) prices: Option<PathBuf>,
}

/// The arguments about the report.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report (a table on stdout)")]
pub(super) struct OutputArgs {
    /// Also write the report as JSON, every request included; `-` is stdout, instead of
    /// the table.
    #[arg(long, env = "SPARKLER_BENCH_JSON", value_name = "FILE")]
    pub(super) json: Option<PathBuf>,

    /// Also write the report as one HTML page with plots.
    #[arg(long, env = "SPARKLER_BENCH_HTML", value_name = "FILE")]
    pub(super) html: Option<PathBuf>,

    /// Show no progress.
    #[arg(long, short, env = "SPARKLER_BENCH_QUIET", value_parser = BoolishValueParser::new())]
    pub(super) quiet: bool,
}

/// The ways to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Via {
    /// From this process, with the worker's own client.
    Direct,
    /// Through a worker, over gRPC.
    Worker,
}

impl Via {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Via::Direct => "direct",
            Via::Worker => "worker",
        }
    }
}
