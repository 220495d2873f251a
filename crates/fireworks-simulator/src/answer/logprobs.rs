//! Made-up log probabilities in both of the service's forms.

use serde_json::{Map, Value, json};

use crate::answer::{generation::Logprobs, tokens};

/// Returns the `logprobs` of some tokens; `None` if not requested. `offset` is
/// the position of the first one in the text, in characters.
pub(crate) fn of(form: Logprobs, tokens: &[String], offset: usize) -> Option<Value> {
    let offsets = tokens.iter().scan(offset, |place, token| {
        let here = *place;
        *place += token.chars().count();
        Some(here)
    });
    match form {
        Logprobs::Absent => None,
        Logprobs::Content(top) => {
            let content: Vec<Value> = tokens
                .iter()
                .zip(offsets)
                .map(|(token, offset)| entry(token, offset, top))
                .collect();
            Some(json!({"content": content}))
        }
        Logprobs::Legacy(top) => Some(json!({
            "tokens": tokens,
            "token_logprobs": tokens.iter().map(|token| logprob(token)).collect::<Vec<_>>(),
            "top_logprobs": tokens.iter().map(|token| map(token, top)).collect::<Vec<_>>(),
            "text_offset": offsets.collect::<Vec<_>>(),
            "token_ids": tokens.iter().map(|token| tokens::id(token)).collect::<Vec<_>>(),
        })),
    }
}

fn entry(token: &str, offset: usize, top: u64) -> Value {
    let alternatives: Vec<Value> = alternatives(token, top)
        .map(|(token, logprob)| {
            json!({
                "token": token,
                "logprob": logprob,
                "token_id": tokens::id(&token),
                "bytes": token.as_bytes(),
            })
        })
        .collect();
    json!({
        "token": token,
        "logprob": logprob(token),
        "sampling_logprob": logprob(token),
        "bytes": token.as_bytes(),
        "token_id": tokens::id(token),
        "text_offset": offset,
        "top_logprobs": alternatives,
    })
}

fn map(token: &str, top: u64) -> Map<String, Value> {
    alternatives(token, top).map(|(token, logprob)| (token, json!(logprob))).collect()
}

/// Returns the token itself and less likely ones.
fn alternatives(token: &str, top: u64) -> impl Iterator<Item = (String, f64)> {
    let likeliest = logprob(token);
    (0..top).zip(0_u8..).map(move |(place, rank)| {
        let name = if place == 0 { token.to_owned() } else { format!("{token}~{place}") };
        (name, likeliest - 1.5 * f64::from(rank))
    })
}

/// Returns a value between -1 and 0, always the same for the same token.
fn logprob(token: &str) -> f64 {
    -f64::from(tokens::id(token) % 1000) / 1000.0
}
