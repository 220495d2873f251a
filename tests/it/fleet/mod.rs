//! Workers that share a Redis are one: whichever of them is called, a repeat is a
//! hit, identical executions under way are one upstream call, a lost connection
//! is picked up anywhere, and a lost worker is stood in for.

#![allow(clippy::print_stderr, reason = "the figures are printed")]

mod attaching;
mod counting;
mod losing;
pub(crate) mod members;
mod redis_failing;
mod releases;
mod sharing;
mod trouble;
