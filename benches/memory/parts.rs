//! The parts of an open stream.

use crate::profile::Profile;

/// Bytes by part.
pub(crate) struct Parts(Vec<(&'static str, i64)>);

/// Parts, each with functions that allocate for it. The first that has one in an
/// allocation's stack is given its bytes.
const PARTS: &[(&str, &[&str])] = &[
    ("the flight and its log", &["sparkler::flight::", "sparkler::recording::"]),
    ("the request to the provider", &["sparkler::node::request"]),
    ("the reading of its answer", &["fireworks::answer", "fireworks::template", "fireworks::sse"]),
    (
        "the provider's connection and HTTP/2",
        &["fireworks::connections", "h2::client", "hyper::proto::h2::client", "reqwest::"],
    ),
    ("telemetry", &["telemetry::span::Span::begin", "execution::observe"]),
    ("the leader's task", &["leader::job", "execution::join", "sparkler::node::"]),
    (
        "the session and its deadlines",
        &["execution::session", "Executor::session", "grpc::stream", "lifecycle::expiry"],
    ),
    ("the call's request and slot", &["execution::prepare", "grpc::request", "admission::"]),
    ("the caller's connection, HTTP/2 and gRPC", &["h2::", "hyper", "tonic::", "sparkler::server"]),
];

impl Parts {
    /// Gives each allocation to its part.
    pub(crate) fn of(profile: &Profile) -> Parts {
        let mut parts: Vec<_> = PARTS.iter().map(|(title, _)| (*title, 0)).collect();
        parts.push(("the rest", 0));
        for (stack, bytes) in profile.stacks() {
            parts[part(stack)].1 += bytes;
        }
        Parts(parts)
    }

    /// Prints a Markdown table.
    pub(crate) fn print(&self) {
        println!("| part | bytes a stream |\n|---|--:|");
        for (title, bytes) in &self.0 {
            println!("| {title} | {bytes} |");
        }
        println!("| all | {} |", self.0.iter().map(|(_, bytes)| bytes).sum::<i64>());
    }
}

fn part(stack: &[String]) -> usize {
    let is_of = |functions: &[&str]| {
        stack.iter().any(|function| functions.iter().any(|own| function.contains(own)))
    };
    PARTS.iter().position(|(_, functions)| is_of(functions)).unwrap_or(PARTS.len())
}
