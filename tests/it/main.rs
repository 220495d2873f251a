//! The integration tests of the worker and its program, in one binary, since each
//! binary links the whole worker.
//!
//! Run one group by its module, such as `cargo nextest run --test it deadlines::`.

mod abuse;
mod admission;
mod affinity;
mod attach;
mod bad_input;
mod broken_node;
mod canary;
mod circles;
mod cli;
mod clients;
mod conventions;
mod cooldown;
mod deadlines;
mod deployment;
mod differential;
mod embeddings;
mod execute_node;
mod failures;
mod fairness;
mod fleet;
mod fleet_protocol;
mod ingress;
mod layers;
mod lifecycle;
mod load;
mod metrics;
mod nodes;
mod observability;
mod proto;
mod quota;
mod readme;
mod redis_servers;
mod retirement;
mod retries;
mod rolling;
mod sdks;
mod shared_cache;
mod simulator;
mod source;
mod support;
mod telemetry_page;
mod tiers;
mod upstream_faults;
mod walkthrough;
