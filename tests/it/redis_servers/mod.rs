//! A fleet over Redis servers of every form, and what can happen to them. Each
//! test starts its own servers; `SPARKLER_REDIS_SERVER` names another program
//! than `redis-server`, to try the same on Valkey.

#![allow(clippy::print_stderr, reason = "the figures are printed")]

mod canary;
mod cluster;
mod failing_over;
mod faults;
mod forms;
mod memory;
mod rights;
pub(crate) mod sentinels;
mod starting;
mod storm;
mod tls;
mod workers;
