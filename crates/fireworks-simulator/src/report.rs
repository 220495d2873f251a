//! What the simulator has seen: plain numbers, for tests and for
//! `GET /simulator/report`.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::endpoint::Endpoint;

/// Counts since the start or the last reset.
///
/// At any time `calls = completed + refused + aborted + cut + in_flight`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Calls to the inference API.
    pub calls: u64,
    /// The same by endpoint.
    pub by_endpoint: BTreeMap<Endpoint, u64>,
    /// Those that named a model, by that name; up to 1,024 names.
    pub by_model: BTreeMap<String, u64>,
    /// Answers by HTTP status.
    pub by_status: BTreeMap<u16, u64>,
    /// Streams begun.
    pub streams: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// The most that were under way at once.
    pub peak_in_flight: u64,
    /// Calls in a stall at the moment.
    pub stalled: u64,
    /// Calls answered to the end, as far as their script let them.
    pub completed: u64,
    /// Calls answered with an error status.
    pub refused: u64,
    /// Calls whose client left before the end.
    pub aborted: u64,
    /// Calls whose connection a fault broke.
    pub cut: u64,
    /// The last call whose client left.
    pub last_abort: Option<Abort>,
    /// Deltas written.
    pub deltas: u64,
    /// Prompt tokens of accepted calls.
    pub prompt_tokens: u64,
    /// Of these, found in the prompt cache.
    pub cached_tokens: u64,
    /// Tokens produced; what a call produced before its client left is billed.
    pub completion_tokens: u64,
    /// Requests that differ in what can change the answer. Counts up to 65,536.
    pub distinct_requests: u64,
    /// TCP connections accepted.
    pub connections: u64,
    /// TCP connections open now.
    pub open_connections: u64,
    /// The last requests, oldest first; how many is an option.
    pub requests: VecDeque<Seen>,
}

/// A client that left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Abort {
    /// Milliseconds from the last write (or, without one, from the request) to
    /// when the simulator noticed.
    pub after_last_write_ms: f64,
    /// Deltas it had been sent.
    pub deltas: u64,
}

/// A request as it came, with the credential taken out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Where it went.
    pub endpoint: Endpoint,
    /// Such as `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The id it was answered with.
    pub request_id: String,
    /// Header names in lower case; the authorization is `[REDACTED]`.
    pub headers: BTreeMap<String, String>,
    /// The JSON body; null where there was none or it is no JSON.
    pub body: Value,
}
