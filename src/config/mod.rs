//! The operator's settings: [`ServeArgs`] as given, [`Config`] as validated. The
//! only reader of the worker's environment. Every problem is reported at once,
//! before any port is bound.

mod admission;
mod args;
mod bytes;
mod cgroup;
mod duration;
mod fleet;
mod ingress;
mod memory;
mod telemetry;

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use url::Url;

pub use self::{
    admission::AdmissionArgs,
    args::{LogFormat, PrefixAffinityArg, ProtocolArg, ServeArgs},
    duration::{duration, duration_or_none},
    fleet::{FleetArgs, FleetSettings},
    ingress::{ConnectionAge, IngressArgs, IngressConfig},
    memory::MemoryArgs,
    telemetry::TelemetryArgs,
};
use self::{memory::Shares, telemetry::Ignored};
use crate::{
    admission::AdmissionConfig,
    cache::{MemoryConfig, key::CacheSecret},
    execution::{Deadlines, Settings},
    files,
    fireworks::{self, ClientConfig, Protocol, RetryPolicy},
    flight::FlightsConfig,
    lifecycle::DrainLimits,
    metrics::MemoryShares,
    price::PriceList,
    quota::QuotaLimits,
    telemetry::TelemetrySettings,
};

/// The settings of a worker, valid by construction.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address of the gRPC listener.
    pub listen: SocketAddr,
    /// The address of the admin pages.
    pub admin_listen: SocketAddr,
    /// Authentication, TLS and the limits of connections.
    pub ingress: IngressConfig,
    /// The number of threads that execute.
    pub worker_threads: usize,
    /// The settings of the provider's client.
    pub fireworks: ClientConfig,
    /// The policy for retrying provider requests.
    pub retry: RetryPolicy,
    /// The prices of tokens.
    pub prices: PriceList,
    /// The folder of mounted credentials.
    pub secrets_dir: Option<PathBuf>,
    /// The key of keyed hashes, such as cache keys.
    pub cache_secret: CacheSecret,
    /// The settings of the memory tier.
    pub memory: MemoryConfig,
    /// The settings of the registry of flights.
    pub flights: FlightsConfig,
    /// The limits of executions and of the queue.
    pub admission: AdmissionConfig,
    /// The daily quotas of tenants, if there are any.
    pub limits: Option<QuotaLimits>,
    /// The time for which rejected keys and models are remembered.
    pub refusals_for: Duration,
    /// The time for which the provider's records of models are remembered.
    pub models_for: Duration,
    /// The settings of executions.
    pub execution: Settings,
    /// The fleet that the worker belongs to, if any.
    pub fleet: Option<FleetSettings>,
    /// The time limits of a graceful stop.
    pub drain: DrainLimits,
    /// True to serve gRPC reflection.
    pub reflection: bool,
    /// The telemetry settings.
    pub telemetry: TelemetrySettings,
}

/// All problems of the settings.
#[derive(Debug)]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// Returns the problems, each a sentence that begins with its flag.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the worker cannot start as configured: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Returns the worker's memory by purpose.
    pub fn memory_shares(&self) -> MemoryShares {
        MemoryShares {
            cache: self.memory.max_bytes,
            retention: self.flights.retention_bytes,
            executions: self.admission.bytes,
        }
    }

    /// Returns the settings of an embedded worker: loopback, free ports, and the
    /// defaults of `serve` otherwise.
    pub fn local(base_url: Url) -> Config {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Config {
            listen: loopback,
            admin_listen: loopback,
            ingress: IngressConfig::local(),
            worker_threads: 1,
            fireworks: ClientConfig { base_url, ..ClientConfig::default() },
            retry: RetryPolicy::default(),
            prices: PriceList::built_in(),
            secrets_dir: None,
            cache_secret: CacheSecret::random(),
            memory: MemoryConfig { max_bytes: 64 << 20, max_ttl: Duration::from_secs(3600) },
            flights: FlightsConfig {
                retention: Duration::from_secs(600),
                retention_bytes: 64 << 20,
                max_answer_bytes: 16 << 20,
            },
            admission: AdmissionConfig::default(),
            limits: None,
            refusals_for: Duration::from_secs(5),
            models_for: Duration::from_secs(600),
            execution: Settings { worker_id: "local".to_owned(), ..Settings::default() },
            fleet: None,
            drain: DrainLimits::default(),
            reflection: true,
            telemetry: TelemetrySettings::default(),
        }
    }
}

impl Config {
    /// Returns the proxy that the environment names for the provider, if any.
    pub fn fireworks_proxy(&self) -> Option<String> {
        fireworks::proxy(&self.fireworks.base_url)
    }
}

