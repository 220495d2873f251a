//! Sparkler, a gRPC worker that executes Fireworks.ai nodes for visual-flow
//! orchestrators.

pub mod admission;
pub mod cache;
pub mod credentials;
pub mod error;
pub mod event;
pub mod fireworks;
pub mod flight;
pub mod lifecycle;
pub mod price;
pub mod proto;
pub mod recording;
pub mod secrets;
