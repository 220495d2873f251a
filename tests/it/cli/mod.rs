//! The command line, as a shell sees it: the real program, its output and its
//! exit code.
//!
//! `execute`, `check` and `nodes` talk to a worker that says what the test
//! wants; what they do with a worker and a provider of their own is in
//! `in_process`.

mod bench;
mod check;
mod execute;
mod failures;
mod help;
mod in_process;
mod models;
mod nodes;
mod prices;
mod program;
mod request;
mod starting;
