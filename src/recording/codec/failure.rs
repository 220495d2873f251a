//! Encodes failures that belong to a flight and so to all its subscribers. A failure of
//! one caller, or of the worker that ran the flight, is not encoded.

use std::time::Duration;

use super::{Unreadable, wire};
use crate::{
    error::{Deadline, Error, ProviderError, ProviderErrorKind},
    event::{Phase, Usage},
};

pub(super) fn to_wire(error: &Error, usage: Option<&Usage>) -> Option<wire::FailureMessage> {
    let fault = Some(fault(error)?);
    Some(wire::FailureMessage { usage: usage.map(wire::UsageMessage::from), fault })
}

pub(super) fn from_wire(
    failure: wire::FailureMessage,
) -> Result<(Error, Option<Usage>), Unreadable> {
    let error = match failure.fault.ok_or(Unreadable::Content)? {
        wire::FaultMessage::Provider(provider) => provider_error(provider)?.into(),
        wire::FaultMessage::Deadline(deadline) => deadline_error(&deadline)?,
        wire::FaultMessage::OutputNotJson(wire::OutputMessage { problem, text }) => {
            Error::OutputNotJson { problem, text }
        }
        wire::FaultMessage::OutputSchemaMismatch(wire::OutputMessage { problem, text }) => {
            Error::OutputSchemaMismatch { problem, text }
        }
        wire::FaultMessage::OutputTooLarge(bytes) => {
            Error::OutputTooLarge { limit_bytes: bytes as usize }
        }
    };
    Ok((error, failure.usage.map(Usage::from)))
}

fn fault(error: &Error) -> Option<wire::FaultMessage> {
    Some(match error {
        Error::Provider(provider) => {
            wire::FaultMessage::Provider(wire::ProviderMessage::from(&**provider))
        }
        Error::Deadline { deadline, limit, phase } => {
            wire::FaultMessage::Deadline(wire::DeadlineMessage {
                deadline: deadline.reason().to_owned(),
                limit: milliseconds(*limit),
                phase: phase.as_str().to_owned(),
            })
        }
        Error::OutputNotJson { problem, text } => {
            wire::FaultMessage::OutputNotJson(output(problem, text))
        }
        Error::OutputSchemaMismatch { problem, text } => {
            wire::FaultMessage::OutputSchemaMismatch(output(problem, text))
        }
        Error::OutputTooLarge { limit_bytes } => {
            wire::FaultMessage::OutputTooLarge(*limit_bytes as u64)
        }
        // These do not end a flight, or another worker may succeed.
        Error::InvalidNodeConfig(_)
        | Error::UnknownNodeType { .. }
        | Error::NotCached
        | Error::ExecutionNotFound
        | Error::IdempotencyMismatch
        | Error::CallerUnauthenticated
        | Error::RequestCompressed
        | Error::RequestOverdue { .. }
        | Error::Saturated { .. }
        | Error::ConnectionMaxAge { .. }
        | Error::Draining { .. }
        | Error::Cancelled
        | Error::Internal(_) => return None,
    })
}

fn output(problem: &str, text: &str) -> wire::OutputMessage {
    wire::OutputMessage { problem: problem.to_owned(), text: text.to_owned() }
}

impl From<&ProviderError> for wire::ProviderMessage {
    fn from(error: &ProviderError) -> wire::ProviderMessage {
        // The affected accounts and the caching of refusals are decided by the worker
        // that sent the upstream request.
        let ProviderError {
            kind,
            http_status,
            code,
            message,
            request_id,
            retry_after,
            successor,
            account_wide: _,
            is_known_form: _,
            phase,
        } = error;
        wire::ProviderMessage {
            kind: kind.reason().to_owned(),
            http_status: http_status.map(u32::from),
            code: code.clone(),
            message: message.clone(),
            request_id: request_id.clone(),
            retry_after: retry_after.map(milliseconds),
            successor: successor.clone(),
            phase: phase.as_str().to_owned(),
        }
    }
}

fn provider_error(provider: wire::ProviderMessage) -> Result<ProviderError, Unreadable> {
    let http_status = provider.http_status.map(u16::try_from).transpose();
    Ok(ProviderError {
        kind: ProviderErrorKind::named(&provider.kind).ok_or(Unreadable::Content)?,
        http_status: http_status.map_err(|_| Unreadable::Content)?,
        code: provider.code,
        message: provider.message,
        request_id: provider.request_id,
        retry_after: provider.retry_after.map(Duration::from_millis),
        successor: provider.successor,
        account_wide: false,
        is_known_form: false,
        phase: Phase::named(&provider.phase).ok_or(Unreadable::Content)?,
    })
}

fn deadline_error(deadline: &wire::DeadlineMessage) -> Result<Error, Unreadable> {
    Ok(Error::Deadline {
        deadline: Deadline::named(&deadline.deadline).ok_or(Unreadable::Content)?,
        limit: Duration::from_millis(deadline.limit),
        phase: Phase::named(&deadline.phase).ok_or(Unreadable::Content)?,
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
