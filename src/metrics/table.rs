//! Every metric of the worker, defined once: a row yields the instrument, its entry
//! on the Prometheus page and its line in docs/telemetry.md.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};

use super::instrument::{Definition, Instrument, Watched, WatchedCounter, WatchedSeconds};
use crate::telemetry::names::{otel, sparkler};

/// From a cache hit of half a millisecond to a stream of half an hour. (The buckets
/// that the RPC conventions advise end at ten seconds.)
const CALL_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0, 120.0, 300.0, 600.0, 1800.0,
];
/// The buckets that the GenAI conventions advise, extended to ten minutes.
const MODEL_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84,
    327.68, 655.36,
];
/// Likewise from a millisecond: a fast model produces hundreds of tokens per
/// second.
const CHUNK_SECONDS: &[f64] = &[
    0.00125, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24,
    20.48, 40.96, 81.92,
];
/// The buckets that the GenAI conventions advise, up to the largest context.
const TOKENS: &[f64] =
    &[1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0, 1_048_576.0];
/// Time to first token: fine-grained in the range that a person waits.
const FIRST_TOKEN_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0,
    4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0,
];
const LISTENERS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0];
const REDIS_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
const NO_BUCKETS: &[f64] = &[];

/// Defines the table and the instruments, with a field for each row. A row's doc
/// comment is the metric's description.
macro_rules! instruments {
    ($(
        $(#[doc = $description:literal])+
        $field:ident: $instrument:ty = $name:literal [$unit:literal]
            by [$($attribute:expr),*] in $buckets:ident;
    )*) => {
        /// Every metric, in the order of the documentation.
        pub const TABLE: &[Definition] = &[$(Definition {
            name: $name,
            unit: $unit,
            kind: <$instrument as Instrument>::KIND,
            description: concat!($($description),+).trim_ascii(),
            attributes: &[$($attribute),*],
            buckets: $buckets,
        }),*];

        /// The instruments of a worker.
        #[derive(Debug)]
        pub(super) struct Instruments {
            $( $(#[doc = $description])+ pub(super) $field: $instrument, )*
        }

        impl Instruments {
            pub(super) fn new(meter: &Meter) -> Instruments {
                let mut rows = TABLE.iter();
                let mut next = move || rows.next().expect("a row for each field");
                // Struct fields are evaluated in the order they are written in.
                Instruments { $( $field: Instrument::made(meter, next()), )* }
            }
        }
    };
}

instruments! {
    /// Time from a call's arrival to the end of its stream.
    rpc_call_duration: Histogram<f64> = "rpc.server.call.duration" ["s"]
        by [otel::RPC_SYSTEM, otel::RPC_METHOD, otel::RPC_STATUS] in CALL_SECONDS;

    /// Time of one call of the provider, to the end of its stream.
    model_duration: Histogram<f64> = "gen_ai.client.operation.duration" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::ERROR_TYPE] in MODEL_SECONDS;

    /// Tokens of one call of the provider; cached ones are part of input.
    model_tokens: Histogram<u64> = "gen_ai.client.token.usage" ["{token}"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::TOKEN_TYPE] in TOKENS;

    /// Time from a call of the provider to its first piece of output.
    model_first_chunk: Histogram<f64> = "gen_ai.client.operation.time_to_first_chunk" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL] in MODEL_SECONDS;

    /// Time between two network reads that brought output.
    model_chunk: Histogram<f64> = "gen_ai.client.operation.time_per_output_chunk" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL] in CHUNK_SECONDS;

    /// Calls of ExecuteNode that have ended, refused ones included, and those of
    /// AttachExecution as node type _ATTACHED; the reason is OK where they
    /// succeeded.
    executions: Counter<u64> = "sparkler.executions" ["{execution}"]
        by [sparkler::NODE_TYPE, sparkler::REASON, sparkler::CACHE_STATUS] in NO_BUCKETS;

    /// Executions whose callers are being answered.
    executions_active: UpDownCounter<i64> = "sparkler.executions.active" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Time from the arrival of such a call to its end.
    execution_duration: Histogram<f64> = "sparkler.execution.duration" ["s"]
        by [sparkler::NODE_TYPE, sparkler::CACHE_STATUS] in CALL_SECONDS;

    /// Time from the arrival of an execution to its first output.
    execution_first_token: Histogram<f64> = "sparkler.execution.time_to_first_token" ["s"]
        by [sparkler::NODE_TYPE, sparkler::CACHE_STATUS] in FIRST_TOKEN_SECONDS;

    /// Executions that hold a slot or wait for one: the load to scale workers by.
    /// There from the start.
    executions_wanted: Watched = "sparkler.executions.wanted" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Look-ups of answers. A failed one counts as none for its caller.
    cache_lookups: Counter<u64> = "sparkler.cache.lookups" ["{lookup}"]
        by [sparkler::CACHE_TIER, sparkler::CACHE_RESULT] in NO_BUCKETS;

    /// Answers that were to be stored.
    cache_stores: Counter<u64> = "sparkler.cache.stores" ["{store}"]
        by [sparkler::CACHE_TIER, sparkler::CACHE_RESULT, sparkler::CACHE_NOT_STORED] in NO_BUCKETS;

    /// Executions that took part in a flight, by what they were in it.
    flights: Counter<u64> = "sparkler.flights" ["{execution}"]
        by [sparkler::FLIGHT_ROLE] in NO_BUCKETS;

    /// Flights under way on this worker.
    flights_active: Watched = "sparkler.flights.active" ["{flight}"]
        by [] in NO_BUCKETS;

    /// Executions that had listened to a flight when it landed.
    flight_listeners: Histogram<u64> = "sparkler.flight.listeners" ["{listener}"]
        by [] in LISTENERS;

    /// Flights that this worker took over from one that was lost.
    flight_takeovers: Counter<u64> = "sparkler.flight.takeovers" ["{flight}"]
        by [] in NO_BUCKETS;

    /// Flights that this worker led and lost to another.
    flight_deposed: Counter<u64> = "sparkler.flight.leases_lost" ["{flight}"]
        by [] in NO_BUCKETS;

    /// Calls of the provider; the reason is OK where they succeeded.
    upstream_attempts: Counter<u64> = "sparkler.upstream.attempts" ["{attempt}"]
        by [sparkler::REASON] in NO_BUCKETS;

    /// Tokens, those that were paid and those that sharing or the cache saved.
    /// Cached ones are part of input, reasoning is part of output.
    tokens: Counter<u64> = "sparkler.tokens" ["{token}"]
        by [sparkler::TOKEN_TYPE, sparkler::TOKEN_PAID] in NO_BUCKETS;

    /// US dollars, as far as prices are known: spent, and saved by sharing or the
    /// cache.
    cost: Counter<f64> = "sparkler.cost" ["USD"]
        by [sparkler::COST_KIND] in NO_BUCKETS;

    /// Executions that the worker takes at a time.
    admission_limit: Watched = "sparkler.admission.limit" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Places that are taken, also by flights whose callers have gone.
    admission_taken: Watched = "sparkler.admission.in_use" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Calls that wait for a place.
    admission_queued: Watched = "sparkler.admission.queued" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Calls that were refused for want of room, by the limit that was met.
    admission_refusals: Counter<u64> = "sparkler.admission.refusals" ["{execution}"]
        by [sparkler::ADMISSION_LIMIT] in NO_BUCKETS;

    /// Time that calls waited for a place.
    admission_wait: Histogram<f64> = "sparkler.admission.wait" ["s"]
        by [] in CALL_SECONDS;

    /// Times that this worker left the provider in peace for a while.
    cooldowns: Counter<u64> = "sparkler.cooldowns" ["{cooldown}"]
        by [sparkler::COOLDOWN_KIND] in NO_BUCKETS;

    /// Commands to Redis, by how they ended.
    redis_commands: Counter<u64> = "sparkler.redis.commands" ["{command}"]
        by [sparkler::REDIS_RESULT] in NO_BUCKETS;

    /// Time of a command to Redis.
    redis_duration: Histogram<f64> = "sparkler.redis.duration" ["s"]
        by [sparkler::REDIS_OPERATION] in REDIS_SECONDS;

    /// Answers of Redis that it will not do what workers need, by the cause.
    redis_refusals: Counter<u64> = "sparkler.redis.refusals" ["{refusal}"]
        by [sparkler::REDIS_CAUSE] in NO_BUCKETS;

    /// 1 while Redis answers a small write in time, 0 while the worker does without.
    /// One that is full or lacks a right answers: sparkler.redis.refusals counts that.
    redis_reachable: Gauge<u64> = "sparkler.redis.reachable" [""]
        by [] in NO_BUCKETS;

    /// 0 serving, 1 leaving, 2 draining, 3 stopping.
    drain_stage: Watched = "sparkler.drain.stage" [""]
        by [] in NO_BUCKETS;

    /// Executions that were ended because the drain limit was over.
    drain_cut_executions: Counter<u64> = "sparkler.drain.aborted_executions" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Telemetry that was given up because nobody took it in time.
    telemetry_dropped: WatchedCounter = "sparkler.telemetry.dropped" ["{item}"]
        by [sparkler::SIGNAL] in NO_BUCKETS;

    /// Sockets that did not become connections of callers, by why.
    handshakes_failed: Counter<u64> = "sparkler.handshakes.failed" ["{handshake}"]
        by [sparkler::HANDSHAKE_CAUSE] in NO_BUCKETS;

    /// When the worker's certificate ends, as seconds since 1970.
    certificate_expiry: Watched = "sparkler.tls.certificate.expiry" ["s"]
        by [] in NO_BUCKETS;

    /// Whole days until the worker's certificate ends; 0 once it has.
    certificate_days_left: Watched = "sparkler.tls.certificate.days_left" ["{day}"]
        by [] in NO_BUCKETS;

    /// Callers that the callers file names. At 0 nobody may call; without a file
    /// there is no such figure.
    callers: Watched = "sparkler.callers" ["{caller}"]
        by [] in NO_BUCKETS;

    /// Panics that were caught. Each is a bug of the worker.
    panics: Counter<u64> = "sparkler.panics" ["{panic}"]
        by [] in NO_BUCKETS;

    /// Memory that the worker gives to a purpose, derived from its memory limit.
    memory_limit: Watched = "sparkler.memory.limit" ["By"]
        by [sparkler::MEMORY_PURPOSE] in NO_BUCKETS;

    /// Memory that executions are charged for at present.
    memory_charged: Watched = "sparkler.memory.charged" ["By"]
        by [] in NO_BUCKETS;

    /// Always 1: the release of the worker, by its attributes.
    build_info: Watched = "sparkler.build_info" [""]
        by [sparkler::BUILD_VERSION, sparkler::BUILD_OS, sparkler::BUILD_ARCHITECTURE] in NO_BUCKETS;

    /// User and system CPU time of the process.
    process_cpu: WatchedSeconds = "process.cpu" ["s"]
        by [] in NO_BUCKETS;

    /// Memory of the process that is in RAM. On Linux only.
    process_memory: Watched = "process.resident_memory" ["By"]
        by [] in NO_BUCKETS;

    /// Files and sockets that the process has open. On Linux only.
    process_open_fds: Watched = "process.open_fds" ["{file}"]
        by [] in NO_BUCKETS;

    /// Files and sockets that the process may have open.
    process_max_fds: Watched = "process.max_fds" ["{file}"]
        by [] in NO_BUCKETS;

    /// When the process started, as seconds since 1970.
    process_start: Watched = "process.start_time" ["s"]
        by [] in NO_BUCKETS;
}
