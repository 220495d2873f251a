//! Errors into statuses: the one place where a failure becomes gRPC.

use std::{collections::HashMap, time::Duration};

use prost::Message;
use prost_types::Any;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::pb;

use super::{Cost, FailureDetail, Timing, Usage};
use crate::{
    error::{Error, ProviderError, ProviderErrorKind, Quota, Retry, Violation, shorten},
    event::Phase,
    execution::outcome::Failed,
    telemetry,
};

/// The domain of what the worker itself says.
const WORKER_DOMAIN: &str = "sparkler";
/// The domain of what the provider says.
const PROVIDER_DOMAIN: &str = "fireworks.ai";

/// Message and details travel in headers, of which careful clients take 8 KiB
/// in all: beyond that they tell nothing of the failure. So much for the
/// message, as it is encoded there.
const MAX_MESSAGE_BYTES: usize = 1536;
/// So much for violations, in all and each.
const MAX_VIOLATIONS_BYTES: usize = 2048;
const MAX_VIOLATION_BYTES: usize = 512;

/// The status of an error that came before anything had begun.
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
            text: answer_text(&failed.error).to_owned(),
            execution_token: failed.execution_token.unwrap_or_default(),
        };
        make(&failed.error, Some(failed.phase), Some(detail))
    }
}

fn make(error: &Error, phase: Option<Phase>, detail: Option<FailureDetail>) -> Status {
    // The call that it ends has failed for this reason, whatever else is told.
    telemetry::current().reason(error.reason());
    let message = shorten_encoded(&error.public_message());
    let code = code(error);
    let mut details = vec![any(&error_info(error, phase))];
    if let Retry::After(wait) = error.retry() {
        let retry_delay = prost_types::Duration::try_from(wait).ok();
        details.push(any(&pb::RetryInfo { retry_delay }));
    }
    if let Error::InvalidNodeConfig(violations) = error {
        details.push(any(&bad_request(violations)));
    }
    if let Some(quota) = error.quota() {
        details.push(any(&quota_failure(quota)));
    }
    details.extend(detail.as_ref().map(any));
    let rich = pb::Status { code: code.into(), message: message.clone(), details };
    let details = rich.encode_to_vec().into();
    Status::with_details_and_metadata(code, message, details, pushback(error))
}

fn code(error: &Error) -> Code {
    match error {
        Error::InvalidNodeConfig(_) => Code::InvalidArgument,
        Error::UnknownNodeType { .. } | Error::RequestCompressed => Code::Unimplemented,
        Error::NotCached | Error::ExecutionUnknown => Code::NotFound,
        Error::IdempotencyMismatch => Code::FailedPrecondition,
        Error::CallerUnauthenticated => Code::Unauthenticated,
        Error::Provider(provider) => provider_code(provider.kind),
        Error::Deadline { .. } | Error::RequestOverdue { .. } => Code::DeadlineExceeded,
        Error::Saturated { .. } | Error::OutputTooLarge { .. } => Code::ResourceExhausted,
        Error::Draining { .. } | Error::ConnectionAged { .. } => Code::Unavailable,
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
        | ProviderErrorKind::AccountSuspended => Code::FailedPrecondition,
        ProviderErrorKind::ModelForbidden => Code::PermissionDenied,
        ProviderErrorKind::ModelNotFound => Code::NotFound,
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
            let ProviderError { http_status, code, request_id, .. } = &**provider;
            add("http_status", http_status.map(|status| status.to_string()));
            add("provider_code", code.clone());
            add("provider_request_id", request_id.clone());
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

/// As many violations as there is room for, the first one always.
fn bad_request(violations: &[Violation]) -> pb::BadRequest {
    let mut room = MAX_VIOLATIONS_BYTES;
    let field_violations = violations
        .iter()
        .map(|violation| pb::bad_request::FieldViolation {
            field: shorten(&violation.field, MAX_VIOLATION_BYTES).into_owned(),
            description: shorten(&violation.description, MAX_VIOLATION_BYTES).into_owned(),
            ..Default::default()
        })
        .take_while(|violation| {
            let bytes = violation.encoded_len();
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        });
    pb::BadRequest { field_violations: field_violations.collect() }
}

fn quota_failure(Quota { subject, description }: Quota) -> pb::QuotaFailure {
    let subject = shorten(&subject, MAX_VIOLATION_BYTES).into_owned();
    let violation = pb::quota_failure::Violation { subject, description, ..Default::default() };
    pb::QuotaFailure { violations: vec![violation] }
}

/// The beginning of a message, by what it takes in a header, where everything
/// but printable ASCII is three bytes for one.
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

/// The header of a pushback, by the protocol of retries.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// What gRPC clients with a retry policy wait for. Only the worker's own
/// refusals: they came before anything was done.
fn pushback(error: &Error) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    if let Error::Saturated { limit, .. } = error
        && limit.is_daily()
    {
        // Not by itself: nobody is to hold a call until tomorrow.
        metadata.insert(PUSHBACK, "-1".parse().expect("a header value"));
        return metadata;
    }
    if let Error::Saturated { retry_after, .. }
    | Error::Draining { retry_after }
    | Error::ConnectionAged { retry_after } = error
    {
        metadata.insert(PUSHBACK, milliseconds(*retry_after).into());
    }
    metadata
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

/// The type URL of a detail.
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
