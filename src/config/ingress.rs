//! The ingress settings: authentication, TLS and the limits of connections.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, builder::BoolishValueParser};

use super::{
    ConfigProblems,
    duration::{duration, duration_or_none},
    more_than_zero,
};
use crate::{
    callers::Callers,
    tls::{Tls, TlsFiles},
};

/// The ingress arguments.
#[derive(Debug, Clone, Args)]
pub struct IngressArgs {
    /// The worker's certificate (PEM), followed by its intermediates. Calls are
    /// then accepted over TLS only. Reloaded when it changes.
    #[arg(long, env = "SPARKLER_TLS_CERT_FILE", value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// The certificate's private key (PEM).
    #[arg(long, env = "SPARKLER_TLS_KEY_FILE", value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,

    /// The CAs (PEM) that must have signed callers' certificates.
    #[arg(long, env = "SPARKLER_TLS_CLIENT_CA_FILE", value_name = "FILE")]
    pub tls_client_ca_file: Option<PathBuf>,

    /// The address of a plain-text listener that serves only health, for probes,
    /// which have no certificate.
    #[arg(long, env = "SPARKLER_HEALTH_LISTEN", value_name = "ADDR")]
    pub health_listen: Option<SocketAddr>,

    /// The maximum age of a connection, give or take a tenth, after which its
    /// caller is asked to reconnect, so that new workers get their share; 0s sets
    /// no limit.
    #[arg(
        long,
        env = "SPARKLER_MAX_CONNECTION_AGE",
        default_value = "30m",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub max_connection_age: Duration,

    /// The time that the calls of such a connection then have to finish; by default
    /// as long as any call may last; 0s ends them at once.
    #[arg(
        long,
        env = "SPARKLER_MAX_CONNECTION_AGE_GRACE",
        value_parser = duration_or_none,
        value_name = "DURATION"
    )]
    pub max_connection_age_grace: Option<Duration>,

    /// The time limit for a request to arrive in full.
    #[arg(
        long,
        env = "SPARKLER_REQUEST_TIMEOUT",
        default_value = "10s",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub request_timeout: Duration,

    /// Concurrent calls per connection. A client with more waits or opens another.
    #[arg(
        long,
        env = "SPARKLER_MAX_STREAMS_PER_CONNECTION",
        default_value_t = 1000,
        value_name = "N"
    )]
    pub max_streams_per_connection: u32,

    /// A JSON file of the callers allowed: for each its tokens or certificate
    /// names, its tenant and its mounted credentials. Reloaded when it changes.
    /// Without it, anyone who reaches the port may call, with a certificate if one
    /// is required.
    #[arg(long, env = "SPARKLER_CALLERS_FILE", value_name = "FILE")]
    pub callers_file: Option<PathBuf>,

    /// Accept plain-text calls from other machines: for a trusted network, or
    /// behind a mesh with its own TLS.
    #[arg(long, env = "SPARKLER_INSECURE", value_parser = BoolishValueParser::new())]
    pub insecure: bool,
}

/// The validated ingress settings.
#[derive(Debug, Clone)]
pub struct IngressConfig {
    /// The callers allowed.
    pub callers: Callers,
    /// The TLS configuration; `None` is plain text.
    pub tls: Option<Tls>,
    /// The address of the health-only listener.
    pub health_listen: Option<SocketAddr>,
    /// The maximum age of connections; `None` is unlimited.
    pub age: Option<ConnectionAge>,
    /// The time limit for a request to arrive in full.
    pub request_timeout: Duration,
    /// The concurrent calls per connection.
    pub streams_per_connection: u32,
}

/// The maximum age of a connection.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionAge {
    /// The age at which the caller is asked to reconnect.
    pub limit: Duration,
    /// The time that open calls then have to finish.
    pub grace: Duration,
}

impl IngressConfig {
    /// Returns the settings of a worker that only its own program can reach.
    pub fn local() -> IngressConfig {
        IngressConfig {
            callers: Callers::Anyone,
            tls: None,
            health_listen: None,
            age: None,
            request_timeout: Duration::from_secs(10),
            streams_per_connection: 1000,
        }
    }

    /// Validates the ingress settings. `longest_call` bounds the duration of any
    /// call.
    pub(super) fn read(
        args: &IngressArgs,
        listen: SocketAddr,
        longest_call: Duration,
        problems: &mut ConfigProblems,
    ) -> Option<IngressConfig> {
        problems.take(plain_text(args, listen));
        problems.take(positive(args));
        let tls = problems.take(tls(args));
        let callers = problems.take(callers(args));
        let age = ConnectionAge {
            limit: jittered(args.max_connection_age),
            grace: args.max_connection_age_grace.unwrap_or(longest_call),
        };
        Some(IngressConfig {
            callers: callers?,
            tls: tls?,
            health_listen: args.health_listen,
            age: (!age.limit.is_zero()).then_some(age),
            request_timeout: args.request_timeout,
            streams_per_connection: args.max_streams_per_connection,
        })
    }
}

/// Varies the age by a tenth either way, so that workers that started together do
/// not lose all their connections at once.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(0.9 + 0.2 * fastrand::f64())
}

fn callers(args: &IngressArgs) -> Result<Callers, String> {
    match (&args.callers_file, &args.tls_client_ca_file) {
        (Some(file), _) => {
            Callers::listed(file).map_err(|problem| format!("--callers-file: {problem}"))
        }
        (None, Some(_)) => Ok(Callers::Certified),
        (None, None) => Ok(Callers::Anyone),
    }
}

fn tls(args: &IngressArgs) -> Result<Option<Tls>, String> {
    let (certificate, key) = match (&args.tls_cert_file, &args.tls_key_file) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) if args.tls_client_ca_file.is_none() => return Ok(None),
        (None, None) => {
            return Err("--tls-client-ca-file needs --tls-cert-file and --tls-key-file".to_owned());
        }
        _ => return Err("--tls-cert-file and --tls-key-file go together".to_owned()),
    };
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_authorities: args.tls_client_ca_file.clone(),
    };
    Tls::read(files).map(Some).map_err(|problem| format!("--tls-cert-file: {problem}"))
}

fn positive(args: &IngressArgs) -> Result<(), String> {
    more_than_zero(&[("--max-streams-per-connection", args.max_streams_per_connection == 0)])
}

/// Refuses plain text beyond loopback unless requested: calls carry credentials,
/// which must not cross a network in the clear by mistake.
fn plain_text(args: &IngressArgs, listen: SocketAddr) -> Result<(), String> {
    if listen.ip().is_loopback() || args.insecure || args.tls_cert_file.is_some() {
        return Ok(());
    }
    Err(format!(
        "--listen {listen} would take credentials in plain text from other machines; give \
         --tls-cert-file and --tls-key-file, listen on 127.0.0.1, or say --insecure where the network is trusted"
    ))
}
