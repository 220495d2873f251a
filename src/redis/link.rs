//! One connection to Redis, whatever the topology: connecting, and sending one command.

use std::{future::Future, time::Duration};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    RedisConnectionInfo, RedisResult, TlsCertificates, TlsMode, Value,
    aio::{ConnectionLike, MultiplexedConnection, PubSub},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    cmd,
};
use tokio::time::timeout;

use super::{Address, Cause, HostPort, RedisConfig, Topology};

/// A connection that multiplexes commands. Cheap to clone.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// Time limit for connecting to one server.
const DIAL_LIMIT: Duration = Duration::from_secs(1);

/// Maximum number of concurrent commands: enough for a burst.
const COMMANDS_ON_THE_WAY: usize = 4096;

impl Link {
    /// Connects, through the Sentinels if there are any.
    pub(super) async fn dial(config: &RedisConfig) -> Result<Link, Cause> {
        match &config.address.topology {
            Topology::Single(endpoint) => server(config, endpoint).await.map(Link::Server),
            Topology::Sentinel { sentinels, primary } => {
                let (_, connection) = find_primary(config, sentinels, primary).await?;
                Ok(Link::Server(connection))
            }
            Topology::Cluster(endpoints) => cluster(config, endpoints).await.map(Link::Cluster),
        }
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn send(&mut self, command: &Cmd) -> Result<Value, ::redis::RedisError> {
        let answer = match self {
            Link::Server(connection) => connection.req_packed_command(command).await,
            Link::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer?.extract_error()
    }
}

/// Connects for a subscription only.
pub(super) async fn dial_subscriber(config: &RedisConfig) -> Result<PubSub, Cause> {
    let client = match &config.address.topology {
        Topology::Single(endpoint) => client(config, endpoint),
        Topology::Sentinel { sentinels, primary } => {
            let (endpoint, _) = find_primary(config, sentinels, primary).await?;
            client(config, &endpoint)
        }
        // A Cluster forwards published messages to all of its servers.
        Topology::Cluster(endpoints) => {
            return first_of(endpoints, |endpoint| async move {
                in_time(client(config, endpoint)?.get_async_pubsub()).await
            })
            .await;
        }
    };
    in_time(client?.get_async_pubsub()).await
}

async fn server(config: &RedisConfig, endpoint: &HostPort) -> Result<MultiplexedConnection, Cause> {
    let client = client(config, endpoint)?;
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(DIAL_LIMIT))
        // Every command has its own limit.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(COMMANDS_ON_THE_WAY);
    in_time(client.get_multiplexed_async_connection_with_config(&settings)).await
}

/// Asks the Sentinels in turn for the primary, and trusts an answer only if that server
/// confirms its role.
async fn find_primary(
    config: &RedisConfig,
    sentinels: &[HostPort],
    primary: &str,
) -> Result<(HostPort, MultiplexedConnection), Cause> {
    first_of(sentinels, |sentinel| async move {
        let endpoint = ask_sentinel(config, sentinel, primary).await?;
        let mut connection = server(config, &endpoint).await?;
        let role = in_time(cmd("ROLE").query_async::<Vec<Value>>(&mut connection)).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok((endpoint, connection)),
            _ => Err(Cause::NotReady),
        }
    })
    .await
}

async fn ask_sentinel(
    config: &RedisConfig,
    sentinel: &HostPort,
    primary: &str,
) -> Result<HostPort, Cause> {
    let of_sentinels = |credential| RedisConfig {
        address: Address { database: 0, ..config.address.clone() },
        credential,
        ..config.clone()
    };
    let with_password = server(&of_sentinels(config.credential.clone()), sentinel).await;
    let mut connection = match with_password {
        // Sentinels often have no password even if their servers do.
        Err(Cause::Unauthorized) => {
            let mut open = of_sentinels(super::Credential::None);
            open.address.user = None;
            server(&open, sentinel).await?
        }
        connected => connected?,
    };
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(primary);
    let answer: Option<(String, u16)> = in_time(question.query_async(&mut connection)).await?;
    let (host, port) = answer.ok_or(Cause::NoPrimary)?;
    Ok(HostPort { host, port })
}

async fn cluster(config: &RedisConfig, endpoints: &[HostPort]) -> Result<ClusterConnection, Cause> {
    let nodes = endpoints.iter().map(|endpoint| info(config, endpoint));
    let nodes: Vec<ConnectionInfo> = nodes.collect::<RedisResult<_>>().map_err(cause)?;
    let mut builder = ClusterClientBuilder::new(nodes)
        .connection_timeout(DIAL_LIMIT)
        .response_timeout(DIAL_LIMIT)
        .retries(3);
    if config.address.tls {
        builder = builder.tls(TlsMode::Secure);
    }
    if let Some(certificates) = certificates(config) {
        builder = builder.certs(certificates);
    }
    let client = builder.build().map_err(cause)?;
    let connecting = client.get_async_connection();
    timeout(3 * DIAL_LIMIT, connecting).await.map_err(|_| Cause::Late)?.map_err(cause)
}

fn client(config: &RedisConfig, endpoint: &HostPort) -> Result<Client, Cause> {
    let info = info(config, endpoint).map_err(cause)?;
    let client = match certificates(config) {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    };
    client.map_err(cause)
}

fn info(config: &RedisConfig, endpoint: &HostPort) -> RedisResult<ConnectionInfo> {
    let HostPort { host, port } = endpoint.clone();
    let address = if config.address.tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut settings = RedisConnectionInfo::default()
        .set_db(config.address.database)
        // It needs a permission that servers before 7.2 do not know.
        .set_skip_set_lib_name();
    if let Some(user) = &config.address.user {
        settings = settings.set_username(user);
    }
    let settings = config.credential.with_password(|password| match password {
        Some(password) => settings.set_password(password),
        None => settings,
    });
    Ok(address.into_connection_info()?.set_redis_settings(settings))
}

fn certificates(config: &RedisConfig) -> Option<TlsCertificates> {
    let authorities = config.authorities.as_ref().filter(|_| config.address.tls)?;
    Some(TlsCertificates { client_tls: None, root_cert: Some(authorities.to_vec()) })
}

async fn in_time<T>(connecting: impl Future<Output = RedisResult<T>>) -> Result<T, Cause> {
    timeout(DIAL_LIMIT, connecting).await.map_err(|_| Cause::Late)?.map_err(cause)
}

/// Asks the servers in random order and returns the first answer; if all fail, the last
/// failure.
async fn first_of<'a, T, F>(
    endpoints: &'a [HostPort],
    ask: impl Fn(&'a HostPort) -> F,
) -> Result<T, Cause>
where
    F: Future<Output = Result<T, Cause>>,
{
    let mut order: Vec<&HostPort> = endpoints.iter().collect();
    fastrand::shuffle(&mut order);
    let mut failed = Cause::Unreachable;
    for endpoint in order {
        match ask(endpoint).await {
            Ok(answer) => return Ok(answer),
            Err(cause) => failed = cause,
        }
    }
    Err(failed)
}

fn cause(error: ::redis::RedisError) -> Cause {
    Cause::of(&error)
}
