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

use serde::Deserialize;
use serde_json::value::RawValue;

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
}

/// A failure that came as an HTTP status with a body.
pub fn from_status(status: u16, body: &str, scene: Scene<'_>) -> ProviderError {
    let said = Said::read(body);
    let kind = kind_of_status(status, &said);
    said.into_error(kind, Some(status), scene)
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
    said.into_error(kind, status, scene)
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

/// What a body says, of any of the shapes seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    message: Option<String>,
    code: Option<String>,
    status: Option<u16>,
    request_id: Option<String>,
    speaker: Option<Speaker>,
}

/// Who answers, by the form of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaker {
    /// Looks at the key, then for the model.
    Gateway,
    /// Looks at the request.
    ModelServer,
}

#[derive(Debug, Default, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow)]
    fault: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    status_code: Option<&'a RawValue>,
    #[serde(borrow)]
    request_id: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    /// `error` in the form of the model server.
    #[serde(borrow)]
    object: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Fault<'a> {
    #[serde(borrow)]
    faultstring: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    msg: Option<&'a RawValue>,
}

impl Said {
    /// Reads a body, or the data of an event. Never fails: text that is no
    /// JSON object is its own message.
    pub(super) fn read(text: &str) -> Said {
        let Some(body) = parse::<Body<'_>>(text) else {
            return Said {
                // A JSON string, or whatever else it is.
                message: serde_json::from_str(text).ok().or_else(|| Some(text.to_owned())),
                ..Said::default()
            };
        };
        let error = body.error.and_then(|error| parse::<Body<'_>>(error.get()));
        let speaker = error.as_ref().map(|error| match string(error.object).as_deref() {
            Some("error") => Speaker::ModelServer,
            _ => Speaker::Gateway,
        });
        let error = error.unwrap_or_default();
        Said {
            message: string(error.message)
                .or_else(|| string(body.error))
                .or_else(|| string(body.message))
                .or_else(|| body.detail.and_then(detail))
                .or_else(|| {
                    let fault = parse::<Fault<'_>>(body.fault?.get())?;
                    string(fault.faultstring)
                }),
            code: scalar(error.code).or_else(|| scalar(body.code)),
            status: status(error.status)
                .or_else(|| status(error.status_code))
                .or_else(|| status(body.status))
                .or_else(|| status(body.status_code))
                .or_else(|| status(error.code)),
            request_id: string(body.request_id)
                .or_else(|| string(error.request_id))
                .or_else(|| string(body.id)),
            speaker,
        }
    }

    pub(super) fn is_from_gateway(&self) -> bool {
        self.speaker == Some(Speaker::Gateway)
    }

    pub(super) fn is_from_model_server(&self) -> bool {
        self.speaker == Some(Speaker::ModelServer)
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        let own = self.code.as_deref().unwrap_or("");
        own.eq_ignore_ascii_case(code)
    }

    fn is_scaling_up(&self) -> bool {
        self.has_code("DEPLOYMENT_SCALING_UP")
    }

    fn is_context_too_long(&self) -> bool {
        let message = self.message.as_deref().unwrap_or("").to_ascii_lowercase();
        message.contains("prompt is too long")
            || message.contains("maximum context length")
            || self.has_code("context_length_exceeded")
    }

    fn into_error(
        self,
        kind: ProviderErrorKind,
        status: Option<u16>,
        scene: Scene<'_>,
    ) -> ProviderError {
        let credential = scene.credential;
        let request_id = scene.request_id.map(str::to_owned);
        ProviderError {
            kind,
            http_status: status,
            code: self.code.and_then(|code| word(&code, credential)),
            message: self.message.and_then(|text| presentable(&text, credential)),
            request_id: request_id.or_else(|| self.request_id.and_then(|id| word(&id, credential))),
            retry_after: scene.retry_after,
            phase: scene.phase,
        }
    }
}

/// An object; anything else is none. (serde would take a list for one.)
fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok()
}

fn string(value: Option<&RawValue>) -> Option<String> {
    let text: String = serde_json::from_str(value?.get()).ok()?;
    (!text.is_empty()).then_some(text)
}

/// A string or a number, as text.
fn scalar(value: Option<&RawValue>) -> Option<String> {
    string(value).or_else(|| {
        let number: serde_json::Number = serde_json::from_str(value?.get()).ok()?;
        Some(number.to_string())
    })
}

/// An HTTP status that is a failure, as number or string.
fn status(value: Option<&RawValue>) -> Option<u16> {
    let status = scalar(value)?.parse().ok()?;
    (400..=599).contains(&status).then_some(status)
}

/// `detail`: a string, or a list of problems.
fn detail(value: &RawValue) -> Option<String> {
    if let Some(text) = string(Some(value)) {
        return Some(text);
    }
    let details: Vec<Detail<'_>> = serde_json::from_str(value.get()).ok()?;
    let messages: Vec<String> =
        details.into_iter().filter_map(|detail| string(detail.msg)).collect();
    (!messages.is_empty()).then(|| messages.join("; "))
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
