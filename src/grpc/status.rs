//! Converts errors into statuses: the one place where a failure becomes gRPC.

use std::{collections::HashMap, time::Duration};

use http::{HeaderName, HeaderValue};
use prost::Message;
use prost_types::Any;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::pb;

use crate::proto::{Cost, FailureDetail, Timing, Usage};
use crate::{
    error::{Error, ExhaustedQuota, ProviderError, ProviderErrorKind, Retry, Violation, shorten},
    event::Phase,
    execution::response::Failed,
    telemetry,
};

/// The domain of the worker's own errors.
const WORKER_DOMAIN: &str = "sparkler";
/// The domain of the provider's errors.
const PROVIDER_DOMAIN: &str = "fireworks.ai";

/// Message, details and metadata travel in headers. nginx passes on up to 4 KiB in
/// all, and cautious clients accept up to 8 KiB. This is the limit for all of them,
/// names included.
const MAX_WIRE_BYTES: usize = 3584;
/// The share of names, the code, the pushback and the rest of the head.
const FRAME_BYTES: usize = 320;
/// The share of the message, as encoded in the header.
const MAX_MESSAGE_BYTES: usize = 640;
/// The share of the details, before base64 turns three bytes into four.
const MAX_DETAILS_BYTES: usize = (MAX_WIRE_BYTES - FRAME_BYTES - MAX_MESSAGE_BYTES) / 4 * 3;
/// Overhead of a detail besides its content: type URL and lengths.
const DETAIL_FRAME_BYTES: usize = 64;
/// Limit for each of a violation's two texts, and for each text of the provider.
const MAX_TEXT_BYTES: usize = 256;

/// Returns the status of an error before an execution began.
pub fn status(error: &Error) -> Status {
    make(error, None, None)
}

impl From<Failed> for Status {
    fn from(failed: Failed) -> Status {
        let detail = FailureDetail {
            usage: failed.usage.map(Usage::from),
            cost: failed.cost.map(Cost::from),
            timing: Some(Timing::from(failed.timing)),
            attempts: failed.attempts,
            text: String::new(),
            execution_token: failed.execution_token.unwrap_or_default(),
        };
        make(&failed.error, Some(failed.phase), Some(detail))
    }
}

fn make(error: &Error, phase: Option<Phase>, detail: Option<FailureDetail>) -> Status {
    // The call that this status ends has failed for this reason.
    telemetry::current().reason(error.reason());
    let message = shorten_encoded(&error.public_message());
    let code = code(error);
    let mut details = vec![any(&error_info(error, phase))];
    if let Retry::After(wait) = error.retry() {
        let retry_delay = prost_types::Duration::try_from(wait).ok();
        details.push(any(&pb::RetryInfo { retry_delay }));
    }
    if let Some(quota) = error.quota() {
        details.push(any(&quota_failure(quota)));
    }
    let pushback = pushback(error, detail.is_some());
    let mut rich = pb::Status { code: code.into(), message: message.clone(), details };
    // Details of fixed size come first; the rest share the remainder.
    let reserved = detail.as_ref().map_or(0, |detail| detail.encoded_len() + DETAIL_FRAME_BYTES);
    if let Error::InvalidNodeConfig(violations) = error {
        let violations = bad_request(violations, room(&rich).saturating_sub(reserved));
        rich.details.push(any(&violations));
    }
    if let Some(mut detail) = detail {
        let room = room(&rich).saturating_sub(reserved);
        detail.text = cut(answer_text(error), room);
        rich.details.push(any(&detail));
    }
    Status::with_details_and_metadata(code, message, rich.encode_to_vec().into(), pushback)
}

/// Returns the number of bytes that another detail may have.
fn room(rich: &pb::Status) -> usize {
    MAX_DETAILS_BYTES.saturating_sub(rich.encoded_len() + DETAIL_FRAME_BYTES)
}

/// Shortens a text; its ellipsis counts towards the limit.
fn cut(text: &str, most_bytes: usize) -> String {
    let most = if text.len() > most_bytes { most_bytes.saturating_sub(3) } else { most_bytes };
    shorten(text, most).into_owned()
}

fn code(error: &Error) -> Code {
    match error {
        Error::InvalidNodeConfig(_) => Code::InvalidArgument,
        Error::UnknownNodeType { .. } | Error::RequestCompressed => Code::Unimplemented,
        Error::NotCached | Error::ExecutionNotFound => Code::NotFound,
        Error::IdempotencyMismatch => Code::FailedPrecondition,
        Error::CallerUnauthenticated => Code::Unauthenticated,
        Error::Provider(provider) => provider_code(provider.kind),
        Error::Deadline { .. } | Error::RequestOverdue { .. } => Code::DeadlineExceeded,
        Error::Saturated { .. } | Error::OutputTooLarge { .. } => Code::ResourceExhausted,
        Error::Draining { .. } | Error::ConnectionMaxAge { .. } => Code::Unavailable,
        Error::OutputNotJson { .. } | Error::OutputSchemaMismatch { .. } => {
            Code::FailedPrecondition
        }
        Error::Cancelled => Code::Cancelled,
        Error::Internal(_) => Code::Internal,
    }
}

fn provider_code(kind: ProviderErrorKind) -> Code {
    match kind {
        ProviderErrorKind::CredentialRejected
        | ProviderErrorKind::BillingRequired
        | ProviderErrorKind::AccountSuspended
        | ProviderErrorKind::AnswerInvalid => Code::FailedPrecondition,
        ProviderErrorKind::ModelForbidden => Code::PermissionDenied,
        ProviderErrorKind::ModelNotFound | ProviderErrorKind::ModelRetired => Code::NotFound,
        ProviderErrorKind::RequestRejected | ProviderErrorKind::ContextTooLong => {
            Code::InvalidArgument
        }
        ProviderErrorKind::RateLimited => Code::ResourceExhausted,
        ProviderErrorKind::Unavailable
        | ProviderErrorKind::DeploymentScalingUp
        | ProviderErrorKind::StreamInterrupted => Code::Unavailable,
    }
}

