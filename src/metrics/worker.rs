//! What the worker tells of itself: its calls, its places, its Redis, its end.

use std::{sync::Arc, time::Duration};

use opentelemetry::KeyValue;

use super::{Command, Cooldown, Handshake, Limit, Metrics, Signal};
use crate::telemetry::names::{otel, sparkler};

/// What the worker's memory is divided into, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct MemoryShares {
    /// For cached answers.
    pub cache: u64,
    /// For finished executions that can be attached to.
    pub retention: u64,
    /// For executions under way.
    pub executions: u64,
}

impl Metrics {
    /// A call's stream has ended. `method` is the full name of one that is
    /// served, or `_OTHER`; `status` is the name of a gRPC status.
    pub fn rpc_ended(&self, method: &'static str, status: &'static str, took: Duration) {
        let attributes = [
            KeyValue::new(otel::RPC_SYSTEM, "grpc"),
            KeyValue::new(otel::RPC_METHOD, method),
            KeyValue::new(otel::RPC_STATUS, status),
        ];
        self.instruments().rpc_call_duration.record(took.as_secs_f64(), &attributes);
    }

    /// `limit`, `taken` and `queued` tell how many places there are, how many are
    /// taken, and how many calls wait for one.
    pub fn watch_admission(
        &self,
        limit: impl Fn() -> u64 + Send + Sync + 'static,
        taken: impl Fn() -> u64 + Send + Sync + 'static,
        queued: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let instruments = self.instruments();
        let (taken, queued) = (Arc::new(taken), Arc::new(queued));
        let (held, waiting) = (taken.clone(), queued.clone());
        instruments.executions_wanted.with(move || held() + waiting());
        instruments.admission_limit.with(limit);
        instruments.admission_taken.with(move || taken());
        instruments.admission_queued.with(move || queued());
    }

    /// `charged` returns what executions are charged for, of `executions` bytes;
    /// the other shares are for cached answers and for finished executions.
    pub fn watch_memory(
        &self,
        shares: MemoryShares,
        charged: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let MemoryShares { cache, retention, executions } = shares;
        let instruments = self.instruments();
        for (purpose, bytes) in
            [("cache", cache), ("retention", retention), ("executions", executions)]
        {
            let attribute = KeyValue::new(sparkler::MEMORY_PURPOSE, purpose);
            instruments.memory_limit.of([attribute], move || bytes);
        }
        instruments.memory_charged.with(charged);
    }

    /// A call was refused because a limit was met.
    pub fn refused(&self, limit: Limit) {
        let attributes = [KeyValue::new(sparkler::ADMISSION_LIMIT, limit.as_str())];
        self.instruments().admission_refusals.add(1, &attributes);
    }

    /// A call has waited for its place.
    pub fn waited(&self, took: Duration) {
        self.instruments().admission_wait.record(took.as_secs_f64(), &[]);
    }

    /// The provider is left in peace for a while.
    pub fn cooled_down(&self, kind: Cooldown) {
        self.instruments()
            .cooldowns
            .add(1, &[KeyValue::new(sparkler::COOLDOWN_KIND, kind.as_str())]);
    }

    /// A command to Redis has ended. `operation` names what it is for, in a word
    /// of the program's own.
    pub fn redis_command(&self, operation: &'static str, ended: Command, took: Duration) {
        let instruments = self.instruments();
        instruments.redis_commands.add(1, &[KeyValue::new(sparkler::REDIS_RESULT, ended.as_str())]);
        let attributes = [KeyValue::new(sparkler::REDIS_OPERATION, operation)];
        instruments.redis_duration.record(took.as_secs_f64(), &attributes);
    }

    /// Redis answered that it will not: `cause` names why, in a word of the
    /// program's own.
    pub fn redis_refused(&self, cause: &'static str) {
        let attribute = KeyValue::new(sparkler::REDIS_CAUSE, cause);
        self.instruments().redis_refusals.add(1, &[attribute]);
    }

    /// Redis answers, or the worker does without.
    pub fn redis_reachable(&self, reachable: bool) {
        self.instruments().redis_reachable.record(u64::from(reachable), &[]);
    }

    /// `read` tells where the worker stands, from 0 (serving) to 3 (stopping).
    pub fn watch_drain(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.instruments().drain_stage.with(read);
    }

    /// The drain limit is over, and so many executions are ended.
    pub fn executions_cut(&self, count: u64) {
        self.instruments().drain_cut_executions.add(count, &[]);
    }

    /// `read` tells how much telemetry of a kind was given up so far.
    pub fn watch_dropped(&self, signal: Signal, read: impl Fn() -> u64 + Send + Sync + 'static) {
        let attribute = KeyValue::new(sparkler::SIGNAL, signal.as_str());
        self.instruments().telemetry_dropped.with(attribute, read);
    }

    /// A socket did not become a connection of a caller.
    pub fn handshake_failed(&self, cause: Handshake) {
        let attributes = [KeyValue::new(sparkler::HANDSHAKE_CAUSE, cause.as_str())];
        self.instruments().handshakes_failed.add(1, &attributes);
    }

    /// `ends` tells when the worker's certificate ends, in seconds since 1970, and
    /// `days_left` how many days there are until then.
    pub fn watch_certificate(
        &self,
        ends: impl Fn() -> u64 + Send + Sync + 'static,
        days_left: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.instruments().certificate_expiry.with(ends);
        self.instruments().certificate_days_left.with(days_left);
    }

    /// `read` tells how many callers the operator's file names.
    pub fn watch_callers(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.instruments().callers.with(read);
    }

    /// A panic was caught.
    pub fn panicked(&self) {
        self.instruments().panics.add(1, &[]);
    }
}