impl TryFrom<ServeArgs> for Config {
    type Error = ConfigError;

    fn try_from(args: ServeArgs) -> Result<Config, ConfigError> {
        let mut problems = ConfigProblems::default();
        let base_url = problems.take(base_url(&args.fireworks_base_url));
        let prices = problems.take(prices(args.prices.as_deref()));
        let cache_secret =
            problems.take(cache_secret("--cache-secret-file", args.cache_secret_file.as_deref()));
        problems.take(folder(args.secrets_dir.as_deref()));
        problems.take(positive_limits(&args));
        let shares = problems.take(args.memory.shares());
        let admission = problems.take(args.admission.config());
        let limits = problems.take(args.admission.limits());
        let worker_id = args.worker_id.clone().unwrap_or_else(host_name);
        let telemetry = telemetry::settings(
            &args.telemetry,
            &worker_id,
            &telemetry::environment,
            &mut problems,
        );
        for sentence in problems.ignored.sentences() {
            tracing::warn!("{sentence}");
        }
        let ingress =
            IngressConfig::read(&args.ingress, args.listen, args.max_total_timeout, &mut problems);
        let has_secret = args.cache_secret_file.is_some();
        let fleet =
            FleetSettings::read(&args.fleet, has_secret, &telemetry::environment, &mut problems);
        let (Some(base_url), Some(prices), Some(cache_secret)) = (base_url, prices, cache_secret)
        else {
            return Err(ConfigError(problems.found));
        };
        let (Some(shares), Some(admission), Some(ingress)) = (shares, admission, ingress) else {
            return Err(ConfigError(problems.found));
        };
        if !problems.found.is_empty() {
            return Err(ConfigError(problems.found));
        }
        Ok(Config {
            listen: args.listen,
            admin_listen: args.admin_listen,
            ingress,
            worker_threads: args.worker_threads.unwrap_or_else(cores),
            fireworks: client(&args, base_url),
            retry: RetryPolicy::default(),
            prices,
            secrets_dir: args.secrets_dir.clone(),
            cache_secret,
            memory: MemoryConfig { max_bytes: shares.cache, max_ttl: args.cache_ttl },
            flights: flights(&args, &shares),
            admission: AdmissionConfig { bytes: shares.executions, ..admission },
            limits: limits.flatten(),
            refusals_for: args.admission.negative_cache_ttl,
            models_for: args.models_ttl,
            fleet,
            drain: drain(&args),
            reflection: args.reflection,
            telemetry,
            execution: execution(args, worker_id, shares),
        })
    }
}

/// Collects problems.
#[derive(Default)]
struct ConfigProblems {
    found: Vec<String>,
    ignored: Ignored,
}

impl ConfigProblems {
    /// Returns the value, or notes the problem: once, even if two settings share
    /// it.
    fn take<T>(&mut self, found: Result<T, String>) -> Option<T> {
        found.map_err(|problem| self.add(problem)).ok()
    }

    fn add(&mut self, problem: String) {
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }

    /// Returns the notices that are not errors but belong in the log.
    fn warnings(&mut self) -> &mut Ignored {
        &mut self.ignored
    }
}

fn client(args: &ServeArgs, base_url: Url) -> ClientConfig {
    ClientConfig {
        base_url,
        protocol: match args.fireworks_protocol {
            ProtocolArg::Auto => Protocol::Auto,
            ProtocolArg::Http1 => Protocol::Http1,
            ProtocolArg::Http2 => Protocol::Http2,
        },
        connections: args.fireworks_connections,
        // The client's limit is the most that callers may ask for, not their
        // default.
        connect_timeout: args.max_total_timeout,
        ..ClientConfig::default()
    }
}

fn flights(args: &ServeArgs, shares: &Shares) -> FlightsConfig {
    FlightsConfig {
        retention: args.retention,
        retention_bytes: shares.retention,
        max_answer_bytes: shares.max_answer as usize,
    }
}

fn drain(args: &ServeArgs) -> DrainLimits {
    DrainLimits { pre_drain_delay: args.pre_drain_delay, drain_limit: args.drain_limit }
}

