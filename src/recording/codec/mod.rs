//! Encodes recordings, events and failures for workers of the same fleet, which may run
//! different releases.
//!
//! The first byte is the format's version, the second the kind of content, the third the
//! packing. An unknown version, kind or content is [`Unreadable`] and treated as absent:
//! a worker never guesses. Decoding never panics, and never takes much more memory than
//! the bytes given.

mod failure;
mod packing;
mod parts;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prost::Message;

pub use self::parts::{Parts, encode_events_in_parts};
pub use super::wire::Unreadable;
use super::{FlightId, Log, Recording, Subject, wire};
use crate::{
    error::Error,
    event::{Embeddings, Finish, FinishReason, TextSources, Usage},
    price::Tier,
    telemetry::SpanRef,
};

/// Raised when readers of the previous format would misunderstand this one.
const VERSION: u8 = 1;

#[derive(Clone, Copy)]
enum ValueKind {
    Recording = 1,
    Events = 2,
    Failure = 3,
    Part = 4,
    /// A recording of embeddings, apart from the others: a release that does not know
    /// them would read an empty answer.
    Embeddings = 5,
}

impl ValueKind {
    fn of(recording: &Recording) -> ValueKind {
        match recording.finish.embeddings {
            None => ValueKind::Recording,
            Some(_) => ValueKind::Embeddings,
        }
    }
}

/// Encodes a recording.
pub fn encode_recording(recording: &Recording) -> Vec<u8> {
    let since_1970 = recording.recorded_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let message = wire::RecordingMessage {
        flight: recording.flight.as_bytes().to_vec(),
        subject: Some(wire::SubjectMessage {
            model: recording.subject.model.clone(),
            priority: recording.subject.tier.as_str() == Tier::PRIORITY,
            tier: Some(recording.subject.tier.as_str().to_owned()),
            json: recording.subject.json,
        }),
        log: Some(recording.log.to_wire()),
        finish: Some(wire::FinishMessage::from(&recording.finish)),
        attempts: recording.attempts,
        recorded_at: since_1970.as_millis() as u64,
        span: recording.span.map(wire::SpanRefMessage::from),
    };
    write(ValueKind::of(recording), &message)
}

/// Decodes a recording.
///
/// # Errors
///
/// [`Unreadable`] if the bytes are damaged or of another version.
pub fn decode_recording(bytes: &[u8]) -> Result<Recording, Unreadable> {
    let message: wire::RecordingMessage =
        read(ValueKind::Recording, bytes).or_else(|_| read(ValueKind::Embeddings, bytes))?;
    let flight: [u8; 16] = message.flight.try_into().map_err(|_| Unreadable::Content)?;
    let subject = message.subject.ok_or(Unreadable::Content)?;
    let older = if subject.priority { Tier::PRIORITY } else { "" };
    let tier = Tier::named(subject.tier.as_deref().unwrap_or(older));
    let recorded_at = UNIX_EPOCH.checked_add(Duration::from_millis(message.recorded_at));
    Ok(Recording {
        flight: FlightId::from_bytes(flight),
        subject: Arc::new(Subject { model: subject.model, tier, json: subject.json }),
        log: Log::from_wire(message.log.ok_or(Unreadable::Content)?)?,
        finish: finish(message.finish.ok_or(Unreadable::Content)?)?,
        attempts: message.attempts,
        recorded_at: recorded_at.unwrap_or(SystemTime::UNIX_EPOCH),
        span: message.span.and_then(|span| span.try_into().ok()),
    })
}

/// Encodes the events of a log, or of a part of one.
pub fn encode_events(events: &Log) -> Vec<u8> {
    write(ValueKind::Events, &events.to_wire())
}

/// Decodes events with their numbers, for [`Log::follow`].
///
/// # Errors
///
/// [`Unreadable`] if the bytes are damaged or of another version.
pub fn decode_events(bytes: &[u8]) -> Result<Log, Unreadable> {
    Log::from_wire(read(ValueKind::Events, bytes)?)
}

/// Encodes a flight's failure; `None` if it concerns only one caller or worker, so that
/// another worker may run the flight.
pub fn encode_failure(error: &Error, usage: Option<&Usage>) -> Option<Vec<u8>> {
    failure::to_wire(error, usage).map(|failure| write(ValueKind::Failure, &failure))
}