fn error_info(error: &Error, phase: Option<Phase>) -> pb::ErrorInfo {
    let safe_to_retry = error.retry() != Retry::No;
    let mut metadata = HashMap::from([("safe_to_retry".to_owned(), safe_to_retry.to_string())]);
    let mut add = |key: &str, value: Option<String>| {
        metadata.extend(value.map(|value| (key.to_owned(), value)));
    };
    let mut phase = phase;
    let domain = match error {
        Error::Provider(provider) => {
            let ProviderError { http_status, code, request_id, successor, .. } = &**provider;
            add("http_status", http_status.map(|status| status.to_string()));
            let text = |text: &Option<String>| text.as_ref().map(|text| cut(text, MAX_TEXT_BYTES));
            add("provider_code", text(code));
            add("provider_request_id", text(request_id));
            add("successor", text(successor));
            phase = Some(provider.phase);
            PROVIDER_DOMAIN
        }
        _ => WORKER_DOMAIN,
    };
    if let Error::Deadline { phase: waited_for, .. } = error {
        phase = Some(*waited_for);
    }
    add("phase", phase.map(|phase| phase.as_str().to_owned()));
    if let Error::UnknownNodeType { known, .. } = error {
        add("known_node_types", Some(known.join(",")));
    }
    pb::ErrorInfo { reason: error.reason().to_owned(), domain: domain.to_owned(), metadata }
}

/// Returns as many violations as fit, and the count of the rest.
fn bad_request(violations: &[Violation], mut room: usize) -> pb::BadRequest {
    let more = field_violation(&Violation::more(usize::MAX)).encoded_len();
    room = room.saturating_sub(more);
    let mut field_violations = Vec::new();
    for violation in violations.iter().map(field_violation) {
        // Includes its tag and its length.
        let bytes = violation.encoded_len() + 3;
        if bytes > room {
            break;
        }
        room -= bytes;
        field_violations.push(violation);
    }
    let omitted: usize = violations[field_violations.len()..].iter().map(Violation::count).sum();
    if omitted > 0 {
        field_violations.push(field_violation(&Violation::more(omitted)));
    }
    pb::BadRequest { field_violations }
}

fn field_violation(violation: &Violation) -> pb::bad_request::FieldViolation {
    pb::bad_request::FieldViolation {
        field: cut(&violation.field, MAX_TEXT_BYTES),
        description: cut(&violation.description, MAX_TEXT_BYTES),
        ..Default::default()
    }
}

fn quota_failure(ExhaustedQuota { subject, description }: ExhaustedQuota) -> pb::QuotaFailure {
    let subject = cut(&subject, MAX_TEXT_BYTES);
    let violation = pb::quota_failure::Violation { subject, description, ..Default::default() };
    pb::QuotaFailure { violations: vec![violation] }
}

/// Shortens a message to its limit as encoded in a header, where every byte but
/// printable ASCII takes three.
fn shorten_encoded(message: &str) -> String {
    let mut room = MAX_MESSAGE_BYTES;
    let fits = message.char_indices().take_while(|(_, character)| {
        let plain = matches!(character, ' '..='~') && !"\"#%<>`?{}".contains(*character);
        let bytes = if plain { 1 } else { 3 * character.len_utf8() };
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    });
    let end = fits.last().map_or(0, |(start, character)| start + character.len_utf8());
    shorten(message, end).into_owned()
}

/// The pushback header of the gRPC retry protocol.
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");
/// A pushback that forbids automatic retries.
const NO_RETRY: HeaderValue = HeaderValue::from_static("-1");

/// Returns the delay that gRPC clients with a retry policy observe. The worker's own
/// refusals come before any work is done, and name one. Other failures of an execution
/// forbid automatic retries: the worker has made those that help, within the caller's
/// number of attempts, and a client that repeats them multiplies the calls.
fn pushback(error: &Error, has_run: bool) -> MetadataMap {
    let wait = match error {
        // A client must not hold a call until tomorrow.
        Error::Saturated { limit, .. } if limit.is_daily() => Some(NO_RETRY),
        Error::Saturated { retry_after, .. }
        | Error::Draining { retry_after }
        | Error::ConnectionMaxAge { retry_after } => Some(milliseconds(*retry_after).into()),
        _ => has_run.then_some(NO_RETRY),
    };
    MetadataMap::from_headers(wait.map(|wait| (PUSHBACK, wait)).into_iter().collect())
}

fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

fn answer_text(error: &Error) -> &str {
    match error {
        Error::OutputNotJson { text, .. } | Error::OutputSchemaMismatch { text, .. } => text,
        _ => "",
    }
}

fn any<M: Message + TypeUrl>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// A status detail with a type URL.
trait TypeUrl {
    fn type_url() -> String;
}

macro_rules! type_urls {
    ($($message:ty => $name:literal),* $(,)?) => {
        $(impl TypeUrl for $message {
            fn type_url() -> String {
                concat!("type.googleapis.com/", $name).to_owned()
            }
        })*
    };
}

type_urls! {
    pb::ErrorInfo => "google.rpc.ErrorInfo",
    pb::RetryInfo => "google.rpc.RetryInfo",
    pb::BadRequest => "google.rpc.BadRequest",
    pb::QuotaFailure => "google.rpc.QuotaFailure",
    FailureDetail => "sparkler.worker.v1.FailureDetail",
}
