//! Reads what the provider says when it refuses or fails, whatever shape it
//! has: two forms of its own, those of two frameworks, its control plane's,
//! plain text, HTML, nothing.
//!
//! It only finds the words; `failure` decides what they amount to and makes
//! them fit to be shown, `probe` draws conclusions from who spoke.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What a body says, of any of the shapes seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) message: Option<String>,
    pub(super) code: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) request_id: Option<String>,
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

    pub(super) fn is_scaling_up(&self) -> bool {
        self.has_code("DEPLOYMENT_SCALING_UP")
    }

    pub(super) fn is_context_too_long(&self) -> bool {
        let message = self.message.as_deref().unwrap_or("").to_ascii_lowercase();
        message.contains("prompt is too long")
            || message.contains("maximum context length")
            || self.has_code("context_length_exceeded")
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
