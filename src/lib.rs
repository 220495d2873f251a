//! Sparkler, a gRPC worker that executes Fireworks.ai nodes for visual-flow
//! orchestrators.

pub mod cache;
pub mod credentials;
pub mod error;
pub mod event;
pub mod flight;
pub mod price;
pub mod proto;
pub mod recording;