fn execution(args: ServeArgs, worker_id: String, shares: Shares) -> Settings {
    Settings {
        worker_id,
        default_deadlines: Deadlines {
            connect: args.connect_timeout,
            first_token: args.first_token_timeout,
            idle: args.idle_timeout,
            total: args.total_timeout,
        },
        max_total: args.max_total_timeout,
        max_attempts: args.max_attempts,
        drain_limit: args.detached_run_limit,
        progress_interval: args.progress_interval,
        cache_ttl: args.cache_ttl,
        alias_cache_ttl: args.alias_cache_ttl,
        max_recording_bytes: (shares.cache / 8) as usize,
        trust_tenant: args.trust_tenant,
        allow_shared_scope: args.allow_shared_cache,
        max_input_bytes: shares.max_input as usize,
        prefix_affinity: args.prefix_affinity.into(),
        embeddings_gather_window: args.embeddings_gather_window,
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let problem = |why: &str| format!("--fireworks-base-url {why}");
    let url = Url::parse(text).map_err(|error| problem(&format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(problem("must be http:// or https:// with a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(problem("must not hold a password: credentials come with each request"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(problem("must not have a query or a fragment"));
    }
    Ok(url)
}

fn prices(file: Option<&Path>) -> Result<PriceList, String> {
    let Some(file) = file else {
        return Ok(PriceList::built_in());
    };
    PriceList::read(file).map_err(|problem| format!("--prices {}: {problem}", file.display()))
}

fn cache_secret(flag: &str, file: Option<&Path>) -> Result<CacheSecret, String> {
    let Some(file) = file else {
        return Ok(CacheSecret::random());
    };
    let text = files::read(file)
        .map_err(|error| format!("{flag} {} cannot be read: {error}", file.display()))?;
    let text = text.trim_ascii_end();
    if text.len() < CacheSecret::MIN_BYTES {
        return Err(format!(
            "{flag} {} holds {} bytes; at least {}, such as from \
             `openssl rand -base64 32`",
            file.display(),
            text.len(),
            CacheSecret::MIN_BYTES
        ));
    }
    Ok(CacheSecret::new(text))
}

fn folder(folder: Option<&Path>) -> Result<(), String> {
    match folder {
        Some(folder) if !folder.is_dir() => {
            Err(format!("--secrets-dir {} is not a folder", folder.display()))
        }
        _ => Ok(()),
    }
}

fn positive_limits(args: &ServeArgs) -> Result<(), String> {
    let zero = [
        ("--max-attempts", args.max_attempts == 0),
        ("--worker-threads", args.worker_threads == Some(0)),
        ("--fireworks-connections", args.fireworks_connections == 0),
    ];
    more_than_zero(&zero)
}

/// Rejects settings that must not be zero.
fn more_than_zero(settings: &[(&str, bool)]) -> Result<(), String> {
    let zero: Vec<&str> =
        settings.iter().filter(|(_, is_zero)| *is_zero).map(|(name, _)| *name).collect();
    if zero.is_empty() {
        return Ok(());
    }
    Err(format!("{} must be more than 0", zero.join(", ")))
}

/// Returns the cores that the process may use, control group limits included.
fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "sparkler".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct WorkerCommand {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn config(args: &[&str]) -> Result<Config, ConfigError> {
        let args = ["sparkler"].iter().chain(args);
        Config::try_from(WorkerCommand::try_parse_from(args).expect("they parse").args)
    }

    #[test]
    fn the_defaults_are_valid() {
        let config = config(&[]).expect("valid");
        assert!(config.listen.ip().is_loopback());
        assert!(config.worker_threads >= 1);
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let problems = config(&[
            "--fireworks-base-url=ftp://x",
            "--prices=/nonexistent",
            "--cache-secret-file=/dev/null",
            "--secrets-dir=/dev/null",
            "--max-attempts=0",
            "--listen=0.0.0.0:50051",
            "--callers-file=/dev/null",
            "--limits-file=/dev/null",
        ])
        .expect_err("all wrong")
        .to_string();
        for word in [
            "base-url",
            "--prices",
            "--cache-secret-file",
            "--secrets-dir",
            "--max-attempts",
            "--insecure",
            "--callers-file",
            "--limits-file",
        ] {
            assert!(problems.contains(word), "{word} is missing in: {problems}");
        }
    }

    #[test]
    fn plain_text_beyond_loopback_must_be_asked_for() {
        for listen in ["--listen=0.0.0.0:1", "--listen=[::]:1", "--listen=192.0.2.1:1"] {
            let problem = config(&[listen]).expect_err("refused").to_string();
            assert!(problem.contains("127.0.0.1") && problem.contains("--insecure"), "{problem}");
            config(&[listen, "--insecure"]).expect("asked for");
        }
        config(&["--listen=[::1]:1"]).expect("loopback");
    }

    #[test]
    fn a_password_in_the_base_url_is_refused_and_not_repeated() {
        let problem = config(&["--fireworks-base-url=https://user:canary@host/"])
            .expect_err("refused")
            .to_string();
        assert!(!problem.contains("canary"), "{problem}");
    }
}
