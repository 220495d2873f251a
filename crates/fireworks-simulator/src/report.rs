//! The simulator's statistics: plain numbers, for tests and for
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
    /// Calls to the account API, for records of models; not part of `calls`.
    pub record_calls: u64,
    /// Calls by endpoint.
    pub by_endpoint: BTreeMap<Endpoint, u64>,
    /// Calls that named a model, by that name; up to 1,024 names.
    pub by_model: BTreeMap<String, u64>,
    /// The times of answers, by model; up to 1,024 names.
    pub times: BTreeMap<String, Times>,
    /// Responses by HTTP status.
    pub by_status: BTreeMap<u16, u64>,
    /// Streams begun.
    pub streams: u64,
    /// Calls under way.
    pub in_flight: u64,
    /// Maximum calls under way at once.
    pub peak_in_flight: u64,
    /// Calls currently stalled.
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
    /// Prompt tokens found in the prompt cache.
    pub cached_tokens: u64,
    /// Prompt tokens that one replica with the memory of all would have had cached.
    pub oracle_cached_tokens: u64,
    /// The work of each replica that served a call.
    pub by_replica: BTreeMap<usize, Replica>,
    /// US dollars for the tokens of prompts and answers, at the models' prices.
    pub billed_dollars: f64,
    /// Tokens generated; those generated before a client left are billed.
    pub completion_tokens: u64,
    /// Requests that differ in something that can change the answer. Counts up
    /// to 65,536.
    pub distinct_requests: u64,
    /// Texts embedded, repeated ones included.
    pub texts: u64,
    /// Texts embedded that differ in something that can change their vectors. Counts
    /// up to 65,536.
    pub distinct_texts: u64,
    /// TCP connections accepted.
    pub connections: u64,
    /// TCP connections open now.
    pub open_connections: u64,
    /// The last requests, oldest first; [`Options`](crate::Options) sets the number.
    pub requests: VecDeque<Seen>,
}

/// The times of a model's streamed answers, as the simulator wrote them: means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// The answers, each written to its end.
    pub answers: u64,
    /// Milliseconds from the request to the first delta.
    pub first_token_ms: f64,
    /// Tokens a second of an answer, those of its first delta excluded.
    pub tokens_per_second: f64,
    /// Milliseconds from the request to the end.
    pub latency_ms: f64,
}

/// The work of one replica.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// Accepted calls.
    pub calls: u64,
    /// Their prompt tokens.
    pub prompt_tokens: u64,
    /// Those found in the replica's prompt cache.
    pub cached_tokens: u64,
}

/// A call whose client left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Abort {
    /// Milliseconds from the last write (or, without one, from the request)
    /// until the simulator noticed.
    pub after_last_write_ms: f64,
    /// Deltas sent before that.
    pub deltas: u64,
}

/// A request as it came, with the credential redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The HTTP version, such as `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// The id of the response.
    pub request_id: String,
    /// Header names in lower case; the authorization is `[REDACTED]`.
    pub headers: BTreeMap<String, String>,
    /// The JSON body; null if it is absent or not JSON.
    pub body: Value,
}
