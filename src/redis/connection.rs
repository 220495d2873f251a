//! What the users of Redis hold: scripts and look-ups with a time limit, and the
//! worker's mailbox.

use std::{fmt, sync::Arc, time::Duration};

use ::redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, cmd};
use tokio::time::{Instant, timeout};

use super::{
    Cause, NotificationChannel, RedisConfig, Script, Topology, Unavailable,
    supervisor::{LinkState, Open},
};
use crate::{
    lifecycle::Lifecycle,
    metrics::{Command, Metrics},
};

/// The connection with Redis, for a worker's whole life. Cheap to clone; all
/// clones are one.
#[derive(Clone)]
pub struct Connection {
    state: Arc<LinkState>,
    notifications: NotificationChannel,
    instance: Arc<str>,
}

impl Connection {
    /// More than this is not sent: it would hold everybody else up, since a
    /// server does one thing at a time.
    pub const MAX_VALUE_BYTES: usize = 1 << 20;

    /// What is sent beside this may take its own time.
    const BYTES_PER_MILLISECOND: usize = 16 << 10;

    /// Begins to connect, and returns at once: whether there is a server decides
    /// nothing but whether it is used.
    pub fn open(config: RedisConfig, lifecycle: &Lifecycle, metrics: &Metrics) -> Connection {
        let instance = instance();
        let notifications = NotificationChannel::new(&instance);
        let state = Arc::new(LinkState::new(config.clone(), metrics.clone()));
        lifecycle.spawn(notifications.clone().keep(config, state.reconnects()));
        let kept = state.clone();
        lifecycle.spawn(async move { kept.keep().await });
        Connection { state, notifications, instance: instance.into() }
    }

    /// Names this worker's run among all: 128 random bits in hexadecimal.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The worker's mailbox.
    pub fn notifications(&self) -> &NotificationChannel {
        &self.notifications
    }

    /// Whether the server would be asked now.
    pub fn is_reachable(&self) -> bool {
        self.state.open().is_some()
    }

    /// Resolves when the server would be asked. Cancel safe.
    pub async fn reachable(&self) {
        // The sender is in `self`, so waiting cannot fail.
        let _ = self.state.is_open().wait_for(Option::is_some).await;
    }

    /// Whether one script may use the keys of several hash tags: not in a Cluster.
    pub fn is_one_server(&self) -> bool {
        !matches!(self.state.config.address.topology, Topology::Cluster(_))
    }

    /// Runs a script. All keys carry one hash tag, unless there is
    /// [one server](Connection::is_one_server). Dropped, or out of time, it may
    /// still have its effect.
    pub async fn script(
        &self,
        script: &'static Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<Value, Unavailable> {
        let place = keys.first().copied().unwrap_or_default();
        let bytes = arguments.iter().map(|argument| argument.len()).sum();
        self.within_limit(script.name(), place, bytes, async |mut state: Open| {
            match state.link.send(&script.by_hash(keys, arguments)).await {
                Err(error) if is_unknown_script(&error) => {
                    state.link.send(&script.by_text(keys, arguments)).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// The value under a key.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unavailable> {
        let mut get = cmd("GET");
        get.arg(key);
        match self.command("get", key, 0, &get).await? {
            Value::BulkString(bytes) => Ok(Some(bytes)),
            Value::Nil => Ok(None),
            _ => Err(Cause::Unforeseen.into()),
        }
    }

    /// Keeps a value under a key for a while.
    pub async fn set(
        &self,
        key: &[u8],
        value: &[u8],
        time_to_live: Duration,
    ) -> Result<(), Unavailable> {
        let mut set = cmd("SET");
        set.arg(key).arg(value).arg("PX").arg(time_to_live.as_millis().max(1) as u64);
        self.command("set", key, value.len(), &set).await.map(drop)
    }

    async fn command(
        &self,
        operation: &'static str,
        key: &[u8],
        bytes: usize,
        command: &Cmd,
    ) -> Result<Value, Unavailable> {
        let send = async |mut state: Open| state.link.send(command).await;
        self.within_limit(operation, key, bytes, send).await
    }

    async fn within_limit(
        &self,
        operation: &'static str,
        key: &[u8],
        bytes: usize,
        ask: impl AsyncFnOnce(Open) -> Result<Value, RedisError>,
    ) -> Result<Value, Unavailable> {
        let began = Instant::now();
        let answer = self.ask_within_limit(key, bytes, ask).await;
        self.state.metrics.redis_command(operation, word(&answer), began.elapsed());
        answer
    }

    async fn ask_within_limit(
        &self,
        key: &[u8],
        bytes: usize,
        ask: impl AsyncFnOnce(Open) -> Result<Value, RedisError>,
    ) -> Result<Value, Unavailable> {
        if bytes > Connection::MAX_VALUE_BYTES {
            return Err(Cause::TooLarge.into());
        }
        let state = self.state.open().ok_or(Cause::NotAsked)?;
        let answer = match timeout(self.limit(bytes), ask(state.clone())).await {
            Ok(answer) => answer.map_err(|error| Cause::of(&error)),
            Err(_) => Err(Cause::Late),
        };
        answer.map_err(|cause| self.failed(&state, key, cause))
    }

    fn failed(&self, state: &Open, key: &[u8], cause: Cause) -> Unavailable {
        self.state.failed(cause);
        if cause.is_lasting() {
            self.state.close(state, key);
        }
        cause.into()
    }

    fn limit(&self, bytes: usize) -> Duration {
        let more = bytes / Connection::BYTES_PER_MILLISECOND;
        self.state.config.timeout + Duration::from_millis(more as u64)
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

fn word(answer: &Result<Value, Unavailable>) -> Command {
    match answer {
        Ok(_) => Command::Ok,
        Err(Unavailable(Cause::NotAsked | Cause::TooLarge)) => Command::Refused,
        Err(Unavailable(Cause::Late)) => Command::Timeout,
        Err(_) => Command::Failed,
    }
}

fn instance() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    format!("{:032x}", u128::from_be_bytes(bytes))
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connection")
            .field("address", &self.state.config.address)
            .field("reachable", &self.is_reachable())
            .finish_non_exhaustive()
    }
}
