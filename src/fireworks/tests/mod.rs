//! The client against a provider that does what a test tells it to, and its
//! parts against tables and properties.

mod actors;
mod connecting;
mod failing;
mod generating;
