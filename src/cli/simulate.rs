//! `sparkler simulate`: runs the simulated Fireworks as a process, configured by
//! flags.

use std::{
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    failure::CommandError,
    terminal::{DIM, HEADING},
};
use crate::{config::duration_or_none, files};
use fireworks_simulator::{
    FORBIDDEN_KEY, Keys, Model, Options, Pace, Rule, SUSPENDED_KEY, Simulator, UNKNOWN_KEY,
    UNPAID_KEY,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  sparkler simulate
  sparkler simulate --first-token 2s --tokens-per-second 20
  sparkler simulate --pace accounts/fireworks/models/kimi-k3=900ms/45
  sparkler simulate --fault '{\"refuse\": {\"status\": 429}}'
  sparkler simulate --fault '{\"faults\": [{\"cut\": {\"after_deltas\": 3}}], \"times\": 2}'
  sparkler simulate --fault call-per-delta:2
  sparkler simulate --fault '{\"faults\": [\"hang_up\"], \"prompt\": \"unlucky\"}'

Faults, by themselves or in `faults` together with `times`, `lasting`, `endpoint`, `model` and
`prompt`: refuse, hang_up, slow_head, slow_first_token, slow_deltas, stall, cut,
cut_after_bytes, cut_in_character, end_early, done_early, no_done, finish_reason, stream_error,
error_event, foreign_error, late_error, comments, pings, cr_lf, bare_cr, byte_order_mark,
several_data_lines, shred, data_after_done, not_json_event, garbage, endless_line,
endless_stream, huge_event, answer, dialect, not_json, no_usage, usage. A call takes the first
rule that fits and is not used up.

No model runs: the words are made from the request, and the same request gets the same words.";

/// The arguments of `sparkler simulate`.
#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {
    /// The address to listen on; port 0 picks a free one.
    #[arg(
        long,
        env = "SPARKLER_SIMULATE_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:50080"
    )]
    listen: SocketAddr,

    /// A file with the API keys to accept, one per line; without it any plausible
    /// key is accepted.
    #[arg(long, env = "SPARKLER_SIMULATE_KEYS_FILE", value_name = "FILE")]
    keys_file: Option<PathBuf>,

    /// A model to have besides the catalogue; may be repeated.
    #[arg(long, env = "SPARKLER_SIMULATE_MODEL", value_name = "NAME", value_delimiter = ',')]
    model: Vec<String>,

    /// Time from a request to its first token [default: 120ms]
    #[arg(
        long,
        env = "SPARKLER_SIMULATE_FIRST_TOKEN",
        value_name = "TIME",
        value_parser = duration_or_none
    )]
    first_token: Option<Duration>,

    /// Tokens per second of an answer; 0 sends it at once [default: 160]
    #[arg(long, env = "SPARKLER_SIMULATE_TOKENS_PER_SECOND", value_name = "RATE")]
    tokens_per_second: Option<f64>,

    /// The pace of one model, as NAME=FIRST_TOKEN/TOKENS_PER_SECOND; may be repeated.
    #[arg(
        long,
        env = "SPARKLER_SIMULATE_PACE",
        value_name = "PACE",
        value_delimiter = ',',
        value_parser = model_pace
    )]
    pace: Vec<(String, Pace)>,

    /// About how many tokens an answer has [default: 60]
    #[arg(long, env = "SPARKLER_SIMULATE_ANSWER_TOKENS", value_name = "COUNT")]
    answer_tokens: Option<u32>,

    /// The most tokens in one delta [default: 4]
    #[arg(long, env = "SPARKLER_SIMULATE_DELTA_TOKENS", value_name = "COUNT")]
    delta_tokens: Option<u32>,

    /// max_tokens of a request that names none [default: 2048]
    #[arg(long, env = "SPARKLER_SIMULATE_DEFAULT_MAX_TOKENS", value_name = "COUNT")]
    default_max_tokens: Option<u32>,

    /// The largest max_tokens of a request that does not stream [default: 4096]
    #[arg(long, env = "SPARKLER_SIMULATE_UNSTREAMED_MAX_TOKENS", value_name = "COUNT")]
    unstreamed_max_tokens: Option<u32>,

    /// The replicas of each model, each with a prompt cache of its own; a request that
    /// names no session reaches any of them [default: 1]
    #[arg(long, env = "SPARKLER_SIMULATE_REPLICAS", value_name = "COUNT")]
    replicas: Option<NonZeroUsize>,

    /// The most blocks of 16 tokens in the prompt cache of a replica [default: 65536]
    #[arg(long, env = "SPARKLER_SIMULATE_REPLICA_BLOCKS", value_name = "COUNT")]
    replica_blocks: Option<usize>,

    /// A fault, or a rule with faults, as JSON; may be repeated.
    #[arg(long, env = "SPARKLER_SIMULATE_FAULT", value_name = "JSON")]
    fault: Vec<Rule>,
}