/// Decodes a failure and the tokens that were used.
///
/// # Errors
///
/// [`Unreadable`] if the bytes are damaged or of another version.
pub fn decode_failure(bytes: &[u8]) -> Result<(Error, Option<Usage>), Unreadable> {
    failure::from_wire(read(ValueKind::Failure, bytes)?)
}

fn write(kind: ValueKind, message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![VERSION, kind as u8];
    packing::pack(&message.encode_to_vec(), &mut bytes);
    bytes
}

fn read<M: Message + Default>(kind: ValueKind, bytes: &[u8]) -> Result<M, Unreadable> {
    match bytes {
        [VERSION, given, packed @ ..] if *given == kind as u8 => {
            let content = packing::unpack(packed)?;
            M::decode(&*content).map_err(|_| Unreadable::Content)
        }
        [VERSION, ..] | [] => Err(Unreadable::Content),
        _ => Err(Unreadable::Version),
    }
}

impl From<&Finish> for wire::FinishMessage {
    fn from(finish: &Finish) -> wire::FinishMessage {
        let Finish {
            finish_reasons,
            usage,
            model,
            provider_request_id,
            unchecked,
            embeddings,
            service_tier,
        } = finish;
        wire::FinishMessage {
            finish_reasons: finish_reasons
                .iter()
                .map(|reason| reason.as_str().to_owned())
                .collect(),
            usage: usage.as_ref().map(wire::UsageMessage::from),
            model: model.clone(),
            provider_request_id: provider_request_id.clone(),
            unchecked: unchecked.clone(),
            embeddings: embeddings.as_ref().map(wire::EmbeddingsMessage::from),
            service_tier: service_tier.clone(),
        }
    }
}

impl From<&Embeddings> for wire::EmbeddingsMessage {
    fn from(embeddings: &Embeddings) -> wire::EmbeddingsMessage {
        let Embeddings { vectors, sources, paid_tokens, estimated } = embeddings;
        let TextSources { cached, joined, executed, repeated } = *sources;
        wire::EmbeddingsMessage {
            vectors: vectors.clone(),
            cached,
            joined,
            executed,
            repeated,
            paid_tokens: *paid_tokens,
            estimated: *estimated,
        }
    }
}

impl From<wire::EmbeddingsMessage> for Embeddings {
    fn from(embeddings: wire::EmbeddingsMessage) -> Embeddings {
        let wire::EmbeddingsMessage { vectors, cached, joined, executed, repeated, .. } =
            embeddings;
        Embeddings {
            vectors,
            sources: TextSources { cached, joined, executed, repeated },
            paid_tokens: embeddings.paid_tokens,
            estimated: embeddings.estimated,
        }
    }
}

fn finish(finish: wire::FinishMessage) -> Result<Finish, Unreadable> {
    let reasons = finish.finish_reasons.iter().map(|word| FinishReason::parse(word));
    Ok(Finish {
        finish_reasons: reasons.collect::<Option<_>>().ok_or(Unreadable::Content)?,
        usage: finish.usage.map(Usage::from),
        model: finish.model,
        provider_request_id: finish.provider_request_id,
        unchecked: finish.unchecked,
        embeddings: finish.embeddings.map(Embeddings::from),
        service_tier: finish.service_tier,
    })
}

impl From<SpanRef> for wire::SpanRefMessage {
    fn from(span: SpanRef) -> wire::SpanRefMessage {
        let SpanRef { trace_id, span_id } = span;
        wire::SpanRefMessage { trace: trace_id.to_vec(), span: span_id.to_vec() }
    }
}

impl TryFrom<wire::SpanRefMessage> for SpanRef {
    type Error = Unreadable;

    fn try_from(span: wire::SpanRefMessage) -> Result<SpanRef, Unreadable> {
        let trace_id = span.trace.try_into().map_err(|_| Unreadable::Content)?;
        let span_id = span.span.try_into().map_err(|_| Unreadable::Content)?;
        Ok(SpanRef { trace_id, span_id })
    }
}

impl From<&Usage> for wire::UsageMessage {
    fn from(usage: &Usage) -> wire::UsageMessage {
        let &Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            cached_tokens,
            reasoning_tokens,
        } = usage;
        wire::UsageMessage {
            prompt_tokens,
            completion_tokens,
            total_tokens,
            cached_tokens,
            reasoning_tokens,
        }
    }
}

impl From<wire::UsageMessage> for Usage {
    fn from(usage: wire::UsageMessage) -> Usage {
        Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens,
            cached_tokens: usage.cached_tokens,
            reasoning_tokens: usage.reasoning_tokens,
        }
    }
}
