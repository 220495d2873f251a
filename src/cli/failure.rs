//! The ways a command fails, and its error messages.
//!
//! A failed call is shown as `REASON: message` with the retry delay, whether a
//! retry is safe, every invalid field and any rejected output: everything in the
//! worker's status. Nothing is guessed.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use prost::Message;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

use super::{
    terminal::{BAD, DIM, printable},
    units,
};
use crate::proto::FailureDetail;

/// The reasons a command fails.
#[derive(Debug)]
pub(super) enum CommandError {
    /// The command line, or a file that it names, is wrong.
    Usage(anyhow::Error),
    /// The call to the worker ended with this status.
    Call(Box<Status>),
    /// The worker cannot be reached.
    Unreachable(anyhow::Error),
    /// Any other error.
    Other(anyhow::Error),
    /// Interrupted by Ctrl-C.
    Interrupted,
    /// The reader of stdout has gone.
    OutputClosed,
}

impl CommandError {
    /// Prints the failure to stderr and returns its exit code for scripts.
    pub(super) fn report(self) -> ExitCode {
        let mut stderr = anstream::stderr().lock();
        // If stderr is closed, the exit code still reports the failure.
        let _ = self.write(&mut stderr);
        self.exit_code()
    }

    /// Writes the failure to a worker's log.
    pub(super) fn log(&self) -> ExitCode {
        tracing::error!("{self}");
        self.exit_code()
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            CommandError::OutputClosed => ExitCode::SUCCESS,
            CommandError::Call(_) | CommandError::Unreachable(_) | CommandError::Other(_) => {
                ExitCode::FAILURE
            }
            CommandError::Usage(_) => ExitCode::from(2),
            // 128 + SIGINT, as in shells.
            CommandError::Interrupted => ExitCode::from(130),
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            CommandError::Usage(problem) => line(out, "error", &chain(problem)),
            CommandError::Other(problem) => line(out, "FAILED", &chain(problem)),
            CommandError::Unreachable(problem) => line(out, "WORKER_UNREACHABLE", &chain(problem)),
            CommandError::Call(status) => write_status(status, out),
            CommandError::Interrupted => {
                line(out, "INTERRUPTED", "stopped, and the provider with it")
            }
            CommandError::OutputClosed => Ok(()),
        }
    }
}

impl fmt::Display for CommandError {
    /// Formats the failure without the `error:` that a terminal shows before it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandError::Usage(problem)
            | CommandError::Other(problem)
            | CommandError::Unreachable(problem) => formatter.write_str(&chain(problem)),
            CommandError::Call(status) => formatter.write_str(status.message()),
            CommandError::Interrupted => formatter.write_str("interrupted"),
            CommandError::OutputClosed => formatter.write_str("the output is closed"),
        }
    }
}

impl From<Status> for CommandError {
    fn from(status: Status) -> CommandError {
        CommandError::Call(Box::new(status))
    }
}

impl From<anyhow::Error> for CommandError {
    fn from(problem: anyhow::Error) -> CommandError {
        CommandError::Other(problem)
    }
}

/// For output errors only: errors from reading files are [`CommandError::Usage`].
impl From<io::Error> for CommandError {
    fn from(problem: io::Error) -> CommandError {
        match problem.kind() {
            io::ErrorKind::BrokenPipe => CommandError::OutputClosed,
            _ => CommandError::Other(
                anyhow::Error::new(problem).context("the output cannot be written"),
            ),
        }
    }
}

/// Writes a status for a person.
pub(super) fn write_status(status: &Status, out: &mut impl Write) -> io::Result<()> {
    let details = status.get_error_details();
    let failure = failure_detail(status).unwrap_or_default();
    line(out, &reason(status, &details), &message(status, &details))?;
    for violation in violations(&details) {
        writeln!(out, "  {}", printable(&violation))?;
    }
    if let Some(safe) = details.error_info().and_then(|info| info.metadata.get("safe_to_retry")) {
        let wait = details.retry_info().and_then(|info| info.retry_delay);
        fact(out, "safe to retry", &safe_to_repeat(safe == "true", wait))?;
    }
    if failure.attempts > 1 {
        fact(out, "attempts", &failure.attempts.to_string())?;
    }
    if let Some(cost) = &failure.cost {
        fact(out, "spent", &units::dollars(cost.spent_nanodollars))?;
    }
    if let Some(id) = details.error_info().and_then(|info| info.metadata.get("provider_request_id"))
    {
        fact(out, "provider request", id)?;
    }
    if !failure.text.is_empty() {
        fact(out, "the answer was", "")?;
        writeln!(out, "{}", printable(&failure.text))?;
    }
    Ok(())
}

