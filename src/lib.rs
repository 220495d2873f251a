//! Sparkler, a gRPC worker that executes Fireworks.ai nodes for visual-flow
//! orchestrators.

pub mod cli;
pub mod config;
pub mod credentials;
pub mod error;
pub mod event;
pub mod proto;
pub mod server;
pub mod simulator;
