//! The fleet settings: the Redis that the workers share, and the secret that seals
//! what they store there.

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, value_parser};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use secrecy::SecretString;

use super::{ConfigProblems, cache_secret, duration::duration};
use crate::{
    cache::key::CacheSecret,
    files,
    redis::{Address, Credential, RedisConfig},
};

/// The fleet arguments.
#[derive(Debug, Clone, Args)]
pub struct FleetArgs {
    /// The Redis or Valkey that the workers of a fleet share: `redis://HOST:PORT`,
    /// `redis+sentinel://HOST,HOST/PRIMARY` or `redis+cluster://HOST,HOST`, with
    /// `rediss` for TLS and `USER@` before the hosts for an ACL user. Needs
    /// --cache-secret-file. Without it each worker stands alone.
    #[arg(long, env = "SPARKLER_REDIS_URL", value_name = "URL")]
    pub redis_url: Option<String>,

    /// A file with the password of Redis, read again for each connection;
    /// alternatively set SPARKLER_REDIS_PASSWORD.
    #[arg(long, env = "SPARKLER_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,

    /// The CAs (PEM) that sign the certificate of Redis; by default the system's.
    #[arg(long, env = "SPARKLER_REDIS_CA_FILE", value_name = "FILE")]
    pub redis_ca_file: Option<PathBuf>,

    /// The time limit for Redis to answer before the worker continues without it.
    #[arg(
        long,
        env = "SPARKLER_REDIS_TIMEOUT",
        default_value = "40ms",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub redis_timeout: Duration,

    /// The time that the worker leading an execution for the fleet may be silent
    /// before another takes over.
    #[arg(
        long,
        env = "SPARKLER_FLEET_LEASE",
        default_value = "5s",
        value_parser = duration,
        value_name = "DURATION"
    )]
    pub fleet_lease: Duration,

    /// A file with a previous or future secret of --cache-secret-file: data that
    /// other workers have sealed with it can be read, and tokens that they have
    /// issued are accepted. May be repeated.
    #[arg(
        long,
        env = "SPARKLER_ADDITIONAL_CACHE_SECRET_FILES",
        value_delimiter = ',',
        value_parser = value_parser!(PathBuf),
        value_name = "FILE"
    )]
    pub additional_cache_secret_file: Vec<PathBuf>,
}

/// The validated fleet settings.
#[derive(Debug, Clone)]
pub struct FleetSettings {
    /// The connection to Redis.
    pub redis: RedisConfig,
    /// The time that a flight's leader may be silent before another takes over.
    pub lease: Duration,
    /// Further secrets under which other workers may have sealed data and issued
    /// tokens.
    pub other_secrets: Vec<CacheSecret>,
}

impl FleetSettings {
    /// A worker that is merely busy would lose a shorter lease.
    const SHORTEST_LEASE: Duration = Duration::from_millis(500);

    /// Validates the fleet settings; `None` without a Redis URL. The password may
    /// come from `environment`.
    pub(super) fn read(
        args: &FleetArgs,
        has_cache_secret: bool,
        environment: &dyn Fn(&str) -> Option<String>,
        problems: &mut ConfigProblems,
    ) -> Option<FleetSettings> {
        let other_secrets = args
            .additional_cache_secret_file
            .iter()
            .filter_map(|file| {
                problems.take(cache_secret("--additional-cache-secret-file", Some(file)))
            })
            .collect();
        let url = args.redis_url.as_deref()?;
        problems.take(secret_is_there(has_cache_secret));
        problems.take(times(args));
        let address = url.parse().map_err(|problem| format!("--redis-url {problem}"));
        let address: Option<Address> = problems.take(address);
        let authorities = problems.take(authorities(args, address.as_ref()));
        let credential = problems.take(credential(args, environment));
        Some(FleetSettings {
            redis: RedisConfig {
                address: address?,
                credential: credential?,
                authorities: authorities?,
                timeout: args.redis_timeout,
            },
            lease: args.fleet_lease,
            other_secrets,
        })
    }
}

/// Requires a shared secret: with random ones, no worker could find or read what
/// another has stored.
fn secret_is_there(has_cache_secret: bool) -> Result<(), String> {
    if has_cache_secret {
        return Ok(());
    }
    Err("--redis-url needs --cache-secret-file, the same for all workers: answers are kept in \
         Redis under keys made from that secret and sealed with it, so that reading Redis reveals no \
         answers"
        .to_owned())
}

