//! The clients against a whole worker: they work, and work alike in each
//! language.
//!
//! They are installed by `tests/setup`; a missing one fails, it is never
//! skipped.

pub(crate) mod client;
mod failing;
mod leaving;
mod program;
mod proxy;
mod reflection;
mod several;
mod streaming;
mod wire;
