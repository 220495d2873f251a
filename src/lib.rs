//! Sparkler, a gRPC worker that executes Fireworks.ai nodes for visual-flow
//! orchestrators.

pub mod admission;
pub mod cache;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod error;
pub mod event;
pub mod execution;
pub mod fireworks;
pub mod flight;
pub mod lifecycle;
pub mod node;
pub mod output;
pub mod price;
pub mod proto;
pub mod recording;
mod report;
pub mod secrets;
pub mod server;
pub mod service;
pub mod simulator;
