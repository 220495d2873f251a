//! The address of Redis as the operator writes it, and the settings to connect.
//!
//! ```text
//! redis://[user@]host[:6379][/database]
//! redis+sentinel://[user@]host[:26379],host…/primary-name[/database]
//! redis+cluster://[user@]host[:6379],host…
//! ```
//!
//! With `rediss` in place of `redis`, every connection uses TLS. A URL never holds the
//! password: that comes from a file, read for each connection, or from the environment.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::files;

/// Maximum size of a password file, in bytes.
const MOST_PASSWORD_BYTES: u64 = 64 << 10;

/// Settings of the connection to Redis.
#[derive(Debug, Clone)]
pub struct RedisConfig {
    /// The address.
    pub address: Address,
    /// The worker's password, if any.
    pub credential: Credential,
    /// The CAs that may sign the server's certificate, in PEM; `None` for the system's.
    pub authorities: Option<Arc<[u8]>>,
    /// Time limit of a command. Large values are given more, in proportion to their size.
    pub timeout: Duration,
}

/// The address of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The servers and their arrangement.
    pub topology: Topology,
    /// True if every connection uses TLS.
    pub tls: bool,
    /// The ACL user; `None` for the server's default user.
    pub user: Option<String>,
    /// The number of the database; always 0 in a Cluster.
    pub database: i64,
}

/// The arrangement of the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single(HostPort),
    /// A primary that may change, found through Sentinels.
    Sentinel {
        /// The Sentinels.
        sentinels: Vec<HostPort>,
        /// The primary's name in the Sentinels' configuration.
        primary: String,
    },
    /// A Cluster, given by at least one of its servers.
    Cluster(Vec<HostPort>),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A host name or IP address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The source of the password.
#[derive(Debug, Clone)]
pub enum Credential {
    /// No password.
    None,
    /// A file with the password, read again for each connection so that the password can
    /// be changed while the worker runs.
    File(PathBuf),
    /// A password.
    Password(SecretString),
}

impl Credential {
    /// Returns the password, if there is one and it can be read now.
    pub(super) fn password(&self) -> Option<SecretString> {
        match self {
            Credential::None => None,
            Credential::Password(password) => Some(password.clone()),
            Credential::File(path) => {
                let bytes = files::read_small(path, path, MOST_PASSWORD_BYTES).ok()?;
                let text = std::str::from_utf8(&bytes).ok()?;
                Some(SecretString::from(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }
    }

    /// Calls `then` with the password's text.
    pub(super) fn with_password<T>(&self, then: impl FnOnce(Option<&str>) -> T) -> T {
        let password = self.password();
        then(password.as_ref().map(ExposeSecret::expose_secret))
    }
}

impl FromStr for Address {
    type Err = String;

    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// The problem, as a sentence without its subject.
    fn from_str(text: &str) -> Result<Address, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(bad_scheme)?;
        let (tls, form) = match scheme.split_once('+').unwrap_or((scheme, "")) {
            ("redis", form) => (false, form),
            ("rediss", form) => (true, form),
            _ => return Err(bad_scheme()),
        };
        if rest.contains(['?', '#']) {
            return Err("must not have a query or a fragment".to_owned());
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (user_of(user)?, hosts),
            None => (None, authority),
        };
        let mut path = path.split('/').filter(|part| !part.is_empty());
        let topology = match form {
            "" => Topology::Single(only(endpoints(hosts, 6379)?)?),
            "cluster" => Topology::Cluster(endpoints(hosts, 6379)?),
            "sentinel" => Topology::Sentinel {
                sentinels: endpoints(hosts, 26379)?,
                primary: path.next().ok_or_else(no_primary_name)?.to_owned(),
            },
            _ => return Err(bad_scheme()),
        };
        let database = path.next().map_or(Ok(0), database)?;
        if path.next().is_some() || database != 0 && matches!(topology, Topology::Cluster(_)) {
            return Err("has a path that means nothing for these servers".to_owned());
        }
        Ok(Address { topology, tls, user, database })
    }
}

fn bad_scheme() -> String {
    "must begin with redis://, redis+sentinel:// or redis+cluster:// (rediss for TLS)".to_owned()
}

fn no_primary_name() -> String {
    "must end with the name that the Sentinels give the primary, such as /mymaster".to_owned()
}

fn user_of(text: &str) -> Result<Option<String>, String> {
    if text.contains(':') {
        return Err("must not hold a password: use --redis-password-file, or \
                    SPARKLER_REDIS_PASSWORD in the environment"
            .to_owned());
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn database(text: &str) -> Result<i64, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= 0)
        .ok_or_else(|| "has a path that is not the number of a database, such as /0".to_owned())
}

fn only(endpoints: Vec<HostPort>) -> Result<HostPort, String> {
    match <[HostPort; 1]>::try_from(endpoints) {
        Ok([endpoint]) => Ok(endpoint),
        Err(_) => {
            Err("names several servers: use redis+sentinel:// or redis+cluster://".to_owned())
        }
    }
}

fn endpoints(hosts: &str, default_port: u16) -> Result<Vec<HostPort>, String> {
    hosts.split(',').map(|host| endpoint(host, default_port)).collect()
}

fn endpoint(text: &str, default_port: u16) -> Result<HostPort, String> {
    let problem = || "has a host that is not one, such as redis.example:6379".to_owned();
    // Parsed under a scheme for which the `url` crate has no special rules.
    let url = Url::parse(&format!("redis://{text}")).map_err(|_| problem())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(problem)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok(HostPort { host, port: url.port().unwrap_or(default_port) })
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(formatter, "[{}]:{}", self.host, self.port);
        }
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> HostPort {
        HostPort { host: host.to_owned(), port }
    }

    #[test]
    fn every_form_names_its_servers() {
        let address = |text: &str| text.parse::<Address>().expect(text);
        assert_eq!(
            address("redis://cache"),
            Address {
                topology: Topology::Single(at("cache", 6379)),
                tls: false,
                user: None,
                database: 0
            }
        );
        let single = address("rediss://sparkler@[::1]:7000/2");
        assert_eq!(single.topology, Topology::Single(at("::1", 7000)));
        assert_eq!(
            (single.tls, single.user.as_deref(), single.database),
            (true, Some("sparkler"), 2)
        );
        let sentinel = address("redis+sentinel://a,b:1/mymaster/3");
        let sentinels = vec![at("a", 26379), at("b", 1)];
        let primary = "mymaster".to_owned();
        assert_eq!(sentinel.topology, Topology::Sentinel { sentinels, primary });
        assert_eq!(sentinel.database, 3);
        let cluster = address("rediss+cluster://a:1,b:2/");
        assert_eq!(cluster.topology, Topology::Cluster(vec![at("a", 1), at("b", 2)]));
    }

    #[test]
    fn invalid_urls_are_refused_and_passwords_not_repeated() {
        for text in [
            "cache:6379",
            "http://cache",
            "redis+ring://cache",
            "redis://",
            "redis://a,b",
            "redis://a:port",
            "redis://a/b",
            "redis://a/-1",
            "redis://a/0/0",
            "redis://a?db=1",
            "redis+sentinel://a",
            "redis+cluster://a/1",
            "redis://:canary@a",
            "redis://user:canary@a",
        ] {
            let problem = text.parse::<Address>().expect_err(text);
            assert!(!problem.contains("canary"), "{problem}");
        }
    }
}