fn times(args: &FleetArgs) -> Result<(), String> {
    if args.fleet_lease < FleetSettings::SHORTEST_LEASE {
        return Err(format!(
            "--fleet-lease must be at least {}",
            humantime::format_duration(FleetSettings::SHORTEST_LEASE)
        ));
    }
    Ok(())
}

fn authorities(args: &FleetArgs, address: Option<&Address>) -> Result<Option<Arc<[u8]>>, String> {
    let Some(file) = &args.redis_ca_file else {
        return Ok(None);
    };
    let problem = |why: &str| format!("--redis-ca-file {} {why}", file.display());
    if address.is_some_and(|address| !address.tls) {
        return Err(problem("is of no use: --redis-url begins with redis, which is without TLS"));
    }
    let pem = files::read(file).map_err(|error| problem(&format!("cannot be read: {error}")))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect();
    if certificates.is_empty() || certificates.iter().any(Result::is_err) {
        return Err(problem("holds no certificates in PEM"));
    }
    Ok(Some(pem.as_slice().into()))
}

fn credential(
    args: &FleetArgs,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Credential, String> {
    let password = environment("SPARKLER_REDIS_PASSWORD").filter(|password| !password.is_empty());
    match (&args.redis_password_file, password) {
        (Some(_), Some(_)) => {
            Err("--redis-password-file and SPARKLER_REDIS_PASSWORD are both given: which one \
                 counts?"
                .to_owned())
        }
        (Some(file), None) => match files::read(file) {
            Ok(_) => Ok(Credential::File(file.clone())),
            Err(error) => {
                Err(format!("--redis-password-file {} cannot be read: {error}", file.display()))
            }
        },
        (None, Some(password)) => Ok(Credential::Password(SecretString::from(password))),
        (None, None) => Ok(Credential::None),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct FleetCommand {
        #[command(flatten)]
        args: FleetArgs,
    }

    fn read(
        args: &[&str],
        secret: bool,
        password: Option<&str>,
    ) -> (Option<FleetSettings>, String) {
        let args = ["sparkler"].iter().chain(args);
        let args = FleetCommand::try_parse_from(args).expect("they parse").args;
        let environment =
            |name: &str| password.filter(|_| name == "SPARKLER_REDIS_PASSWORD").map(str::to_owned);
        let mut problems = ConfigProblems::default();
        let fleet = FleetSettings::read(&args, secret, &environment, &mut problems);
        (fleet, problems.found.join("; "))
    }

    #[test]
    fn without_a_url_there_is_no_fleet() {
        let (fleet, problems) = read(&[], false, None);
        assert!(fleet.is_none() && problems.is_empty());
    }

    #[test]
    fn redis_is_refused_without_the_operators_secret_and_says_why() {
        let (_, problems) = read(&["--redis-url=redis://a"], false, None);
        assert!(problems.contains("--cache-secret-file"), "{problems}");
        assert!(problems.contains("reveals no answers"), "{problems}");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let (fleet, problems) = read(
            &[
                "--redis-url=redis://:canary@a",
                "--redis-ca-file=/dev/null",
                "--redis-password-file=/nonexistent",
                "--fleet-lease=1ms",
                "--additional-cache-secret-file=/dev/null",
            ],
            false,
            None,
        );
        assert!(fleet.is_none());
        for word in [
            "--redis-url must not hold a password",
            "--redis-ca-file",
            "--redis-password-file",
            "--fleet-lease",
            "--additional-cache-secret-file",
            "--cache-secret-file",
        ] {
            assert!(problems.contains(word), "{word} is missing in: {problems}");
        }
        assert!(!problems.contains("canary"), "{problems}");
    }

    #[test]
    fn the_password_comes_from_the_environment_and_is_not_printed() {
        let (fleet, problems) = read(&["--redis-url=redis://a"], true, Some("canary"));
        assert_eq!(problems, "");
        let fleet = fleet.expect("a fleet");
        assert!(matches!(fleet.redis.credential, Credential::Password(_)));
        assert!(!format!("{fleet:?}").contains("canary"));
    }

    #[test]
    fn two_passwords_are_one_too_many() {
        let args = ["--redis-url=redis://a", "--redis-password-file=/dev/null"];
        let (_, problems) = read(&args, true, Some("canary"));
        assert!(problems.contains("both"), "{problems}");
    }
}
