//! `sparkler serve`: runs the worker as a process. Sets up the runtime, the log and
//! the signal handlers; `config` holds the settings and `server` does the work.

use std::{
    io,
    process::ExitCode,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context, anyhow};
use serde_json::{Map, Value};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    core_dumps,
    failure::CommandError,
    log::{self, LogGuard},
    typed::Typed,
};
use crate::{
    callers::Callers,
    config::{Config, ServeArgs},
    descriptors, file_watcher,
    server::Server,
    telemetry::Collector,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  sparkler serve
  sparkler serve --callers-file callers.json
  sparkler serve --listen 0.0.0.0:50051 --insecure   # in a network that is trusted
  SPARKLER_LISTEN=127.0.0.1:50052 sparkler serve

SIGTERM or Ctrl-C: no new calls are taken, those under way are given time to end;
a second one ends the worker at once (143 or 130). SIGHUP: followed files are read again.";

/// The arguments of `sparkler serve`.
#[derive(Debug, clap::Args)]
pub(super) struct ServeCommand {
    #[command(flatten)]
    args: ServeArgs,
}

impl ServeCommand {
    /// Runs the worker. Once the log has started, failures go there.
    pub(super) fn run(self, typed: &Typed) -> Result<ExitCode, CommandError> {
        let log = log::begin(&self.args).map_err(CommandError::Usage)?;
        Ok(match self.work(typed, &log) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.log(),
        })
    }

    fn work(self, typed: &Typed, log: &LogGuard) -> Result<(), CommandError> {
        for stranger in &typed.strangers {
            tracing::warn!("{stranger}");
        }
        if !self.args.core_dumps {
            core_dumps::forbid()
                .context("core dumps cannot be turned off; say --core-dumps where they may be")?;
        }
        match descriptors::raise() {
            Ok((before, limit)) => tracing::info!(before, limit, "limit of file descriptors"),
            Err(problem) => tracing::warn!("the limit of file descriptors stays: {problem}"),
        }
        let config = config(self.args, typed).map_err(CommandError::Usage)?;
        let settings = Value::Object(settings(&config, typed));
        tracing::info!(%settings, "effective settings");
        let runtime = super::runtime(config.worker_threads)?;
        let served = runtime.block_on(serve(config, log));
        // Orderly work has ended by now. A check that never returns must not keep
        // the process alive.
        runtime.shutdown_background();
        Ok(served?)
    }
}

/// Builds the settings, or reports everything that is wrong with them.
fn config(args: ServeArgs, typed: &Typed) -> anyhow::Result<Config> {
    let mut problems = typed.problems.clone();
    let config = Config::try_from(args).map_err(|error| {
        problems.extend(error.problems().iter().map(|problem| typed.named(problem)));
    });
    match config {
        Ok(config) if problems.is_empty() => Ok(config),
        _ => Err(anyhow!("the worker cannot start as configured: {}", problems.join("; "))),
    }
}

/// Returns the settings for the log. They name files with secrets, but contain no
/// secrets.
fn settings(config: &Config, typed: &Typed) -> Map<String, Value> {
    let telemetry = &config.telemetry;
    let url = |collector: &Collector| Value::from(collector.url.as_str());
    let mut settings = typed.values.clone();
    for (name, value) in [
        ("worker_threads", Some(Value::from(config.worker_threads))),
        ("fireworks_proxy", config.fireworks_proxy().map(Value::from)),
        ("traces_go_to", telemetry.traces.as_ref().map(url)),
        ("metrics_go_to", telemetry.metrics.as_ref().map(url)),
    ] {
        settings.extend(value.map(|value| (name.to_owned(), value)));
    }
    settings
}

async fn serve(config: Config, log: &LogGuard) -> anyhow::Result<()> {
    // Before the ports are bound: from then on a signal must lead to an orderly
    // stop.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    end_at_the_second_signal()?;
    let anyone_may_call =
        matches!(config.ingress.callers, Callers::Anyone) && !config.listen.ip().is_loopback();
    let nobody_may_call = config.ingress.callers.in_force() == Some(0);
    let server = Server::bind(config).await?;
    server.watch_lost_lines(log.lost());
    if anyone_may_call {
        tracing::warn!("anyone who reaches the port may call: name the callers by --callers-file");
    }
    if nobody_may_call {
        tracing::warn!("nobody may call: the callers file names no caller");
    }
    tracing::info!(
        listen = %server.local_addr(),
        admin_listen = %server.admin_addr(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let stopped = async move {
        let signal = loop {
            tokio::select! {
                _ = terminate.recv() => break "SIGTERM",
                _ = interrupt.recv() => break "SIGINT",
                _ = hang_up.recv() => file_watcher::read_again(),
            }
        };
        tracing::info!(signal, "stopping; a second signal ends the worker at once");
    };
    server.run(stopped).await?;
    tracing::info!("stopped");
    Ok(())
}

/// Exits from the signal handler itself, so that even a worker whose threads are
/// all blocked ends.
fn end_at_the_second_signal() -> io::Result<()> {
    let is_second = Arc::new(AtomicBool::new(false));
    // 128 + the signal, as in shells.
    for (signal, code) in [(SIGTERM, 143), (SIGINT, 130)] {
        // In this order, so that the first signal sets the flag only after it was
        // checked.
        flag::register_conditional_shutdown(signal, code, is_second.clone())?;
        flag::register(signal, is_second.clone())?;
    }
    Ok(())
}
