//! Reads the headers of a response.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};

use super::failure;
use crate::{credentials::ApiKey, event::Usage};

/// Longer waits are reduced to this.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Headers that may hold the provider's request id, most trusted first.
const REQUEST_ID_HEADERS: [&str; 4] =
    ["x-request-id", "x-fireworks-request-id", "x-fireworks-trace-id", "cf-ray"];

/// The kind of a body, by its content type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyKind {
    Events,
    Json,
    Other,
}

/// Returns the kind of the body; without a content type, the requested kind is assumed.
pub(super) fn content(headers: &HeaderMap) -> BodyKind {
    let Some(value) = text(headers, header::CONTENT_TYPE.as_str()) else {
        return BodyKind::Events;
    };
    let essence = value.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("text/event-stream") {
        BodyKind::Events
    } else if essence.eq_ignore_ascii_case("application/json") {
        BodyKind::Json
    } else {
        BodyKind::Other
    }
}

/// Returns the provider's request id.
pub(super) fn request_id(headers: &HeaderMap, credential: &ApiKey) -> Option<String> {
    REQUEST_ID_HEADERS
        .iter()
        .filter_map(|name| text(headers, name))
        .find_map(|id| failure::word(id, credential))
}

/// Reads token counts from headers, for answers whose body lacks them.
pub(super) fn usage(headers: &HeaderMap) -> Option<Usage> {
    let count = |name| text(headers, name)?.trim().parse().ok();
    let usage = Usage {
        prompt_tokens: count("fireworks-prompt-tokens"),
        cached_tokens: count("fireworks-cached-prompt-tokens"),
        ..Usage::default()
    };
    (usage != Usage::default()).then_some(usage)
}

/// Returns the wait the provider asks for: in milliseconds, in seconds or as a
/// date. A wait of zero is `None`, one of more than a day is a day.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let milliseconds = text(headers, "retry-after-ms").and_then(number);
    let seconds = milliseconds
        .map(|milliseconds| milliseconds / 1000.0)
        .or_else(|| text(headers, header::RETRY_AFTER.as_str()).and_then(number));
    let wait = match seconds {
        Some(seconds) if seconds.is_nan() => return None,
        Some(seconds) => {
            Duration::try_from_secs_f64(seconds.min(MAX_RETRY_AFTER.as_secs_f64())).ok()?
        }
        None => {
            let date = text(headers, header::RETRY_AFTER.as_str())?;
            let date = httpdate::parse_http_date(date.trim()).ok()?;
            date.duration_since(now).ok()?
        }
    };
    (wait > Duration::ZERO).then_some(wait.min(MAX_RETRY_AFTER))
}

/// Returns true if the account has no requests left, for any model: the only
/// limit that is known to be account-wide.
pub(super) fn no_requests_left(headers: &HeaderMap) -> bool {
    text(headers, "x-ratelimit-remaining-requests").and_then(number).is_some_and(|left| left <= 0.0)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
