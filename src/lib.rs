//! Sparkler, a gRPC worker that executes Fireworks.ai nodes for visual-flow
//! orchestrators.
//!
//! A call arrives as protobuf, is decoded into plain values, and is answered from
//! memory, from a flight already in progress, or by running the node. Its response is
//! one ordered stream of events that ends in exactly one of *completed* or *one named
//! error*.
//!
//! # Reading order
//!
//! | module | purpose |
//! |---|---|
//! | `event`, `error`, `credentials` | the values that every module uses |
//! | `execution` | the policy, as a list: plan → key → look up → join or lead → stream |
//! | `node` | the node types, each declared once |
//! | `flight`, `recording` | one invocation with many subscribers; and its recording |
//! | `fleet` | flights across workers: who leads a flight, and who follows it |
//! | `cache` | the keys of identical executions, and the store of recordings |
//! | `redis`, `seal` | the fleet's shared memory: its connection, and its encryption |
//! | `fireworks` | the provider's client: one attempt, streamed |
//! | `proto`, `grpc`, `server` | the wire format, the RPCs, the ports |
//! | `lifecycle`, `admission`, `config` | shutdown, capacity, settings |
//! | `quota`, `cooldown` | daily limits of tenants, recent refusals of the provider |
//! | `telemetry` | traces, and their export |
//! | `descriptors` | the limit on sockets and files |
//! | `callers`, `tls`, `secrets` | authentication, transport security, mounted keys |
//! | `files`, `file_watcher` | bounded reads of the operator's files, and reloads |
//! | `output`, `price` | output formats, costs |
//! | `metrics` | every metric, each defined once |
//! | `cli` | the program |
//!
//! # Layers
//!
//! Arrows only go down; `tests/it/layers.rs` enforces it.
//!
//! ```text
//! cli
//!  │
//!  ▼
//! server ──► config
//!  │
//!  ▼
//! grpc ──► proto
//!  │
//!  ▼
//! execution
//!  ├──────────┬──────────┬──────────┬──────────┐
//!  ▼          ▼          ▼          ▼          ▼
//! node      cache      flight     fleet      quota
//!  │          │          │          │          │
//!  ▼          └────┬─────┴──────────┴──────────┘
//! fireworks        ▼
//!  │           recording ──► price      callers, tls ──► secrets, file_watcher
//!  │           redis, seal
//!  ▼               │
//! output, lifecycle, admission, cooldown
//!                  ▼
//! metrics ──► telemetry, descriptors ──► event, error, credentials, files
//! ```

mod admission;
mod cache;
mod callers;
mod changes;
pub mod cli;
pub mod config;
mod cooldown;
mod credentials;
mod descriptors;
mod emit;
mod error;
mod event;
mod execution;
mod file_watcher;
mod files;
mod fireworks;
mod fleet;
mod flight;
mod grpc;
mod lifecycle;
mod metrics;
pub mod node;
mod output;
mod price;
pub mod proto;
mod quota;
mod recording;
mod redis;
mod seal;
mod secrets;
pub mod server;
mod telemetry;
mod tls;

/// The items that the project's own tests, benchmarks and fuzzers reach besides the
/// public face. No part of the API: it changes without notice.
#[doc(hidden)]
pub mod internals {
    pub use crate::{
        admission::{Admission, Entry},
        cache::key::{CacheSecret, KeyParts, Scope},
        callers::{Caller, Callers},
        cli::log::JsonLines,
        credentials::ApiKey,
        emit::Emit,
        error::{Deadline, Error, Limit, ProviderError, ProviderErrorKind, Violation},
        event::{Delta, Finish, Phase, Piece, Usage},
        execution::{
            Executor, PrefixAffinity, Services,
            request::{
                CacheMode, CachePolicy, CredentialSource, ExecuteRequest, Limits, ScopeKind,
            },
            response::ResponseEvent,
        },
        fireworks::{Affinity, Attempt, Client, ClientConfig, Interrupted, Protocol, parts},
        fleet::{FlightKey, RedisKeys, protocol},
        flight::{
            FlightOutcome, Flights, FlightsConfig, Join, JoinRequest, Publisher, Received, Stored,
            SubscribeOptions, Subscriber,
        },
        grpc::status,
        lifecycle::Lifecycle,
        metrics::{Definition, InstrumentKind, Metrics, TABLE},
        output::OutputFormat,
        price::{PriceList, Prices, Tier},
        quota::limits as quota_file,
        recording::{FlightId, Key, Log, Reading, Subject, WORKER_LOST, codec},
        redis::{Address, Connection, Credential, RedisConfig, Script},
        seal::{Sealer, SealingKey},
        telemetry::{Collector, Conventions, OtlpProtocol as CollectorProtocol, Queue},
        tls::{Tls, TlsFiles},
    };
}
