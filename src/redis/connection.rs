//! The handle to Redis: scripts and lookups with a time limit, and the worker's
//! notification channel.

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

/// A connection to Redis for the worker's whole life. Cheap to clone; clones share one
/// state.
#[derive(Clone)]
pub struct Connection {
    state: Arc<LinkState>,
    notifications: NotificationChannel,
    instance: Arc<str>,
}

impl Connection {
    /// Maximum size of a command's values, in bytes: a larger one would delay every other
    /// command, since a server runs one at a time.
    pub const MAX_VALUE_BYTES: usize = 1 << 20;

    /// The transfer rate assumed when a command's time limit is extended for its size.
    const BYTES_PER_MILLISECOND: usize = 16 << 10;

    /// Starts to connect in the background and returns at once: an absent server never
    /// prevents the worker from starting.
    pub fn open(config: RedisConfig, lifecycle: &Lifecycle, metrics: &Metrics) -> Connection {
        let instance = instance();
        let notifications = NotificationChannel::new(&instance);
        let state = Arc::new(LinkState::new(config.clone(), metrics.clone()));
        lifecycle.spawn(notifications.clone().keep(config, state.reconnects()));
        let kept = state.clone();
        lifecycle.spawn(async move { kept.keep().await });
        Connection { state, notifications, instance: instance.into() }
    }

    /// Returns the name of this run of the worker: 128 random bits in hexadecimal.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Returns the worker's notification channel.
    pub fn notifications(&self) -> &NotificationChannel {
        &self.notifications
    }

    /// Returns true if a command would be sent now.
    pub fn is_reachable(&self) -> bool {
        self.state.open().is_some()
    }

    /// Resolves when a command would be sent. Cancel safe.
    pub async fn reachable(&self) {
        // The sender is in `self`, so waiting cannot fail.
        let _ = self.state.is_open().wait_for(Option::is_some).await;
    }

    /// Returns true if a script may use keys with several hash tags: not in a Cluster.
    pub fn is_one_server(&self) -> bool {
        !matches!(self.state.config.address.topology, Topology::Cluster(_))
    }

    /// Runs a script. All keys must share one hash tag, unless there is [one
    /// server](Connection::is_one_server). If dropped or timed out, it may still take
    /// effect.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if there was no answer, or an error.
    pub async fn script(
        &self,
        script: &'static Script,
        keys: &[&[u8]],
        arguments: &[&[u8]],
    ) -> Result<Value, Unavailable> {
        let place = keys.first().copied().unwrap_or_default();
        let bytes = arguments.iter().map(|argument| argument.len()).sum();
        self.within_limit(script.name(), place, bytes, async |mut open: Open| {
            match open.link.send(&script.by_hash(keys, arguments)).await {
                Err(error) if is_unknown_script(&error) => {
                    open.link.send(&script.by_text(keys, arguments)).await
                }
                answer => answer,
            }
        })
        .await
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if there was no answer, or an error.
    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Unavailable> {
        let mut get = cmd("GET");
        get.arg(key);
        match self.command("get", key, 0, &get).await? {
            Value::BulkString(bytes) => Ok(Some(bytes)),
            Value::Nil => Ok(None),
            _ => Err(Cause::Unforeseen.into()),
        }
    }

    /// Sets the value of a key, which expires after `time_to_live`.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] if there was no answer, or an error.
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
        let send = async |mut open: Open| open.link.send(command).await;
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
        let open = self.state.open().ok_or(Cause::NotAsked)?;
        let answer = match timeout(self.limit(bytes), ask(open.clone())).await {
            Ok(answer) => answer.map_err(|error| Cause::of(&error)),
            Err(_) => Err(Cause::Late),
        };
        answer.map_err(|cause| self.failed(&open, key, cause))
    }

    fn failed(&self, open: &Open, key: &[u8], cause: Cause) -> Unavailable {
        self.state.failed(cause);
        if cause.is_lasting() {
            self.state.close(open, key);
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
