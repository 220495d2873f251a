//! Everything that can go wrong with an execution: one enum that answers, by
//! exhaustive match, what happened ([`Error::reason`]), whose mistake it is
//! ([`Error::fault`]), whether a repeat helps ([`Error::retry`]) and what to
//! tell the caller ([`Error::public_message`]).
//!
//! No variant holds a secret. Texts of the provider are in here only after
//! `fireworks` has read, cut and redacted them. The mapping to a gRPC status is
//! in `proto`.

mod deadline;
mod limit;
mod provider;

use std::{borrow::Cow, fmt, time::Duration};

pub use self::{
    deadline::Deadline,
    limit::{Limit, Quota},
    provider::{ProviderError, ProviderErrorKind},
};

use crate::event::Phase;

/// Why an execution failed.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The node's configuration, input or output options are wrong: every
    /// field that is, at once.
    InvalidNodeConfig(Vec<Violation>),
    /// No such node type on this worker.
    UnknownNodeType {
        /// What was asked for.
        given: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// `ONLY_IF_CACHED`, and not cached.
    NotCached,
    /// The execution token is unknown, expired, or another caller's.
    ExecutionNotFound,
    /// The idempotency key was used with another request.
    IdempotencyMismatch,
    /// The caller is not known to this worker.
    CallerUnauthenticated,
    /// The request is compressed.
    RequestCompressed,
    /// The request did not arrive whole in time.
    RequestOverdue {
        /// In which time.
        limit: Duration,
    },
    /// The provider refused or failed.
    Provider(Box<ProviderError>),
    /// A deadline fired.
    Deadline {
        /// Which.
        deadline: Deadline,
        /// How long it was.
        limit: Duration,
        /// What the execution was waiting for.
        phase: Phase,
    },
    /// A limit of the worker is met.
    Saturated {
        /// Which.
        limit: Limit,
        /// When to try again.
        retry_after: Duration,
    },
    /// The worker is stopping.
    Draining {
        /// When to try again, elsewhere.
        retry_after: Duration,
    },
    /// The call's connection has become as old as the operator lets it.
    ConnectionMaxAge {
        /// When to try again, over another.
        retry_after: Duration,
    },
    /// The answer is not JSON although JSON was asked for.
    OutputNotJson {
        /// Where and why parsing stopped.
        problem: String,
        /// The answer, up to [`Error::MAX_TEXT_BYTES`].
        text: String,
    },
    /// The answer is JSON, and does not meet the schema.
    OutputSchemaMismatch {
        /// What does not meet it, and where.
        problem: String,
        /// The answer, up to [`Error::MAX_TEXT_BYTES`].
        text: String,
    },
    /// The answer is larger than the worker's bound.
    OutputTooLarge {
        /// The bound.
        limit_bytes: usize,
    },
    /// The flight was stopped because its last listener left.
    Cancelled,
    /// The worker failed: a panic, or a state that should not be.
    Internal(&'static str),
}

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Where, such as `config.temperature` or `chat.messages[2].role`.
    pub field: String,
    /// What is wrong and what to do, as a sentence without its subject.
    pub description: String,
    /// How many problems it stands for: more than one where the rest were only
    /// counted.
    count: usize,
}

impl Violation {
    /// A violation.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Violation {
        Violation { field: field.into(), description: description.into(), count: 1 }
    }

    /// Stands for so many more that are not described one by one.
    pub fn more(count: usize) -> Violation {
        let description = format!("has these problems and {count} more");
        Violation { count, ..Violation::new("request", description) }
    }

    /// Returns how many problems it stands for.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// Whose mistake an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller's, or the flow's author's.
    Caller,
    /// The provider's, or the way to it.
    Provider,
    /// The model's: the answer is not what was asked for.
    Model,
    /// Nobody's: a limit was met, as it was set.
    Limit,
    /// The worker's own.
    Worker,
}

/// Whether a repeat of the same call helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// No: it ends the same way, or would be paid twice for nothing new.
    No,
    /// Yes, after a while.
    Yes,
    /// Yes, not before this time has passed.
    After(Duration),
}

impl Error {
    /// What a caller is told of a panic; its words stay inside.
    pub const PANICKED: Error = Error::Internal("it panicked; its log has the place");

    /// Longer answers are cut in [`Error::OutputNotJson`] and
    /// [`Error::OutputSchemaMismatch`]; a status, which travels in headers, takes
    /// less still.
    pub const MAX_TEXT_BYTES: usize = 2 * 1024;

