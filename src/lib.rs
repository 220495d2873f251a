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
//! | [`event`], [`error`], [`credentials`] | the values that every module uses |
//! | [`execution`] | the policy, as a list: plan → key → look up → join or lead → stream |
//! | [`node`] | the node types, each declared once |
//! | [`flight`], [`recording`] | one invocation with many subscribers; and its recording |
//! | [`fleet`] | flights across workers: who leads a flight, and who follows it |
//! | [`cache`] | the keys of identical executions, and the store of recordings |
//! | [`redis`], [`seal`] | the fleet's shared memory: its connection, and its encryption |
//! | [`fireworks`] | the provider's client: one attempt, streamed |
//! | [`proto`], [`grpc`], [`server`] | the wire format, the RPCs, the ports |
//! | [`lifecycle`], [`admission`], [`config`] | shutdown, capacity, settings |
//! | [`quota`], [`cooldown`] | daily limits of tenants, recent refusals of the provider |
//! | [`telemetry`] | traces, and their export |
//! | [`descriptors`] | the limit on sockets and files |
//! | [`callers`], [`tls`], [`secrets`] | authentication, transport security, mounted keys |
//! | [`files`], [`file_watcher`] | bounded reads of the operator's files, and reloads |
//! | [`output`], [`price`] | output formats, costs |
//! | [`metrics`] | every metric, each defined once |
//! | [`cli`] | the program |
//!
//! # Layers
//!
//! Arrows only go down; `tests/layers.rs` enforces it.
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

pub mod admission;
pub mod cache;
pub mod callers;
pub mod cli;
pub mod config;
pub mod cooldown;
pub mod credentials;
pub mod descriptors;
pub mod error;
pub mod event;
pub mod execution;
pub mod file_watcher;
pub mod files;
pub mod fireworks;
pub mod fleet;
pub mod flight;
pub mod grpc;
pub mod lifecycle;
pub mod metrics;
pub mod node;
pub mod output;
pub mod price;
pub mod proto;
pub mod quota;
pub mod recording;
pub mod redis;
pub mod seal;
pub mod secrets;
pub mod server;
pub mod telemetry;
pub mod tls;
