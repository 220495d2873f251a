//! The operator's settings for executions.

use std::time::Duration;

use crate::{execution::request::Limits, flight::SubscribeOptions};

/// The operator's bounds and defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The worker's name, in `started` and in logs.
    pub worker_id: String,
    /// Deadlines used if the caller gives none.
    pub default_deadlines: Deadlines,
    /// Upper bound of every deadline, whatever the caller requests.
    pub max_total: Duration,
    /// Provider requests per execution; a caller may only lower it.
    pub max_attempts: u32,
    /// Longest time an execution in drain mode continues without subscribers.
    pub drain_limit: Duration,
    /// Silence after which a `progress` event is sent.
    pub progress_interval: Duration,
    /// Lifetime of a stored answer; a caller may only shorten it.
    pub cache_ttl: Duration,
    /// The same for model aliases, whose target may change.
    pub alias_cache_ttl: Duration,
    /// Size above which a recording is not stored, in bytes.
    pub max_recording_bytes: usize,
    /// Set if callers may name their tenant in `context.tenant`.
    pub trust_tenant: bool,
    /// Set if answers may be shared by everyone.
    pub allow_shared_scope: bool,
    /// Maximum size of a whole request, in bytes.
    pub max_input_bytes: usize,
    /// The providers to whose prompt caches requests name their conversation and tenant.
    pub prefix_affinity: PrefixAffinity,
    /// Longest time that texts to embed wait for those of other executions; zero gathers
    /// none.
    pub embeddings_gather_window: Duration,
}

/// The providers whose requests carry the names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PrefixAffinity {
    /// If the provider is Fireworks itself.
    #[default]
    Auto,
    /// To any provider.
    On,
    /// Never.
    Off,
}

/// The four deadlines of an execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// From the start of an attempt to an established connection.
    pub connect: Duration,
    /// From the call to the first output.
    pub first_token: Duration,
    /// Between two pieces of output.
    pub idle: Duration,
    /// The whole call.
    pub total: Duration,
}

impl Settings {
    /// An idle deadline below this would notice that output is read in batches.
    const SHORT_IDLE: Duration = Duration::from_secs(2);

    /// Returns the deadlines of one call. None exceeds `max_total`, which also
    /// keeps instants computed from them within the clock's range.
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

    /// Returns true if so short an idle deadline is set that output must be read as soon
    /// as it arrives.
    fn is_prompt(&self, limits: &Limits) -> bool {
        self.deadlines(limits).idle < Settings::SHORT_IDLE
    }

    /// Returns the delivery options of a subscriber.
    pub(super) fn subscribe_options(&self, deltas: bool, limits: &Limits) -> SubscribeOptions {
        SubscribeOptions {
            deltas,
            prompt: self.is_prompt(limits),
            allows_restart: limits.allow_restart,
            drains: limits.drain,
        }
    }

    /// Returns the number of provider requests one execution may make.
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
            prefix_affinity: PrefixAffinity::default(),
            embeddings_gather_window: Duration::ZERO,
        }
    }
}
