//! Everything that can go wrong with an execution: one enum that answers, by
//! exhaustive match, what happened ([`Error::reason`]), whose mistake it is
//! ([`Error::fault`]), whether a retry helps ([`Error::retry`]) and what the
//! caller sees ([`Error::public_message`]).
//!
//! No variant holds a secret. Provider text is included only after `fireworks`
//! has checked, truncated and redacted it. The mapping to a gRPC status is in
//! `grpc`.

mod deadline;
mod limit;
mod provider;

use std::{borrow::Cow, fmt, time::Duration};

pub(crate) use self::limit::ExhaustedQuota;
pub use self::{
    deadline::Deadline,
    limit::Limit,
    provider::{ProviderError, ProviderErrorKind},
};

use crate::event::Phase;

/// The reason an execution failed.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The node's configuration, input or output options are wrong: lists every
    /// such field at once.
    InvalidNodeConfig(Vec<Violation>),
    /// This worker has no such node type.
    UnknownNodeType {
        /// The requested type.
        given: String,
        /// The types this worker has.
        known: Vec<&'static str>,
    },
    /// `ONLY_IF_CACHED` was requested and nothing is cached.
    NotCached,
    /// The execution token is unknown, expired, or another caller's.
    ExecutionNotFound,
    /// The idempotency key was used with another request.
    IdempotencyMismatch,
    /// The caller is not known to this worker.
    CallerUnauthenticated,
    /// The request is compressed.
    RequestCompressed,
    /// The request did not arrive in full in time.
    RequestOverdue {
        /// The time limit.
        limit: Duration,
    },
    /// The provider refused or failed.
    Provider(Box<ProviderError>),
    /// A deadline expired.
    Deadline {
        /// The deadline.
        deadline: Deadline,
        /// The length of the deadline.
        limit: Duration,
        /// The phase in which it expired.
        phase: Phase,
    },
    /// A limit of the worker was reached.
    Saturated {
        /// The limit.
        limit: Limit,
        /// The delay before a retry.
        retry_after: Duration,
    },
    /// The worker is shutting down.
    Draining {
        /// The delay before a retry, on another worker.
        retry_after: Duration,
    },
    /// The call's connection reached its maximum age.
    ConnectionMaxAge {
        /// The delay before a retry, over a new connection.
        retry_after: Duration,
    },
    /// JSON was requested, and the answer is not JSON.
    OutputNotJson {
        /// The position and the cause of the parse error.
        problem: String,
        /// The answer, up to [`Error::MAX_TEXT_BYTES`].
        text: String,
    },
    /// The answer is JSON but does not match the schema.
    OutputSchemaMismatch {
        /// The mismatches and their locations.
        problem: String,
        /// The answer, up to [`Error::MAX_TEXT_BYTES`].
        text: String,
    },
    /// The answer exceeds the worker's limit.
    OutputTooLarge {
        /// The limit, in bytes.
        limit_bytes: usize,
    },
    /// The flight was stopped because its last subscriber left.
    Cancelled,
    /// The worker failed: a panic, or a state that should be impossible.
    Internal(&'static str),
}

/// One invalid field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field, such as `config.temperature` or
    /// `chat.messages[2].role`.
    pub field: String,
    /// The problem and its remedy, as a sentence without its subject.
    pub description: String,
    /// The number of problems it represents: more than one if the rest were
    /// only counted.
    count: usize,
}

impl Violation {
    /// Creates a violation that represents one problem.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Violation {
        Violation { field: field.into(), description: description.into(), count: 1 }
    }

    /// Creates a violation that represents `count` problems, not described
    /// individually.
    pub fn more(count: usize) -> Violation {
        let description = format!("has these problems and {count} more");
        Violation { count, ..Violation::new("request", description) }
    }

    /// Returns the number of problems it represents.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// The party whose mistake an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller, or the author of the flow.
    Caller,
    /// The provider, or the network in between.
    Provider,
    /// The model: the answer is not as requested.
    Model,
    /// Nobody: a configured limit was reached.
    Limit,
    /// The worker itself.
    Worker,
}

/// Advice on retrying the same call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Do not retry: it ends the same way, or would be paid twice for nothing new.
    No,
    /// Retry after a delay of the caller's choice.
    Yes,
    /// Retry, not before this time has passed.
    After(Duration),
}

impl Error {
    /// The error of a draining worker. A retry reaches another one, so the delay is short.
    pub const DRAINING: Error = Error::Draining { retry_after: Duration::from_secs(1) };

    /// The error a caller gets for a panic; its message stays inside.
    pub const PANICKED: Error = Error::Internal("the worker panicked; its log says where");

    /// Maximum bytes of the answer in [`Error::OutputNotJson`] and
    /// [`Error::OutputSchemaMismatch`]; a status, which travels in headers,
    /// carries even less.
    pub const MAX_TEXT_BYTES: usize = 2 * 1024;

    /// Returns the error of a flight that another credential pays for, without what
    /// concerns that credential alone.
    pub fn for_another_credential(self) -> Error {
        match self {
            Error::Provider(provider) if provider.kind.is_about_the_credential() => {
                Error::from(ProviderError {
                    message: Some("the execution that was joined was refused".to_owned()),
                    ..ProviderError::interrupted(provider.phase)
                })
            }
            error => error,
        }
    }

    /// Returns the reason in one word: the `reason` of `ErrorInfo`, the metric
    /// label and the log field.
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

    /// The reasons of executions that ended by no mistake of their callers: of the
    /// provider, the model, a limit or the worker. Alerts count these.
    pub const NOT_THE_CALLERS: [&str; 17] = [
        "CONNECTION_MAX_AGE",
        "CONNECT_TIMEOUT",
        "DEPLOYMENT_SCALING_UP",
        "FIRST_TOKEN_TIMEOUT",
        "IDLE_TIMEOUT",
        "OUTPUT_NOT_JSON",
        "OUTPUT_SCHEMA_MISMATCH",
        "OUTPUT_TOO_LARGE",
        "PROVIDER_ANSWER_INVALID",
        "PROVIDER_RATE_LIMITED",
        "PROVIDER_UNAVAILABLE",
        "QUOTA_EXHAUSTED",
        "STREAM_INTERRUPTED",
        "TOTAL_TIMEOUT",
        "WORKER_DRAINING",
        "WORKER_FAILED",
        "WORKER_SATURATED",
    ];

    /// Returns the party whose mistake it is.
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

    /// Returns advice on retrying the same call: `safe_to_retry` in
    /// `ErrorInfo`, with the wait in `RetryInfo`.
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

    /// Returns the exhausted quota, if that is the cause.
    pub fn quota(&self) -> Option<ExhaustedQuota> {
        match self {
            Error::Saturated { limit, .. } => limit.quota(),
            _ => None,
        }
    }

    /// Returns the message for the caller: what happened, to what, and what to do.
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
                "the connection reached its maximum age; reconnect and resume with the execution token, or execute again".to_owned()
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
                "the execution was stopped because its last subscriber left; execute again"
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

/// Maximum bytes of a text from outside in a log line or a span.
pub(crate) const MAX_LOGGED_BYTES: usize = 128;

/// Returns the beginning of a text, at most `max_bytes` long, for messages.
pub(crate) fn shorten(text: &str, max_bytes: usize) -> Cow<'_, str> {
    if text.len() <= max_bytes {
        return Cow::Borrowed(text);
    }
    let mut end = max_bytes;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}…", &text[..end]))
}
