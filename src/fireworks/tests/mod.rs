//! The client against a provider that does what a test tells it to, and its
//! parts against tables and properties.

mod actors;
mod connecting;
mod decoding;
mod failing;
mod generating;
mod probing;
mod retrying;
mod splitting;
