//! The headers of a successful reply.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use serde_json::{Map, Value, json};

use crate::answer::generation::Generation;

/// Builds a 200 with the headers the real service sends.
///
/// `head_time` is the time until the head: the time to the first token of a
/// stream, or else the whole processing time.
pub(crate) fn dress(
    body: Body,
    generation: &Generation,
    request_id: &str,
    head_time: Duration,
) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: String| {
        // All of these are digits, identifiers or ASCII JSON.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set("x-request-id", request_id.to_owned());
    set("fireworks-prompt-tokens", generation.prompt_tokens.to_string());
    set("fireworks-sampling-options", sampling(generation).to_string());
    set("x-ratelimit-over-limit", "no".to_owned());
    let seconds = format!("{:.3}", head_time.as_secs_f64());
    if generation.stream {
        set("fireworks-server-time-to-first-token", seconds);
    } else {
        set("fireworks-server-processing-time", seconds);
    }
    let content_type =
        if generation.stream { "text/event-stream; charset=utf-8" } else { "application/json" };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Builds the 200 of embeddings.
pub(crate) fn dress_embedding(
    body: Body,
    prompt_tokens: u32,
    request_id: &str,
    took: Duration,
) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-request-id", request_id.to_owned()),
        ("fireworks-prompt-tokens", prompt_tokens.to_string()),
        ("fireworks-server-processing-time", format!("{:.3}", took.as_secs_f64())),
        ("x-ratelimit-over-limit", "no".to_owned()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the effective sampling options: the request's, or else the defaults.
fn sampling(generation: &Generation) -> Value {
    let mut options = Map::new();
    options.insert("max_tokens".to_owned(), json!(generation.max_tokens));
    for (name, default) in [
        ("temperature", json!(1.0)),
        ("top_k", json!(50)),
        ("top_p", json!(1.0)),
        ("min_p", json!(0.0)),
        ("typical_p", json!(1.0)),
        ("frequency_penalty", json!(0.0)),
        ("presence_penalty", json!(0.0)),
        ("repetition_penalty", json!(1.0)),
        ("mirostat_target", Value::Null),
        ("mirostat_lr", json!(0.1)),
    ] {
        let given = generation.body.get(name).filter(|value| !value.is_null());
        options.insert(name.to_owned(), given.cloned().unwrap_or(default));
    }
    Value::Object(options)
}
