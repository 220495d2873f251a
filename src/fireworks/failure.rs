//! Turns the provider's refusals and failures into a [`ProviderError`].
//!
//! Its bodies have half a dozen shapes, and its text may quote anything, the
//! key included: this is the only place that prepares it for display. The
//! result is short, on one line, redacted, and never HTML.
//!
//! Handles statuses other than 200 and failures reported inside a stream.

use std::time::Duration;

use super::error_body::ErrorBody;
use crate::{
    credentials::ApiKey,
    error::{ProviderError, ProviderErrorKind, shorten},
    event::Phase,
};

/// Longer messages are truncated.
const MAX_MESSAGE_CHARS: usize = 300;
/// Longer codes and ids are left out.
const MAX_WORD_BYTES: usize = 128;

/// The context of a failure: everything known besides its text.
#[derive(Debug, Clone, Copy)]
pub struct ErrorContext<'a> {
    /// Redacted from every text.
    pub credential: &'a ApiKey,
    /// The phase in which the execution failed.
    pub phase: Phase,
    /// From the response's headers.
    pub request_id: Option<&'a str>,
    /// From the response's headers.
    pub retry_after: Option<Duration>,
    /// True if the headers say that the account has no requests left.
    pub account_wide: bool,
}

/// Builds the error for an HTTP status with a body.
pub fn from_status(status: u16, body: &str, context: ErrorContext<'_>) -> ProviderError {
    let error_body = ErrorBody::read(body);
    let kind = kind_of_refusal(status, &error_body);
    let hint = hint(status, kind, &error_body);
    let mut error = into_error(error_body, kind, Some(status), context);
    if let Some(hint) = hint {
        let words = error.message.map_or_else(String::new, |words| format!(": {words}"));
        error.message = Some(format!("{hint}{words}"));
    }
    error
}

/// Builds the error for a failure reported inside a stream, from the event's
/// data. If neither a status nor a code says more, it is an interruption.
pub fn from_stream(event: &str, context: ErrorContext<'_>) -> ProviderError {
    let error_body = ErrorBody::read(event);
    let kind = match error_body.status {
        _ if error_body.is_context_too_long() => ProviderErrorKind::ContextTooLong,
        Some(404) => ProviderErrorKind::ModelNotFound,
        Some(status) => kind_of_refusal(status, &error_body),
        None => kind_of_code(&error_body).unwrap_or(ProviderErrorKind::StreamInterrupted),
    };
    let status = error_body.status;
    into_error(error_body, kind, status, context)
}

/// Builds the error for a finish reason that is a failure: a transient one, or
/// a word that would come again.
pub(super) fn from_finish_reason(reason: &str, context: ErrorContext<'_>) -> ProviderError {
    const PASSING: [&str; 8] = [
        "error",
        "cancelled",
        "canceled",
        "abort",
        "aborted",
        "timeout",
        "network_error",
        "insufficient_system_resource",
    ];
    let is_passing = PASSING.iter().any(|word| reason.eq_ignore_ascii_case(word));
    let kind = if is_passing {
        ProviderErrorKind::StreamInterrupted
    } else {
        ProviderErrorKind::AnswerInvalid
    };
    let reason = word(reason, context.credential);
    let reason = reason.as_deref().unwrap_or("that cannot be shown");
    own(kind, &format!("the model's finish reason was {reason}"), context)
}

/// Builds an error with the worker's own message.
pub(super) fn own(
    kind: ProviderErrorKind,
    message: &str,
    context: ErrorContext<'_>,
) -> ProviderError {
    ProviderError {
        kind,
        http_status: None,
        code: None,
        message: Some(message.to_owned()),
        request_id: context.request_id.map(str::to_owned),
        retry_after: None,
        successor: None,
        account_wide: false,
        is_known_form: false,
        phase: context.phase,
    }
}

/// Makes provider text fit for display: on one line, without the key,
/// truncated. `None` if nothing is left, or if it is HTML.
pub(super) fn presentable(text: &str, credential: &ApiKey) -> Option<String> {
    if looks_like_html(text) {
        return None;
    }
    let visible: String = text
        .chars()
        .map(|character| if is_invisible(character) { ' ' } else { character })
        .collect();
    let folded = visible.split_whitespace().collect::<Vec<&str>>().join(" ");
    // Before the truncation, which could leave a part of the key.
    let redacted = credential.redact(&folded);
    let short = match redacted.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &redacted[..end]),
        None => redacted,
    };
    (!short.is_empty()).then_some(short)
}

/// Returns an id, a code or a name if it is printable, short and without the key.
pub(super) fn word(text: &str, credential: &ApiKey) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= MAX_WORD_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    let redacted = fits.then(|| credential.redact(text))?;
    (redacted == text).then_some(redacted)
}