impl SimulateArgs {
    pub(super) async fn run(self) -> Result<ExitCode, CommandError> {
        let listen = self.listen;
        let options = self.options()?;
        let printed = Printed::of(&options);
        let mut terminate = signal(SignalKind::terminate())?;
        let simulator = Simulator::bind(listen, options)
            .await
            .with_context(|| format!("{listen} cannot be listened on"))?;
        // The server keeps running even if its banner cannot be printed.
        let _ = printed.write(&simulator, &mut anstream::stdout().lock());
        simulator
            .run(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            })
            .await
            .context("the simulator stopped")?;
        Ok(ExitCode::SUCCESS)
    }

    fn options(self) -> Result<Options, CommandError> {
        let defaults = Options::default();
        let tokens_per_second = match self.tokens_per_second {
            None => defaults.pace.tokens_per_second,
            Some(rate) => speed(rate).ok_or_else(|| {
                CommandError::Usage(anyhow!("--tokens-per-second {rate} is below 0"))
            })?,
        };
        let mut models = defaults.models;
        models.extend(self.model.into_iter().map(Model::new));
        Ok(Options {
            keys: self.keys_file.as_deref().map_or(Ok(defaults.keys), keys)?,
            models,
            pace: Pace {
                first_token: self.first_token.unwrap_or(defaults.pace.first_token),
                tokens_per_second,
            },
            paces: self.pace.into_iter().collect(),
            answer_tokens: self.answer_tokens.unwrap_or(defaults.answer_tokens),
            delta_tokens: self.delta_tokens.unwrap_or(defaults.delta_tokens),
            default_max_tokens: self.default_max_tokens.unwrap_or(defaults.default_max_tokens),
            unstreamed_max_tokens: self
                .unstreamed_max_tokens
                .unwrap_or(defaults.unstreamed_max_tokens),
            rules: self.fault,
            replicas: self.replicas.map_or(defaults.replicas, NonZeroUsize::get),
            replica_blocks: self.replica_blocks.unwrap_or(defaults.replica_blocks),
            ..defaults
        })
    }
}

/// Returns the speed for a number of tokens a second, of which 0 is without delay.
fn speed(rate: f64) -> Option<f64> {
    match rate {
        0.0 => Some(f64::INFINITY),
        rate if rate > 0.0 => Some(rate),
        _ => None,
    }
}

/// Parses `NAME=FIRST_TOKEN/TOKENS_PER_SECOND`.
fn model_pace(text: &str) -> Result<(String, Pace), String> {
    let wrong = || "is not of the form NAME=FIRST_TOKEN/TOKENS_PER_SECOND".to_owned();
    let (model, pace) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (first_token, rate) = pace.split_once('/').ok_or_else(wrong)?;
    let tokens_per_second = rate.parse().ok().and_then(speed).ok_or_else(wrong)?;
    let pace = Pace { first_token: duration_or_none(first_token)?, tokens_per_second };
    Ok((model.to_owned(), pace))
}

fn keys(path: &Path) -> Result<Keys, CommandError> {
    let text = files::read_text(path)
        .with_context(|| format!("--keys-file {} cannot be read", path.display()))
        .map_err(CommandError::Usage)?;
    let keys = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(Keys::Only(keys.map(str::to_owned).collect()))
}

/// The banner of the simulator: what a person needs to use it.
struct Printed {
    keys: String,
    model: String,
    rules: usize,
}

impl Printed {
    fn of(options: &Options) -> Printed {
        let keys = match &options.keys {
            Keys::Shaped => "any that begins with fw_".to_owned(),
            Keys::Only(keys) => format!("those {} of the file", keys.len()),
        };
        Printed {
            keys: format!(
                "{keys}; refused: {UNKNOWN_KEY} (401), {UNPAID_KEY} (402), {FORBIDDEN_KEY} (403), \
                 {SUSPENDED_KEY} (412)"
            ),
            model: options.models.first().map(|model| model.name.clone()).unwrap_or_default(),
            rules: options.rules.len(),
        }
    }

    fn write(&self, simulator: &Simulator, out: &mut impl Write) -> io::Result<()> {
        let Printed { keys, model, rules } = self;
        let base_url = simulator.base_url();
        let address = simulator.local_addr();
        writeln!(out, "{HEADING}A simulated Fireworks listens. No model runs.{HEADING:#}\n")?;
        writeln!(out, "  {DIM}base URL{DIM:#}  {base_url}")?;
        writeln!(out, "  {DIM}keys{DIM:#}      {keys}")?;
        writeln!(out, "  {DIM}faults{DIM:#}    {rules} armed")?;
        writeln!(out, "  {DIM}report{DIM:#}    http://{address}/simulator/report\n")?;
        writeln!(out, "Try it:\n  export SPARKLER_FIREWORKS_BASE_URL={base_url}")?;
        writeln!(
            out,
            "  FIREWORKS_API_KEY=fw_local sparkler execute --model {model} \"Say hello.\""
        )?;
        out.flush()
    }
}