    /// What happened: the `reason` of `ErrorInfo`, the metric label, the log
    /// field.
    pub fn reason(&self) -> &'static str {
        match self {
            Error::InvalidNodeConfig(_) => "INVALID_NODE_CONFIG",
            Error::UnknownNodeType { .. } => "UNKNOWN_NODE_TYPE",
            Error::NotCached => "NOT_CACHED",
            Error::ExecutionNotFound => "EXECUTION_NOT_FOUND",
            Error::IdempotencyMismatch => "IDEMPOTENCY_MISMATCH",
            Error::CallerUnauthenticated => "CALLER_UNAUTHENTICATED",
            Error::RequestCompressed => "COMPRESSION_UNSUPPORTED",
            Error::RequestOverdue { .. } => "REQUEST_TIMEOUT",
            Error::Provider(provider) => provider.kind.reason(),
            Error::Deadline { deadline, .. } => deadline.reason(),
            Error::Saturated { limit, .. } => limit.reason(),
            Error::Draining { .. } => "WORKER_DRAINING",
            Error::ConnectionMaxAge { .. } => "CONNECTION_MAX_AGE",
            Error::OutputNotJson { .. } => "OUTPUT_NOT_JSON",
            Error::OutputSchemaMismatch { .. } => "OUTPUT_SCHEMA_MISMATCH",
            Error::OutputTooLarge { .. } => "OUTPUT_TOO_LARGE",
            Error::Cancelled => "EXECUTION_CANCELLED",
            Error::Internal(_) => "WORKER_FAILED",
        }
    }

    /// Whose mistake it is.
    pub fn fault(&self) -> Fault {
        match self {
            Error::InvalidNodeConfig(_)
            | Error::UnknownNodeType { .. }
            | Error::NotCached
            | Error::ExecutionNotFound
            | Error::IdempotencyMismatch
            | Error::CallerUnauthenticated
            | Error::RequestCompressed
            | Error::RequestOverdue { .. }
            | Error::Cancelled => Fault::Caller,
            Error::Provider(provider) => provider.kind.fault(),
            Error::Deadline { .. }
            | Error::Saturated { .. }
            | Error::Draining { .. }
            | Error::ConnectionMaxAge { .. } => Fault::Limit,
            Error::OutputNotJson { .. }
            | Error::OutputSchemaMismatch { .. }
            | Error::OutputTooLarge { .. } => Fault::Model,
            Error::Internal(_) => Fault::Worker,
        }
    }

    /// Whether a repeat of the same call helps. It is `safe_to_retry` in
    /// `ErrorInfo`, and the wait is `RetryInfo`.
    pub fn retry(&self) -> Retry {
        match self {
            Error::InvalidNodeConfig(_)
            | Error::UnknownNodeType { .. }
            | Error::NotCached
            | Error::ExecutionNotFound
            | Error::IdempotencyMismatch
            | Error::CallerUnauthenticated
            | Error::RequestCompressed
            | Error::OutputNotJson { .. }
            | Error::OutputSchemaMismatch { .. }
            | Error::OutputTooLarge { .. }
            | Error::Internal(_) => Retry::No,
            Error::Deadline { .. } | Error::RequestOverdue { .. } | Error::Cancelled => Retry::Yes,
            Error::Saturated { retry_after, .. }
            | Error::Draining { retry_after }
            | Error::ConnectionMaxAge { retry_after } => Retry::After(*retry_after),
            Error::Provider(provider) => provider.retry(),
        }
    }

    /// Whose quota is used up, where that is why.
    pub fn quota(&self) -> Option<Quota> {
        match self {
            Error::Saturated { limit, .. } => limit.quota(),
            _ => None,
        }
    }

    /// What to tell the caller: what happened, to what, and what to do.
    pub fn public_message(&self) -> String {
        match self {
            Error::InvalidNodeConfig(violations) => invalid_config_message(violations),
            Error::UnknownNodeType { given, known } => format!(
                "this worker has no node type {:?}; it has {}",
                shorten(given, 64),
                known.join(", ")
            ),
            Error::NotCached => "the answer is not cached, and ONLY_IF_CACHED forbids asking the \
                                 provider; use READ_WRITE to execute"
                .to_owned(),
            Error::ExecutionNotFound => "no execution with this token for this caller: it is \
                                        unknown, has expired or belongs to somebody else; execute \
                                        again"
                .to_owned(),
            Error::IdempotencyMismatch => "the idempotency key was used with another request; use \
                                           a new key for a new request"
                .to_owned(),
            Error::CallerUnauthenticated => {
                "the worker does not know this caller; check the worker's token or the client \
                 certificate"
                    .to_owned()
            }
            Error::RequestCompressed => {
                "this worker reads no compressed requests: a few bytes can \
                                         stand for any memory; send the request as it is"
                    .to_owned()
            }
            Error::RequestOverdue { limit } => format!(
                "the request did not arrive whole within {}; send it at once and end it, or have \
                 the operator raise --request-timeout",
                humantime::format_duration(*limit)
            ),
            Error::Provider(provider) => provider.public_message(),
            Error::Deadline { deadline, limit, phase } => deadline.public_message(*limit, *phase),
            Error::Saturated { limit, .. } => limit.public_message(),
            Error::Draining { .. } => {
                "the worker is stopping; try again on another worker".to_owned()
            }
            Error::ConnectionMaxAge { .. } => {
                "the connection is as old as this worker lets one get; go \
                                              on over another with the execution token, or \
                                              execute again"
                    .to_owned()
            }
            Error::OutputNotJson { problem, .. } => format!(
                "the model's answer is not JSON ({problem}); ask for JSON in the prompt, or allow \
                 more tokens"
            ),
            Error::OutputSchemaMismatch { problem, .. } => format!(
                "the model's answer does not meet the schema ({problem}); name the fields in the \
                 prompt, or relax the schema"
            ),
            Error::OutputTooLarge { limit_bytes } => format!(
                "the answer is larger than the worker's bound of {limit_bytes} bytes; lower \
                 maxTokens, or have the operator raise the bound"
            ),
            Error::Cancelled => {
                "the execution was stopped because nobody listened to it any more; execute again"
                    .to_owned()
            }
            Error::Internal(what) => {
                format!("the worker failed: {what}; tell its operator")
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.public_message())
    }
}

impl std::error::Error for Error {}

fn invalid_config_message(violations: &[Violation]) -> String {
    let fields: Vec<String> = violations
        .iter()
        .map(|violation| format!("{} {}", violation.field, violation.description))
        .collect();
    format!("the node cannot run as configured: {}", fields.join("; "))
}

/// The beginning of a text, at most `max_bytes` long, for messages.
pub fn shorten(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    let mut end = max_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", &text[..end]))
}