/// Returns the worker's reason. A status from elsewhere (a proxy, a lost
/// connection) has only gRPC's code.
pub(super) fn reason(status: &Status, details: &ErrorDetails) -> String {
    match details.error_info() {
        Some(info) => info.reason.clone(),
        None => {
            let words = format!("{:?}", status.code());
            let mut name = String::with_capacity(words.len() + 4);
            for (index, letter) in words.char_indices() {
                if index > 0 && letter.is_ascii_uppercase() {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            name
        }
    }
}

/// Returns the message without the field errors, which are listed separately.
fn message(status: &Status, details: &ErrorDetails) -> String {
    let message = status.message();
    violations(details)
        .first()
        .and_then(|first| message.find(first.as_str()))
        .map_or(message, |start| message[..start].trim_end())
        .to_owned()
}

fn violations(details: &ErrorDetails) -> Vec<String> {
    details.bad_request().map_or_else(Vec::new, |request| {
        request
            .field_violations
            .iter()
            .map(|violation| format!("{} {}", violation.field, violation.description))
            .collect()
    })
}

fn safe_to_repeat(safe: bool, wait: Option<Duration>) -> String {
    match (safe, wait) {
        (false, _) => "no".to_owned(),
        (true, None) => "yes".to_owned(),
        (true, Some(wait)) => format!("yes, after {}", units::span(wait)),
    }
}

/// Returns Sparkler's own detail, which stands among those of `google.rpc`.
pub(super) fn failure_detail(status: &Status) -> Option<FailureDetail> {
    let status = tonic_types::Status::decode(status.details()).ok()?;
    let detail = status
        .details
        .iter()
        .find(|any| any.type_url.ends_with("/sparkler.worker.v1.FailureDetail"))?;
    FailureDetail::decode(detail.value.as_slice()).ok()
}

/// Joins an error and its causes, leaving out a cause that the error before it
/// already quotes.
fn chain(problem: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in problem.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn line(out: &mut impl Write, reason: &str, message: &str) -> io::Result<()> {
    writeln!(out, "{BAD}{}{BAD:#}: {}", printable(reason), printable(message))
}

fn fact(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{}", format!("  {DIM}{name}:{DIM:#} {}", printable(value)).trim_end())
}

#[cfg(test)]
mod tests {
    use prost_types::Any;
    use tonic::Code;

    use super::*;
    use crate::proto::Cost;

    fn printed(status: Status) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        CommandError::from(status).write(&mut out).unwrap();
        String::from_utf8(out.into_inner()).unwrap()
    }

    fn details(reason: &str, metadata: &[(&str, &str)]) -> ErrorDetails {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut details = ErrorDetails::new();
        details.set_error_info(
            reason,
            "sparkler",
            metadata.collect::<std::collections::HashMap<_, _>>(),
        );
        details
    }

    #[test]
    fn a_failure_says_what_happened_and_whether_a_repeat_is_safe() {
        let mut details = details(
            "PROVIDER_RATE_LIMITED",
            &[("safe_to_retry", "true"), ("provider_request_id", "chatcmpl-1")],
        );
        details.set_retry_info(Some(Duration::from_secs(2)));
        let status = Status::with_error_details(Code::ResourceExhausted, "too much", details);
        assert_eq!(
            printed(status),
            "PROVIDER_RATE_LIMITED: too much\n  safe to retry: yes, after 2.00s\n  \
             provider request: chatcmpl-1\n"
        );
    }

    #[test]
    fn every_wrong_field_has_its_line() {
        let mut details = details("INVALID_NODE_CONFIG", &[("safe_to_retry", "false")]);
        details.add_bad_request_violation("config.temperature", "must be at most 2");
        details.add_bad_request_violation("config.modelName", "is missing");
        let status = Status::with_error_details(
            Code::InvalidArgument,
            "the node cannot run: config.temperature must be at most 2; config.modelName is missing",
            details,
        );
        assert_eq!(
            printed(status),
            "INVALID_NODE_CONFIG: the node cannot run:\n  config.temperature must be at most 2\n  \
             config.modelName is missing\n  safe to retry: no\n"
        );
    }

    #[test]
    fn output_that_is_not_json_is_shown() {
        let detail = FailureDetail {
            attempts: 2,
            cost: Some(Cost { spent_nanodollars: 5_000, ..Cost::default() }),
            text: "Sure! {\x1b[2J".to_owned(),
            ..FailureDetail::default()
        };
        let any = Any {
            type_url: "type.googleapis.com/sparkler.worker.v1.FailureDetail".to_owned(),
            value: detail.encode_to_vec(),
        };
        let inner = tonic_types::Status { code: 9, message: String::new(), details: vec![any] };
        let status = Status::with_details(
            Code::FailedPrecondition,
            "not JSON",
            inner.encode_to_vec().into(),
        );
        assert_eq!(
            printed(status),
            "FAILED_PRECONDITION: not JSON\n  attempts: 2\n  spent: $0.000005\n  \
             the answer was:\nSure! {\\u{1b}[2J\n"
        );
    }

    #[test]
    fn a_status_of_somebody_else_keeps_the_words_of_grpc() {
        assert_eq!(printed(Status::deadline_exceeded("late")), "DEADLINE_EXCEEDED: late\n");
    }
}
