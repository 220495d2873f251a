//! `sparkler serve`: the worker as a process. What it does is in `server`, how
//! it is set up in `config`; here is only what makes it a process: a runtime,
//! and the signals that tell it to stop.

use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::{core_dumps, failure::Failure, log};
use crate::{
    callers::Callers,
    config::{Config, ServeArgs},
    server::Server,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  sparkler serve
  sparkler serve --callers-file callers.json
  sparkler serve --listen 0.0.0.0:50051 --insecure   # in a network that is trusted
  SPARKLER_LISTEN=127.0.0.1:50052 sparkler serve

SIGTERM or Ctrl-C: no new calls are taken, those under way are given time to end.";

/// The worker's settings.
#[derive(Debug, clap::Args)]
pub(super) struct ServeCommand {
    #[command(flatten)]
    args: ServeArgs,
}

impl ServeCommand {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        log::begin(&self.args).map_err(Failure::Usage)?;
        if !self.args.core_dumps {
            core_dumps::forbid()
                .context("core dumps cannot be turned off; say --core-dumps where they may be")?;
        }
        let typed = format!("{:?}", self.args);
        let config =
            Config::try_from(self.args).map_err(|problem| Failure::Usage(problem.into()))?;
        // What was typed names files that hold secrets, and holds none itself;
        // what was refused is not repeated.
        tracing::info!(
            settings = typed,
            worker_threads = config.worker_threads,
            traces_go_to = config.telemetry.traces.as_ref().map(|collector| collector.url.as_str()),
            metrics_go_to =
                config.telemetry.metrics.as_ref().map(|collector| collector.url.as_str()),
            "effective settings"
        );
        let runtime = super::runtime(config.worker_threads)?;
        let served = runtime.block_on(serve(config));
        // What was to end in order has ended; a check that never ends must not
        // keep the process.
        runtime.shutdown_background();
        served?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before the ports are bound: from then on whoever sends a signal expects
    // an orderly end.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let anyone_may_call =
        matches!(config.door.callers, Callers::Anyone) && !config.listen.ip().is_loopback();
    let server = Server::bind(config).await?;
    if anyone_may_call {
        tracing::warn!("whoever reaches the port may call: name the callers by --callers-file");
    }
    tracing::info!(
        listen = %server.local_addr(),
        admin_listen = %server.admin_addr(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    server
        .run(async move {
            let signal = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal, "stopping");
        })
        .await?;
    tracing::info!("stopped");
    Ok(())
}