/// Classifies a status together with its body. The `type` of an error never
/// decides: Fireworks' rate limits carry `invalid_request_error`.
fn kind_of_refusal(status: u16, error_body: &ErrorBody) -> ProviderErrorKind {
    match status {
        401 | 403 if error_body.is_from_edge() => ProviderErrorKind::RequestRejected,
        401 => ProviderErrorKind::CredentialRejected,
        410 if error_body.is_about_a_model() => ProviderErrorKind::ModelRetired,
        402 => ProviderErrorKind::BillingRequired,
        403 if error_body.is_about_the_key() => ProviderErrorKind::CredentialRejected,
        403 => ProviderErrorKind::ModelForbidden,
        400 | 404 | 422 if error_body.has_code("model_not_found") => {
            ProviderErrorKind::ModelNotFound
        }
        404 if error_body.is_about_a_model() => ProviderErrorKind::ModelNotFound,
        408 | 425 => ProviderErrorKind::Unavailable,
        412 => ProviderErrorKind::AccountSuspended,
        429 if error_body.has_code("insufficient_quota") => ProviderErrorKind::BillingRequired,
        429 => ProviderErrorKind::RateLimited,
        400 | 413 | 422 | 500 if error_body.is_context_too_long() => {
            ProviderErrorKind::ContextTooLong
        }
        // Redirects too: a server that redirects is not the API, and a retry
        // would not change that.
        300..=499 => ProviderErrorKind::RequestRejected,
        503 if error_body.is_scaling_up() => ProviderErrorKind::DeploymentScalingUp,
        500.. => ProviderErrorKind::Unavailable,
        _ => ProviderErrorKind::StreamInterrupted,
    }
}

/// Classifies a code that came without a status.
fn kind_of_code(error_body: &ErrorBody) -> Option<ProviderErrorKind> {
    const CODES: &[(ProviderErrorKind, &[&str])] = &[
        (
            ProviderErrorKind::RateLimited,
            &[
                "rate_limit_exceeded",
                "rate_limit_error",
                "rate_limited",
                "too_many_requests",
                "RESOURCE_EXHAUSTED",
            ],
        ),
        (
            ProviderErrorKind::CredentialRejected,
            &["UNAUTHORIZED", "UNAUTHENTICATED", "invalid_api_key", "authentication_error"],
        ),
        (ProviderErrorKind::ModelForbidden, &["FORBIDDEN", "PERMISSION_DENIED"]),
        (ProviderErrorKind::ModelNotFound, &["model_not_found", "NOT_FOUND"]),
        (
            ProviderErrorKind::BillingRequired,
            &["insufficient_quota", "billing_not_active", "payment_required"],
        ),
        (ProviderErrorKind::AccountSuspended, &["PRECONDITION_FAILED"]),
        (
            ProviderErrorKind::RequestRejected,
            &["BAD_REQUEST", "INVALID_ARGUMENT", "BadRequestError", "content_policy_violation"],
        ),
        (ProviderErrorKind::DeploymentScalingUp, &["DEPLOYMENT_SCALING_UP"]),
        (
            ProviderErrorKind::Unavailable,
            &["SERVICE_UNAVAILABLE", "UNAVAILABLE", "overloaded", "overloaded_error"],
        ),
    ];
    let row = CODES.iter().find(|(_, codes)| codes.iter().any(|code| error_body.has_code(code)));
    row.map(|(kind, _)| *kind)
}

/// Returns the worker's hint to put before provider text that would mislead on its own.
fn hint(status: u16, kind: ProviderErrorKind, error_body: &ErrorBody) -> Option<&'static str> {
    match (status, kind) {
        (404, ProviderErrorKind::RequestRejected) => {
            Some("nothing is served at this path; the base URL may be wrong")
        }
        (404, ProviderErrorKind::ModelNotFound) if error_body.is_about_a_deployment() => {
            Some("there is no such deployment, or it was deleted")
        }
        (_, ProviderErrorKind::RequestRejected) if error_body.is_from_edge() => {
            Some("a proxy or firewall in front of the provider refused the request, not the API")
        }
        _ => None,
    }
}

/// Builds the error, with every text checked and truncated.
fn into_error(
    error_body: ErrorBody,
    kind: ProviderErrorKind,
    status: Option<u16>,
    context: ErrorContext<'_>,
) -> ProviderError {
    let credential = context.credential;
    let request_id = context.request_id.map(str::to_owned);
    let is_known_form = error_body.is_failure();
    ProviderError {
        kind,
        is_known_form,
        http_status: status,
        code: error_body.code.and_then(|code| word(&code, credential)),
        message: error_body.message.and_then(|text| presentable(&text, credential)),
        request_id: request_id
            .or_else(|| error_body.request_id.and_then(|id| word(&id, credential))),
        retry_after: context.retry_after,
        successor: None,
        account_wide: context.account_wide,
        phase: context.phase,
    }
}

fn looks_like_html(text: &str) -> bool {
    let start = shorten(text.trim_start(), 512).to_ascii_lowercase();
    start.starts_with('<') || start.contains("<html") || start.contains("<!doctype")
}

/// Matches control characters and those that change the text direction.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}
