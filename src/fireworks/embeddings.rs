//! Reads the provider's answer to a request for embeddings: every vector is there, at
//! its place, and of the right length, or the answer is unusable.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{EmbeddingRequest, answer::StreamError};
use crate::event::Usage;

/// Maximum size of a vector as JSON, in bytes: 8,192 dimensions as decimal numbers.
const MOST_VECTOR_BYTES: usize = 160 << 10;
/// Maximum size of the rest of an answer, in bytes.
const MOST_OTHER_BYTES: usize = 64 << 10;

/// Returns the maximum size of an answer with this many vectors, in bytes.
pub(super) fn most_bytes(texts: usize) -> usize {
    texts * MOST_VECTOR_BYTES + MOST_OTHER_BYTES
}

/// A valid answer.
#[derive(Debug)]
pub(super) struct EmbeddingReply {
    /// The vectors in the order of the texts: 32-bit floats, little-endian.
    pub(super) vectors: Vec<Bytes>,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    data: Vec<Item>,
    #[serde(default)]
    model: Value,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Vector,
}

impl EmbeddingReply {
    /// Reads the answer to a request.
    pub(super) fn read(
        json: &[u8],
        request: &EmbeddingRequest,
    ) -> Result<EmbeddingReply, StreamError> {
        let reply: Reply = serde_json::from_slice(json).map_err(|error| misread(json, &error))?;
        Ok(EmbeddingReply {
            vectors: in_order(reply.data, request)?,
            usage: usage(&reply.usage),
            model: reply.model.as_str().map(str::to_owned),
        })
    }
}

/// Distinguishes an answer that is damaged, one that reports a failure, and one of
/// another API.
fn misread(json: &[u8], error: &serde_json::Error) -> StreamError {
    if !error.is_data() {
        return StreamError::Malformed("the answer is not JSON");
    }
    match serde_json::from_slice::<Value>(json) {
        Ok(value) if value.get("error").is_some_and(|error| !error.is_null()) => {
            StreamError::Reported(value.to_string())
        }
        _ => StreamError::Unusable("the answer is not one of embeddings".into()),
    }
}

/// Puts the vectors in the order of the texts.
fn in_order(items: Vec<Item>, request: &EmbeddingRequest) -> Result<Vec<Bytes>, StreamError> {
    let count = items.len();
    if count != request.texts {
        let texts = request.texts;
        return Err(unusable(format!("the answer has {count} vectors for {texts} texts")));
    }
    let mut vectors = vec![Bytes::new(); count];
    for (position, item) in items.into_iter().enumerate() {
        let index = item.index.unwrap_or(position);
        match vectors.get_mut(index) {
            Some(vector) if vector.is_empty() => *vector = item.embedding.0,
            _ => return Err(unusable(format!("the answer has a second vector {index}, or none"))),
        }
    }
    check_lengths(&vectors, request.dimensions)?;
    Ok(vectors)
}

/// Refuses vectors of different lengths, or of another than was requested.
fn check_lengths(vectors: &[Bytes], dimensions: Option<usize>) -> Result<(), StreamError> {
    let first = vectors.first().map_or(0, Bytes::len);
    let expected = dimensions.map_or(first, |dimensions| dimensions * size_of::<f32>());
    match vectors.iter().find(|vector| vector.len() != expected || vector.is_empty()) {
        None => Ok(()),
        Some(vector) => {
            let [has, expected] = [vector.len(), expected].map(|bytes| bytes / size_of::<f32>());
            Err(unusable(format!("a vector has {has} numbers instead of {expected}")))
        }
    }
}

fn usage(usage: &Value) -> Option<Usage> {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let prompt_tokens = count("prompt_tokens").or(count("total_tokens"))?;
    let total_tokens = count("total_tokens").or(Some(prompt_tokens));
    Some(Usage { prompt_tokens: Some(prompt_tokens), total_tokens, ..Usage::default() })
}

