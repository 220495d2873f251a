//! `sparkler serve`: the worker as a process. What it does is in `server`, how
//! it is set up in `config`; here is only what makes it a process: a runtime,
//! and the signals that tell it to stop.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use crate::{
    config::{Config, ServeArgs},
    server::Server,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  sparkler serve
  sparkler serve --listen 0.0.0.0:50051 --admin-listen 0.0.0.0:9464
  SPARKLER_LISTEN=0.0.0.0:50051 sparkler serve

SIGTERM or Ctrl-C: no new calls are taken, those under way are given time to end.";

/// The worker's settings.
#[derive(Debug, clap::Args)]
pub(super) struct ServeCommand {
    #[command(flatten)]
    args: ServeArgs,
}

impl ServeCommand {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let config = Config::try_from(self.args).map_err(|error| Failure::Usage(error.into()))?;
        let runtime = super::runtime(config.worker_threads)?;
        runtime.block_on(serve(config))?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Before the ports are bound: from then on whoever sends a signal expects
    // an orderly end.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::bind(config).await?;
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
