//! The plan of a load, and its result: both cross a process border as JSON.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Call {
    /// An answer in one piece, never asked for before.
    Whole,
    /// An answer in one piece, the same every time, cached.
    Hit,
    /// An answer token by token, never asked for before.
    Stream,
}

/// How it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Face {
    /// `ExecuteNode`.
    Grpc,
    /// A chat completion.
    Http { path: String, model: String },
}

/// The plan that the parent passes to the load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) face: Face,
    pub(crate) call: Call,
    /// How many tokens an answer must have to count as one.
    pub(crate) tokens: u64,
    /// HTTP/2 connections that the callers share; over HTTP/1.1 each has its own.
    pub(crate) connections: usize,
    pub(crate) warm_up: Stage,
    pub(crate) measured: Stage,
    /// Up to how long a caller waits before each call, at random. The upstream's
    /// timers tick in milliseconds; calls that fall into step with them hide
    /// what a worker adds.
    pub(crate) scatter: Duration,
    /// The process under test.
    pub(crate) watched: Option<u32>,
}

/// A part of the load.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Stage {
    /// How many callers there are.
    pub(crate) callers: usize,
    /// Over which time they arrive, one by one.
    pub(crate) arrival: Duration,
    pub(crate) bound: Bound,
    /// When to give up on it.
    pub(crate) limit: Duration,
}

impl Stage {
    /// All callers at once, again and again, for `time`.
    pub(crate) fn lasting(callers: usize, time: Duration) -> Self {
        let limit = time + Duration::from_secs(30);
        Self { callers, arrival: Duration::ZERO, bound: Bound::Time(time), limit }
    }

    /// `calls` of each caller; the callers arrive over `arrival`.
    pub(crate) fn counting(callers: usize, calls: u64, arrival: Duration) -> Self {
        let limit = Duration::from_secs(120);
        Self { callers, arrival, bound: Bound::Calls(calls), limit }
    }
}

/// When no new call is made.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Bound {
    /// After a time; what is under way is waited for, and counts.
    Time(Duration),
    /// After so many calls of each caller.
    Calls(u64),
}

/// What the load saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) answers: u64,
    /// Calls without an answer, or with one that lacks tokens.
    pub(crate) failures: u64,
    pub(crate) first_failure: Option<String>,
    pub(crate) tokens: u64,
    pub(crate) elapsed: Duration,
    /// From the call to the end of the answer.
    pub(crate) latency: Spread,
    /// From the call to the first token.
    pub(crate) first_token: Spread,
    /// What the process under test used.
    pub(crate) cpu: Duration,
    /// Its memory between warm-up and measurement.
    pub(crate) idle_kib: u64,
    /// The most memory it had, looked at twenty times a second.
    pub(crate) peak_kib: u64,
}

/// A distribution, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spread {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) slowest: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<Duration>) -> Self {
        values.sort_unstable();
        let at = |part: f64| {
            let index = (values.len().saturating_sub(1) as f64 * part).round() as usize;
            values.get(index).map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
        };
        Self { p50: at(0.5), p99: at(0.99), slowest: at(1.0) }
    }
}