fn unusable(message: String) -> StreamError {
    StreamError::Unusable(message.into())
}

/// A vector in either of the provider's forms: base64, or a list of numbers.
struct Vector(Bytes);

impl<'de> Deserialize<'de> for Vector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vector, D::Error> {
        deserializer.deserialize_any(VectorVisitor)
    }
}

struct VectorVisitor;

impl<'de> Visitor<'de> for VectorVisitor {
    type Value = Vector;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("numbers, or 32-bit floats in base64")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vector, E> {
        let bytes = STANDARD.decode(text).map_err(E::custom)?;
        let (floats, rest) = bytes.as_chunks();
        if !rest.is_empty() || !floats.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite()) {
            return Err(E::custom("not finite 32-bit floats"));
        }
        Ok(Vector(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Vector, A::Error> {
        let mut bytes = Vec::new();
        while let Some(number) = numbers.next_element::<f64>()? {
            let number = number as f32;
            if !number.is_finite() {
                return Err(de::Error::custom("not a finite 32-bit float"));
            }
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        Ok(Vector(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(reply: &Value, texts: usize) -> Result<EmbeddingReply, StreamError> {
        let request = EmbeddingRequest { body: Bytes::new(), texts, dimensions: None };
        EmbeddingReply::read(reply.to_string().as_bytes(), &request)
    }

    fn packed(numbers: &[f32]) -> Bytes {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn vectors_come_in_both_forms_and_any_order() {
        let base64 = STANDARD.encode(packed(&[0.5, -1.25]));
        let reply = json!({
            "data": [{"index": 1, "embedding": base64}, {"index": 0, "embedding": [1, 2.5e-1]}],
            "model": "m",
            "usage": {"prompt_tokens": 7, "total_tokens": 7},
        });
        let reply = read(&reply, 2).expect("a good answer");
        assert_eq!(reply.vectors, [packed(&[1.0, 0.25]), packed(&[0.5, -1.25])]);
        assert_eq!(reply.usage.and_then(|usage| usage.prompt_tokens), Some(7));
        assert_eq!(reply.model.as_deref(), Some("m"));
    }

    #[test]
    fn an_answer_with_a_vector_missing_or_odd_is_unusable() {
        for data in [
            json!([{"index": 0, "embedding": [1]}]),
            json!([{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]),
            json!([{"index": 0, "embedding": [1]}, {"index": 2, "embedding": [1]}]),
            json!([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1, 2]}]),
            json!([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": []}]),
            json!([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": "AAA="}]),
            json!([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": "AADAfw=="}]),
            json!([{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1e60]}]),
            json!([{"index": 0, "embedding": [1]}, {"index": 1}]),
        ] {
            let read = read(&json!({"data": data}), 2);
            assert!(matches!(read, Err(StreamError::Unusable(_))), "{data}: {read:?}");
        }
    }

    #[test]
    fn a_damaged_answer_differs_from_a_reported_failure() {
        let request = EmbeddingRequest { body: Bytes::new(), texts: 1, dimensions: None };
        let read = |json: &str| EmbeddingReply::read(json.as_bytes(), &request);
        let cut = r#"{"data": [{"index": 0, "emb"#;
        assert!(matches!(read(cut), Err(StreamError::Malformed(_))));
        let reported = r#"{"error": {"message": "busy"}}"#;
        assert!(matches!(read(reported), Err(StreamError::Reported(_))));
    }

    #[test]
    fn vectors_have_the_dimensions_that_were_asked_for() {
        let reply = json!({"data": [{"index": 0, "embedding": [1, 2]}]}).to_string();
        for (dimensions, good) in [(2, true), (3, false)] {
            let dimensions = Some(dimensions);
            let request = EmbeddingRequest { body: Bytes::new(), texts: 1, dimensions };
            assert_eq!(EmbeddingReply::read(reply.as_bytes(), &request).is_ok(), good);
        }
    }
}
