//! Describes connection failures in the worker's own words: the HTTP library's
//! messages name URLs and addresses, and are never shown.

use std::{error::Error as _, io, time::Duration};

use crate::{
    admission::saturated_for_a_moment,
    descriptors,
    error::{Error, Limit},
    telemetry::Limiter,
};

static LINES: Limiter = Limiter::new(1, Duration::from_secs(30));

/// Logs, at a limited rate, that no socket can be opened, and returns the
/// caller's error: the worker lacks something, not the provider.
pub(super) fn out_of_descriptors() -> Error {
    if let Some(suppressed) = LINES.pass("descriptors") {
        tracing::warn!(
            limit = descriptors::limit(),
            suppressed,
            "file descriptors have run out: no connection with the provider can be opened; raise \
             the limit (LimitNOFILE, ulimit -n)"
        );
    }
    saturated_for_a_moment(Limit::Descriptors)
}

/// Describes the cause of a failed request.
pub(super) fn describe(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        return "the connection timed out";
    }
    if let Some(kind) = io_kind(error)
        && let Some(text) = describe_io(kind)
    {
        return text;
    }
    if !error.is_connect() {
        return "the connection broke";
    }
    if chain_mentions(error, "dns error") {
        return "the provider's host name could not be resolved";
    }
    if chain_mentions(error, "certificate") {
        return "the provider's TLS certificate was not accepted";
    }
    "no connection could be established"
}

/// Returns true if the peer had closed the connection before it responded.
pub(super) fn was_closed(error: &reqwest::Error) -> bool {
    let is_closed = matches!(
        io_kind(error),
        Some(
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::UnexpectedEof
        )
    );
    is_closed || chain_mentions(error, "connection closed before message completed")
}

fn describe_io(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::ConnectionRefused => Some("the connection was refused"),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            Some("the connection was reset")
        }
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            Some("the connection was closed")
        }
        io::ErrorKind::TimedOut => Some("the connection timed out"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Some("the provider's host cannot be reached")
        }
        _ => None,
    }
}

/// Returns the kind of the innermost I/O error.
fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last().map(io::Error::kind)
}

fn chain_mentions(error: &reqwest::Error, word: &str) -> bool {
    chain(error).any(|cause| cause.to_string().contains(word))
}

fn chain<'a>(
    error: &'a reqwest::Error,
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}
