//! The settings of the door: who may call, and over what.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, builder::BoolishValueParser};

use super::Problems;
use crate::callers::Callers;

/// The door, as typed.
#[derive(Debug, Clone, Args)]
pub struct DoorArgs {
    /// A JSON file of who may call: tokens or certificate names, the tenant and
    /// the mounted credentials of each. Followed as it changes. Without it,
    /// whoever reaches the port may call.
    #[arg(long, env = "SPARKLER_CALLERS_FILE", value_name = "FILE")]
    pub callers_file: Option<PathBuf>,

    /// Takes calls in plain text from other machines too: for a network that is
    /// trusted, or where a mesh has its own TLS.
    #[arg(long, env = "SPARKLER_INSECURE", value_parser = BoolishValueParser::new())]
    pub insecure: bool,
}

/// The door, as validated.
#[derive(Debug, Clone)]
pub struct DoorConfig {
    /// Who may call.
    pub callers: Callers,
}

impl DoorConfig {
    /// The door of a worker that only its own program reaches.
    pub fn local() -> DoorConfig {
        DoorConfig { callers: Callers::Anyone }
    }

    pub(super) fn read(
        args: &DoorArgs,
        listen: SocketAddr,
        problems: &mut Problems,
    ) -> Option<DoorConfig> {
        problems.take(plain_text(args, listen));
        let callers = match &args.callers_file {
            None => Ok(Callers::Anyone),
            Some(file) => {
                Callers::listed(file).map_err(|problem| format!("--callers-file: {problem}"))
            }
        };
        Some(DoorConfig { callers: problems.take(callers)? })
    }
}

/// Credentials come with the calls: they must not cross a network in the open by
/// an oversight.
fn plain_text(args: &DoorArgs, listen: SocketAddr) -> Result<(), String> {
    if listen.ip().is_loopback() || args.insecure {
        return Ok(());
    }
    Err(format!(
        "--listen {listen} would take credentials in plain text from other machines; listen on \
         127.0.0.1, or say --insecure where the network is trusted"
    ))
}
