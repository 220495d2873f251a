//! The metrics of the worker: its calls, slots, memory, Redis, TLS and drain.

use std::{sync::Arc, time::Duration};

use opentelemetry::KeyValue;

use super::{Command, Cooldown, Handshake, Limit, Metrics, Signal};
use crate::telemetry::names::{otel, sparkler};

/// The shares that the worker's memory is divided into, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct MemoryShares {
    /// For cached answers.
    pub cache: u64,
    /// For finished executions that can be attached to.
    pub retention: u64,
    /// For running executions.
    pub executions: u64,
}

impl Metrics {
    /// Records the end of a call's stream. `method` is the full name of a served
    /// method, or `_OTHER`; `status` is the name of a gRPC status.
    pub fn rpc_ended(&self, method: &'static str, status: &'static str, took: Duration) {
        let attributes = [
            KeyValue::new(otel::RPC_SYSTEM, "grpc"),
            KeyValue::new(otel::RPC_METHOD, method),
            KeyValue::new(otel::RPC_STATUS, status),
        ];
        self.instruments().rpc_call_duration.record(took.as_secs_f64(), &attributes);
    }

    /// Registers the gauges of execution slots: their number, those in use and the
    /// calls queued for one.
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

    /// Registers the gauges of memory: the size of each share, and the bytes that
    /// running executions are charged for.
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

    /// Counts a call that a limit refused.
    pub fn refused(&self, limit: Limit) {
        let attributes = [KeyValue::new(sparkler::ADMISSION_LIMIT, limit.as_str())];
        self.instruments().admission_refusals.add(1, &attributes);
    }

    /// Records the time that a call waited for a slot.
    pub fn waited(&self, took: Duration) {
        self.instruments().admission_wait.record(took.as_secs_f64(), &[]);
    }

    /// Counts the start of a cooldown.
    pub fn cooled_down(&self, kind: Cooldown) {
        self.instruments()
            .cooldowns
            .add(1, &[KeyValue::new(sparkler::COOLDOWN_KIND, kind.as_str())]);
    }

    /// Records a Redis command. `operation` is one of the program's own words for
    /// its purpose.
    pub fn redis_command(&self, operation: &'static str, ended: Command, took: Duration) {
        let instruments = self.instruments();
        instruments.redis_commands.add(1, &[KeyValue::new(sparkler::REDIS_RESULT, ended.as_str())]);
        let attributes = [KeyValue::new(sparkler::REDIS_OPERATION, operation)];
        instruments.redis_duration.record(took.as_secs_f64(), &attributes);
    }

    /// Counts a refusal by Redis. `cause` is one of the program's own words.
    pub fn redis_refused(&self, cause: &'static str) {
        let attribute = KeyValue::new(sparkler::REDIS_CAUSE, cause);
        self.instruments().redis_refusals.add(1, &[attribute]);
    }

    /// Records whether Redis is reachable.
    pub fn redis_reachable(&self, reachable: bool) {
        self.instruments().redis_reachable.record(u64::from(reachable), &[]);
    }

    /// Registers the gauge of the drain stage, from 0 (serving) to 3 (stopping).
    pub fn watch_drain(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.instruments().drain_stage.with(read);
    }

    /// Counts the executions that were aborted at the drain limit.
    pub fn executions_cut(&self, count: u64) {
        self.instruments().drain_cut_executions.add(count, &[]);
    }

    /// Registers the counter of dropped telemetry of one kind.
    pub fn watch_dropped(&self, signal: Signal, read: impl Fn() -> u64 + Send + Sync + 'static) {
        let attribute = KeyValue::new(sparkler::SIGNAL, signal.as_str());
        self.instruments().telemetry_dropped.with(attribute, read);
    }

    /// Counts a socket that did not become a connection of a caller.
    pub fn handshake_failed(&self, cause: Handshake) {
        let attributes = [KeyValue::new(sparkler::HANDSHAKE_CAUSE, cause.as_str())];
        self.instruments().handshakes_failed.add(1, &attributes);
    }

    /// Registers the gauges of the certificate's expiry: `ends` in seconds since
    /// 1970, `remaining` in seconds.
    pub fn watch_certificate(
        &self,
        ends: impl Fn() -> u64 + Send + Sync + 'static,
        remaining: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.instruments().certificate_expiry.with(ends);
        self.instruments().certificate_remaining.with(remaining);
    }

    /// Registers the gauge of callers in the operator's file.
    pub fn watch_callers(&self, read: impl Fn() -> u64 + Send + Sync + 'static) {
        self.instruments().callers.with(read);
    }

    /// Counts a caught panic.
    pub fn panicked(&self) {
        self.instruments().panics.add(1, &[]);
    }
}
