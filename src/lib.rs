//! Sparkler, a gRPC worker that executes Fireworks.ai nodes for visual-flow
//! orchestrators.

pub mod credentials;
pub mod error;
pub mod event;
pub mod fireworks;
pub mod node;
pub mod output;
pub mod proto;
pub mod simulator;
