//! Every metric of the worker, defined once: a row yields the instrument, its entry
//! on the Prometheus page and its line in docs/telemetry.md.

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};

use super::instrument::{Definition, Instrument, PolledCounter, PolledGauge, PolledSeconds};
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
const SUBSCRIBERS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0];
const REDIS_SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Shares from 0 to 1, finer towards the end.
const SHARES: &[f64] = &[0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99];
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

    /// Time of a provider request, to the end of its stream.
    model_duration: Histogram<f64> = "gen_ai.client.operation.duration" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::ERROR_TYPE] in MODEL_SECONDS;

    /// Tokens of a provider request; cached ones are part of input.
    model_tokens: Histogram<u64> = "gen_ai.client.token.usage" ["{token}"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::TOKEN_TYPE] in TOKENS;

    /// Time from a provider request to its first piece of output.
    model_first_chunk: Histogram<f64> = "gen_ai.client.operation.time_to_first_chunk" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL] in MODEL_SECONDS;

    /// Time between two network reads that brought output; longer for answers without
    /// deltas, which are read in batches.
    model_chunk: Histogram<f64> = "gen_ai.client.operation.time_per_output_chunk" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL] in CHUNK_SECONDS;

    /// By the latest conventions: time of a provider request, to the end of its stream.
    inference_duration: Histogram<f64> = "gen_ai.client.inference.duration" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::ERROR_TYPE] in MODEL_SECONDS;

    /// By the latest conventions: time from a provider request to its first piece of
    /// output.
    inference_first_chunk: Histogram<f64> = "gen_ai.client.inference.time_to_first_chunk" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL] in MODEL_SECONDS;

    /// By the latest conventions: time between two network reads that brought output.
    inference_chunk: Histogram<f64> = "gen_ai.client.inference.time_per_output_chunk" ["s"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL] in CHUNK_SECONDS;

    /// By the latest conventions: tokens of the prompt of a provider request.
    inference_prompt: Histogram<u64> = "gen_ai.client.inference.operation.input_tokens" ["{token}"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL] in TOKENS;

    /// By the latest conventions: tokens of the answer of a provider request.
    inference_answer: Histogram<u64> = "gen_ai.client.inference.operation.output_tokens" ["{token}"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL] in TOKENS;

    /// By the latest conventions: tokens of prompts, cached ones included.
    inference_input: Counter<u64> = "gen_ai.client.inference.usage.input_tokens" ["{token}"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::TOKEN_MODALITY] in NO_BUCKETS;

    /// By the latest conventions: tokens of answers, reasoning included.
    inference_output: Counter<u64> = "gen_ai.client.inference.usage.output_tokens" ["{token}"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::TOKEN_MODALITY] in NO_BUCKETS;

    /// By the latest conventions: tokens of prompts that came from the provider's own
    /// prompt cache.
    inference_cache_read: Counter<u64> = "gen_ai.client.inference.usage.cache_read.input_tokens" ["{token}"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::TOKEN_MODALITY] in NO_BUCKETS;

    /// By the latest conventions: tokens of answers spent on reasoning.
    inference_reasoning: Counter<u64> = "gen_ai.client.inference.usage.reasoning.output_tokens" ["{token}"]
        by [otel::OPERATION, otel::PROVIDER, otel::REQUEST_MODEL, otel::TOKEN_MODALITY] in NO_BUCKETS;

    /// Share of a prompt that came from the provider's own prompt cache, from 0 to 1.
    model_cached_share: Histogram<f64> = "sparkler.model.cached_share" [""]
        by [otel::REQUEST_MODEL] in SHARES;

    /// Calls of ExecuteNode that have ended, refused ones included, and those of
    /// AttachExecution as node type _ATTACHED; the reason is OK for a success.
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

    /// Executions that hold a slot or are queued for one: the load by which to
    /// scale workers. Present from the start.
    executions_wanted: PolledGauge = "sparkler.executions.wanted" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Look-ups of answers. A failed one is a miss to its caller.
    cache_lookups: Counter<u64> = "sparkler.cache.lookups" ["{lookup}"]
        by [sparkler::CACHE_TIER, sparkler::CACHE_RESULT] in NO_BUCKETS;

    /// Attempts to store answers.
    cache_stores: Counter<u64> = "sparkler.cache.stores" ["{store}"]
        by [sparkler::CACHE_TIER, sparkler::CACHE_RESULT, sparkler::CACHE_NOT_STORED] in NO_BUCKETS;

    /// Executions that joined a flight, by their role.
    flights: Counter<u64> = "sparkler.flights" ["{execution}"]
        by [sparkler::FLIGHT_ROLE] in NO_BUCKETS;

    /// Active flights on this worker.
    flights_active: PolledGauge = "sparkler.flights.active" ["{flight}"]
        by [] in NO_BUCKETS;

    /// Subscribers of a flight over its lifetime, recorded when it completes.
    flight_subscribers: Histogram<u64> = "sparkler.flight.subscribers" ["{subscriber}"]
        by [] in SUBSCRIBERS;

    /// Flights that this worker took over from a lost worker.
    flight_takeovers: Counter<u64> = "sparkler.flight.takeovers" ["{flight}"]
        by [] in NO_BUCKETS;

    /// Flights whose lease this worker lost to another.
    flight_deposed: Counter<u64> = "sparkler.flight.leases_lost" ["{flight}"]
        by [] in NO_BUCKETS;

    /// End of a model in use, in seconds since 1970, once the provider has announced
    /// it; 0 if the announcement is withdrawn.
    model_end: Gauge<u64> = "sparkler.model.end_of_life" ["s"]
        by [otel::REQUEST_MODEL] in NO_BUCKETS;

    /// Provider requests without a price of their own in the table: of unknown cost if
    /// the model has none, at the standard rate if its tier has none.
    model_unpriced: Counter<u64> = "sparkler.model.unpriced" ["{attempt}"]
        by [otel::REQUEST_MODEL, sparkler::PRICE_MISSING] in NO_BUCKETS;

    /// Provider requests; the reason is OK for a success.
    upstream_attempts: Counter<u64> = "sparkler.upstream.attempts" ["{attempt}"]
        by [sparkler::REASON] in NO_BUCKETS;

    /// Tokens, paid for or saved by sharing or the cache. Cached ones are part of
    /// input, reasoning is part of output.
    tokens: Counter<u64> = "sparkler.tokens" ["{token}"]
        by [sparkler::TOKEN_TYPE, sparkler::TOKEN_PAID] in NO_BUCKETS;

    /// Cost as far as prices are known: spent, or saved by sharing or the cache.
    cost: Counter<f64> = "sparkler.cost" ["USD"]
        by [sparkler::COST_KIND] in NO_BUCKETS;

    /// Execution slots of the worker.
    admission_limit: PolledGauge = "sparkler.admission.limit" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Execution slots in use, including those of flights without subscribers.
    admission_taken: PolledGauge = "sparkler.admission.in_use" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Calls queued for a slot.
    admission_queued: PolledGauge = "sparkler.admission.queued" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Calls refused for lack of capacity, by the limit that was reached.
    admission_refusals: Counter<u64> = "sparkler.admission.refusals" ["{execution}"]
        by [sparkler::ADMISSION_LIMIT] in NO_BUCKETS;

    /// Time that calls waited for a slot.
    admission_wait: Histogram<f64> = "sparkler.admission.wait" ["s"]
        by [] in CALL_SECONDS;

    /// Cooldowns towards the provider.
    cooldowns: Counter<u64> = "sparkler.cooldowns" ["{cooldown}"]
        by [sparkler::COOLDOWN_KIND] in NO_BUCKETS;

    /// Redis commands, by their outcome.
    redis_commands: Counter<u64> = "sparkler.redis.commands" ["{command}"]
        by [sparkler::REDIS_RESULT] in NO_BUCKETS;

    /// Time of a Redis command.
    redis_duration: Histogram<f64> = "sparkler.redis.duration" ["s"]
        by [sparkler::REDIS_OPERATION] in REDIS_SECONDS;

    /// Refusals by Redis of operations that workers need, by cause.
    redis_refusals: Counter<u64> = "sparkler.redis.refusals" ["{refusal}"]
        by [sparkler::REDIS_CAUSE] in NO_BUCKETS;

    /// 1 while Redis answers a small write in time, 0 while the worker runs without
    /// it. A Redis that is full or lacks a permission does answer: see
    /// sparkler.redis.refusals.
    redis_reachable: Gauge<u64> = "sparkler.redis.reachable" [""]
        by [] in NO_BUCKETS;

    /// 0 serving, 1 leaving, 2 draining, 3 stopping.
    drain_stage: PolledGauge = "sparkler.drain.stage" [""]
        by [] in NO_BUCKETS;

    /// Executions aborted at the drain limit.
    drain_cut_executions: Counter<u64> = "sparkler.drain.aborted_executions" ["{execution}"]
        by [] in NO_BUCKETS;

    /// Telemetry dropped because it was not read in time.
    telemetry_dropped: PolledCounter = "sparkler.telemetry.dropped" ["{item}"]
        by [sparkler::SIGNAL] in NO_BUCKETS;

    /// Sockets that did not become connections of callers, by cause.
    handshakes_failed: Counter<u64> = "sparkler.handshakes.failed" ["{handshake}"]
        by [sparkler::HANDSHAKE_CAUSE] in NO_BUCKETS;

    /// Expiry of the worker's certificate, in seconds since 1970.
    certificate_expiry: PolledGauge = "sparkler.tls.certificate.expiry" ["s"]
        by [] in NO_BUCKETS;

    /// Time until the worker's certificate expires; 0 once it has.
    certificate_remaining: PolledGauge = "sparkler.tls.certificate.remaining" ["s"]
        by [] in NO_BUCKETS;

    /// Callers in the callers file. At 0 no one may call; absent without a file.
    callers: PolledGauge = "sparkler.callers" ["{caller}"]
        by [] in NO_BUCKETS;

    /// Caught panics. Each is a bug of the worker.
    panics: Counter<u64> = "sparkler.panics" ["{panic}"]
        by [] in NO_BUCKETS;

    /// Memory set aside for a purpose, derived from the memory limit.
    memory_limit: PolledGauge = "sparkler.memory.limit" ["By"]
        by [sparkler::MEMORY_PURPOSE] in NO_BUCKETS;

    /// Memory that running executions are charged for.
    memory_charged: PolledGauge = "sparkler.memory.charged" ["By"]
        by [] in NO_BUCKETS;

    /// Always 1: the release of the worker, by its attributes.
    build_info: PolledGauge = "sparkler.build_info" [""]
        by [sparkler::BUILD_VERSION, sparkler::BUILD_OS, sparkler::BUILD_ARCHITECTURE] in NO_BUCKETS;

    /// User and system CPU time of the process.
    process_cpu: PolledSeconds = "process.cpu" ["s"]
        by [] in NO_BUCKETS;

    /// Resident memory of the process. On Linux only.
    process_memory: PolledGauge = "process.resident_memory" ["By"]
        by [] in NO_BUCKETS;

    /// Open files and sockets of the process. On Linux only.
    process_open_fds: PolledGauge = "process.open_fds" ["{file}"]
        by [] in NO_BUCKETS;

    /// Limit of open files and sockets of the process.
    process_max_fds: PolledGauge = "process.max_fds" ["{file}"]
        by [] in NO_BUCKETS;

    /// Start time of the process, in seconds since 1970.
    process_start: PolledGauge = "process.start_time" ["s"]
        by [] in NO_BUCKETS;
}
