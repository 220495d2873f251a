//! Sparkler, a gRPC worker that executes Fireworks.ai nodes for visual-flow
//! orchestrators.
//!
//! A call comes in as protobuf, becomes plain values at the door, is answered
//! from memory, from a flight already under way, or by running the node; and
//! whatever happens is one ordered stream of events that ends in exactly one of
//! *completed* or *one named error*.
//!
//! # Reading order
//!
//! | module | what |
//! |---|---|
//! | [`event`], [`error`], [`credentials`] | the values that everything speaks in |
//! | [`execution`] | the policy, as a list: plan → key → look up → join or lead → stream |
//! | [`node`] | the kinds of work, each declared once |
//! | [`flight`], [`recording`] | one invocation, many listeners; and what is kept of it |
//! | [`fleet`] | the same among workers: who leads a flight, and who follows it |
//! | [`cache`] | what makes two executions the same, and where recordings are kept |
//! | [`redis`], [`seal`] | the fleet's shared memory: how it is reached, and kept from readers |
//! | [`fireworks`] | the provider's client: one attempt, streamed |
//! | [`proto`], [`service`], [`server`] | the door, the RPCs, the ports |
//! | [`lifecycle`], [`admission`], [`config`] | stopping, places, settings |
//! | [`allowance`] | what tenants may spend a day, and have spent |
//! | [`telemetry`] | traces, and where they go |
//! | [`descriptors`] | how many sockets and files there may be |
//! | [`callers`], [`tls`], [`secrets`] | who may call, over what, and whose key they may name |
//! | [`output`], [`price`] | what form, what cost |
//! | [`metrics`] | the figures of all that, each defined once |
//! | [`cli`] | the program |
//!
//! # Layers
//!
//! Arrows only go down; `tests/layers.rs` holds this drawing to the code.
//!
//! ```text
//! cli
//!  │
//!  ▼
//! server ──► config
//!  │
//!  ▼
//! service ──► proto
//!  │           │
//!  ▼           ▼
//! execution ◄──┘
//!  ├──────────┬──────────┬──────────┬──────────┐
//!  ▼          ▼          ▼          ▼          ▼
//! node      cache      flight     fleet    allowance
//!  │          │          │          │          │
//!  ▼          └────┬─────┴──────────┴──────────┘
//! fireworks        ▼
//!  │           recording ──► price      callers, tls ──► secrets, watched
//!  │           redis, seal
//!  ▼               │
//! output, lifecycle, admission, cooldown
//!                  ▼
//! metrics ──► telemetry, descriptors ──► event, error, credentials
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
