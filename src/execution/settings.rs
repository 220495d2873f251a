//! What the operator has decided about executions.

use std::time::Duration;

use crate::execution::request::Limits;

/// The operator's bounds and defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The worker's name, in `started` and in logs.
    pub worker_id: String,
    /// Deadlines where the caller gives none.
    pub default_deadlines: Deadlines,
    /// No call lasts longer, whatever the caller says.
    pub max_total: Duration,
    /// Calls of the provider for one execution, where the caller does not say
    /// less.
    pub max_attempts: u32,
    /// How long an execution that drains runs on alone.
    pub drain_limit: Duration,
    /// How long without an event until `progress` says that all is well.
    pub progress_interval: Duration,
    /// How long a stored answer lives, unless the caller wants it shorter.
    pub cache_ttl: Duration,
    /// The same for models behind moving names.
    pub alias_cache_ttl: Duration,
    /// A larger recording is not stored, in bytes.
    pub max_recording_bytes: usize,
    /// Whether callers may name their tenant in `context.tenant`.
    pub trust_tenant: bool,
    /// Whether answers may be shared by everybody.
    pub allow_shared_scope: bool,
    /// Longer inputs are refused, in bytes of text.
    pub max_input_bytes: usize,
}

/// The four deadlines of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// To an established connection.
    pub connect: Duration,
    /// From the call to the first output.
    pub first_token: Duration,
    /// Between two pieces of output.
    pub idle: Duration,
    /// The whole call.
    pub total: Duration,
}

impl Settings {
    /// The deadlines of one call. None is beyond `max_total`, which also keeps
    /// every instant that is counted from them within what a clock can tell.
    pub fn deadlines(&self, limits: &Limits) -> Deadlines {
        let Deadlines { connect, first_token, idle, total } = self.default_deadlines;
        let bounded =
            |given: Option<Duration>, usual: Duration| given.unwrap_or(usual).min(self.max_total);
        Deadlines {
            connect: bounded(limits.connect, connect),
            first_token: bounded(limits.first_token, first_token),
            idle: bounded(limits.idle, idle),
            total: bounded(limits.total, total),
        }
    }

    /// The calls of the provider that one execution may take.
    pub fn attempts(&self, limits: &Limits) -> u32 {
        limits.max_attempts.unwrap_or(self.max_attempts).clamp(1, self.max_attempts)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            worker_id: "sparkler".to_owned(),
            default_deadlines: Deadlines {
                connect: Duration::from_secs(10),
                first_token: Duration::from_secs(600),
                idle: Duration::from_secs(120),
                total: Duration::from_secs(1800),
            },
            max_total: Duration::from_secs(3600),
            max_attempts: 3,
            drain_limit: Duration::from_secs(600),
            progress_interval: Duration::from_secs(15),
            cache_ttl: Duration::from_secs(3600),
            alias_cache_ttl: Duration::from_secs(300),
            max_recording_bytes: 4 << 20,
            trust_tenant: false,
            allow_shared_scope: false,
            max_input_bytes: 16 << 20,
        }
    }
}
