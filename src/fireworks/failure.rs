//! What the provider says when it refuses or fails, made into a
//! [`ProviderError`].
//!
//! Its bodies have half a dozen shapes, and its words may quote anything, the
//! key included: this is the only place that reads them. What leaves it is
//! short, on one line, redacted, and no HTML.
//!
//! Called by the client for statuses other than 200, and for failures reported
//! inside a stream.

use std::time::Duration;

use super::said::Said;
use crate::{
    credentials::ApiKey,
    error::{ProviderError, ProviderErrorKind, shorten},
    event::Phase,
};

/// Longer messages are cut.
const MAX_MESSAGE_CHARS: usize = 300;
/// Longer codes and ids are cut or left out.
const MAX_WORD_BYTES: usize = 128;

/// Where a failure happened: what is known beside its text.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// Taken out of every text.
    pub credential: &'a ApiKey,
    /// What the execution was waiting for.
    pub phase: Phase,
    /// From the response's headers.
    pub request_id: Option<&'a str>,
    /// From the response's headers.
    pub retry_after: Option<Duration>,
    /// Whether its headers say that the account may not ask for anything more.
    pub account_wide: bool,
}

/// A failure that came as an HTTP status with a body.
pub fn from_status(status: u16, body: &str, scene: Scene<'_>) -> ProviderError {
    let said = Said::read(body);
    let kind = kind_of_status(status, &said);
    into_error(said, kind, Some(status), scene)
}

/// A failure that was reported inside a stream, as the stream's event had it.
/// Without a status in it, it is an interruption.
pub fn from_stream(event: &str, scene: Scene<'_>) -> ProviderError {
    let said = Said::read(event);
    let kind = match said.status {
        Some(status) => kind_of_status(status, &said),
        None if said.is_scaling_up() => ProviderErrorKind::DeploymentScalingUp,
        None => ProviderErrorKind::StreamInterrupted,
    };
    let status = said.status;
    into_error(said, kind, status, scene)
}

/// A failure in our own words.
pub(super) fn own(kind: ProviderErrorKind, message: &str, scene: Scene<'_>) -> ProviderError {
    ProviderError {
        kind,
        http_status: None,
        code: None,
        message: Some(message.to_owned()),
        request_id: scene.request_id.map(str::to_owned),
        retry_after: None,
        account_wide: false,
        phase: scene.phase,
    }
}

/// The provider's words made fit to be shown: on one line, without the key,
/// cut. None if nothing is left, or if it is HTML.
pub(super) fn presentable(text: &str, credential: &ApiKey) -> Option<String> {
    if looks_like_html(text) {
        return None;
    }
    let visible: String = text
        .chars()
        .map(|character| if is_invisible(character) { ' ' } else { character })
        .collect();
    let folded = visible.split_whitespace().collect::<Vec<&str>>().join(" ");
    // Before the cut, which could leave a part of the key.
    let redacted = credential.redact(&folded);
    let short = match redacted.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &redacted[..end]),
        None => redacted,
    };
    (!short.is_empty()).then_some(short)
}

/// An id, a code or a name of the provider: printable, short, without the key.
pub(super) fn word(text: &str, credential: &ApiKey) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= MAX_WORD_BYTES
        && text.bytes().all(|byte| byte.is_ascii_graphic());
    let redacted = fits.then(|| credential.redact(text))?;
    (redacted == text).then_some(redacted)
}

/// What a status, with what was said beside it, amounts to.
fn kind_of_status(status: u16, said: &Said) -> ProviderErrorKind {
    match status {
        401 => ProviderErrorKind::CredentialRejected,
        402 => ProviderErrorKind::BillingRequired,
        403 => ProviderErrorKind::ModelForbidden,
        404 => ProviderErrorKind::ModelNotFound,
        408 | 425 => ProviderErrorKind::Unavailable,
        412 => ProviderErrorKind::AccountSuspended,
        429 => ProviderErrorKind::RateLimited,
        400 | 413 | 422 if said.is_context_too_long() => ProviderErrorKind::ContextTooLong,
        // Redirects too: whoever redirects is not the API, and asking again
        // will not change that.
        300..=499 => ProviderErrorKind::RequestRejected,
        503 if said.is_scaling_up() => ProviderErrorKind::DeploymentScalingUp,
        500.. => ProviderErrorKind::Unavailable,
        _ => ProviderErrorKind::StreamInterrupted,
    }
}

/// The error that comes of it, with everything read and cut.
fn into_error(
    said: Said,
    kind: ProviderErrorKind,
    status: Option<u16>,
    scene: Scene<'_>,
) -> ProviderError {
    let credential = scene.credential;
    let request_id = scene.request_id.map(str::to_owned);
    ProviderError {
        kind,
        http_status: status,
        code: said.code.and_then(|code| word(&code, credential)),
        message: said.message.and_then(|text| presentable(&text, credential)),
        request_id: request_id.or_else(|| said.request_id.and_then(|id| word(&id, credential))),
        retry_after: scene.retry_after,
        account_wide: scene.account_wide,
        phase: scene.phase,
    }
}

fn looks_like_html(text: &str) -> bool {
    let start = shorten(text.trim_start(), 512).to_ascii_lowercase();
    start.starts_with('<') || start.contains("<html") || start.contains("<!doctype")
}

/// Control characters, and those that turn the direction of what follows.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}
