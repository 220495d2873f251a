//! The arguments of `sparkler serve`: flags, and the environment variables behind
//! them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use tracing_subscriber::EnvFilter;

use super::{
    AdmissionArgs, FleetArgs, IngressArgs, MemoryArgs, TelemetryArgs,
    duration::{duration, duration_or_none, gather_window},
};
use crate::execution::PrefixAffinity;

/// The arguments of `sparkler serve`, unvalidated. Sizes are in bytes or take
/// `KiB`, `MiB`, `GiB`; durations are written as `500ms`, `30s`, `10m`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The address of the gRPC listener.
    #[arg(long, env = "SPARKLER_LISTEN", default_value = "127.0.0.1:50051", value_name = "ADDR")]
    pub listen: SocketAddr,

    /// The address that serves liveness, readiness and metrics over HTTP.
    #[arg(
        long,
        env = "SPARKLER_ADMIN_LISTEN",
        default_value = "127.0.0.1:9464",
        value_name = "ADDR"
    )]
    pub admin_listen: SocketAddr,

    /// The ingress arguments.
    #[command(flatten)]
    pub ingress: IngressArgs,

    /// The worker's name, in `started` events and logs; by default the host's name.
    #[arg(long, env = "SPARKLER_WORKER_ID", value_name = "NAME")]
    pub worker_id: Option<String>,

    /// Threads that execute; by default one for each core that the worker may use.
    #[arg(long, env = "SPARKLER_WORKER_THREADS", value_name = "N")]
    pub worker_threads: Option<usize>,

    /// The provider's base URL.
    #[arg(
        long,
        env = "SPARKLER_FIREWORKS_BASE_URL",
        default_value = "https://api.fireworks.ai/inference/v1",
        value_name = "URL"
    )]
    pub fireworks_base_url: String,

    /// The HTTP versions to use with the provider.
    #[arg(
        long,
        env = "SPARKLER_FIREWORKS_PROTOCOL",
        value_enum,
        default_value_t = ProtocolArg::Auto,
        value_name = "PROTOCOL"
    )]
    pub fireworks_protocol: ProtocolArg,

    /// The most HTTP/2 connections to the provider; each carries about a hundred
    /// streams before the next is opened.
    #[arg(long, env = "SPARKLER_FIREWORKS_CONNECTIONS", default_value_t = 64, value_name = "N")]
    pub fireworks_connections: usize,

    /// Name conversations and tenants to the provider's prompt caches, as keyed hashes in
    /// headers: `auto` if the provider is Fireworks itself.
    #[arg(
        long,
        env = "SPARKLER_PREFIX_AFFINITY",
        value_enum,
        default_value_t = PrefixAffinityArg::Auto,
        value_name = "WHEN"
    )]
    pub prefix_affinity: PrefixAffinityArg,

    /// The time for which texts to embed wait for those of other calls with the same
    /// settings, credential and tenant, to share one request to the provider; at most
    /// 50ms, and 0s gathers none.
    #[arg(
        long,
        env = "SPARKLER_EMBEDDINGS_GATHER_WINDOW",
        default_value = "0s",
        value_parser = gather_window,
        value_name = "DURATION"
    )]
    pub embeddings_gather_window: Duration,

    /// A JSON file of prices that replaces the built-in table; followed as it changes.
    #[arg(long, env = "SPARKLER_PRICES", value_name = "FILE")]
    pub prices: Option<PathBuf>,

    /// The time for which the provider's records of models are remembered, for
    /// ListModels and for warnings of models that end; 0s asks every time.
    #[arg(
        long,
        env = "SPARKLER_MODELS_TTL",
        default_value = "10m",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub models_ttl: Duration,

    /// A folder of mounted credentials, one file each, for `secret_name`.
    #[arg(long, env = "SPARKLER_SECRETS_DIR", value_name = "DIR")]
    pub secrets_dir: Option<PathBuf>,

    /// A file with the secret behind cache keys and execution tokens, at least 16
    /// bytes; by default random for this process.
    #[arg(long, env = "SPARKLER_CACHE_SECRET_FILE", value_name = "FILE")]
    pub cache_secret_file: Option<PathBuf>,

    /// The memory arguments.
    #[command(flatten)]
    pub memory: MemoryArgs,

    /// The lifetime of a cached answer, unless the caller asks for less; 0s
    /// disables the cache.
    #[arg(
        long,
        env = "SPARKLER_CACHE_TTL",
        default_value = "1h",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub cache_ttl: Duration,

    /// Likewise for models behind aliases, such as routers; 0s caches none.
    #[arg(
        long,
        env = "SPARKLER_ALIAS_CACHE_TTL",
        default_value = "5m",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub alias_cache_ttl: Duration,

    /// The time for which a finished execution can be attached to or replayed for
    /// its idempotency key; 0s keeps none.
    #[arg(
        long,
        env = "SPARKLER_RETENTION",
        default_value = "10m",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub retention: Duration,

    /// Let callers name their tenant in `context.tenant`.
    #[arg(long, env = "SPARKLER_TRUST_TENANT", value_parser = BoolishValueParser::new())]
    pub trust_tenant: bool,

    /// Let callers share answers with everyone (SCOPE_SHARED).
    #[arg(long, env = "SPARKLER_ALLOW_SHARED_CACHE", value_parser = BoolishValueParser::new())]
    pub allow_shared_cache: bool,

    /// The fleet arguments.
    #[command(flatten)]
    pub fleet: FleetArgs,

    /// The admission arguments.
    #[command(flatten)]
    pub admission: AdmissionArgs,

    /// Default time limit for connecting to the provider.
    #[arg(
        long,
        env = "SPARKLER_CONNECT_TIMEOUT",
        default_value = "10s",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub connect_timeout: Duration,

    /// Default time limit from the call to the first output.
    #[arg(
        long,
        env = "SPARKLER_FIRST_TOKEN_TIMEOUT",
        default_value = "10m",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub first_token_timeout: Duration,

    /// Default time limit between two pieces of output.
    #[arg(
        long,
        env = "SPARKLER_IDLE_TIMEOUT",
        default_value = "2m",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub idle_timeout: Duration,

    /// Default time limit of the whole call.
    #[arg(
        long,
        env = "SPARKLER_TOTAL_TIMEOUT",
        default_value = "30m",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub total_timeout: Duration,

    /// Upper bound of a call's duration, whatever the caller asks for.
    #[arg(
        long,
        env = "SPARKLER_MAX_TOTAL_TIMEOUT",
        default_value = "1h",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub max_total_timeout: Duration,

    /// The most provider requests for one execution.
    #[arg(long, env = "SPARKLER_MAX_ATTEMPTS", default_value_t = 3, value_name = "N")]
    pub max_attempts: u32,

    /// The time that an execution continues after its last caller has left, if the
    /// caller asked for it (ON_CANCEL_DRAIN); 0s ends it at once.
    #[arg(
        long,
        env = "SPARKLER_DETACHED_RUN_LIMIT",
        default_value = "10m",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub detached_run_limit: Duration,

    /// Silence after which a stream carries a `progress` event.
    #[arg(
        long,
        env = "SPARKLER_PROGRESS_INTERVAL",
        default_value = "15s",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub progress_interval: Duration,

    /// The time that the worker still accepts calls after a signal to stop, so that
    /// load balancers can turn away; 0s refuses them at once.
    #[arg(
        long,
        env = "SPARKLER_PRE_DRAIN_DELAY",
        default_value = "5s",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub pre_drain_delay: Duration,

    /// The time that executions then have to finish before they are aborted; 0s
    /// aborts them at once.
    #[arg(
        long,
        env = "SPARKLER_DRAIN_LIMIT",
        default_value = "60s",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub drain_limit: Duration,

    /// Allow core dumps, which contain the keys in memory, and debuggers.
    #[arg(long, env = "SPARKLER_CORE_DUMPS", value_parser = BoolishValueParser::new())]
    pub core_dumps: bool,

    /// Serve gRPC reflection.
    #[arg(
        long,
        env = "SPARKLER_REFLECTION",
        default_value_t = true,
        action = clap::ArgAction::Set,
        value_parser = BoolishValueParser::new(),
        value_name = "BOOL"
    )]
    pub reflection: bool,

    /// The format of the log.
    #[arg(
        long,
        env = "SPARKLER_LOG_FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,

    /// The log filter: `error`, `warn`, `info`, `debug`, or directives such as
    /// `sparkler=debug,warn`.
    #[arg(
        long,
        env = "SPARKLER_LOG",
        default_value = "info",
        value_parser = filter,
        value_name = "FILTER"
    )]
    pub log: String,

    /// The telemetry arguments.
    #[command(flatten)]
    pub telemetry: TelemetryArgs,
}

/// The HTTP versions to use with the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProtocolArg {
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, even without TLS.
    Http2,
}

/// The providers to whose prompt caches conversations are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrefixAffinityArg {
    /// If the provider is Fireworks itself.
    Auto,
    /// To any provider.
    On,
    /// Never.
    Off,
}

impl From<PrefixAffinityArg> for PrefixAffinity {
    fn from(argument: PrefixAffinityArg) -> PrefixAffinity {
        match argument {
            PrefixAffinityArg::Auto => PrefixAffinity::Auto,
            PrefixAffinityArg::On => PrefixAffinity::On,
            PrefixAffinityArg::Off => PrefixAffinity::Off,
        }
    }
}

/// The formats of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}

/// Validates a log filter.
fn filter(text: &str) -> Result<String, String> {
    EnvFilter::try_new(text).map_err(|_| "is not a filter, such as info or sparkler=debug")?;
    Ok(text.to_owned())
}
