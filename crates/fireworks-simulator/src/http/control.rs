//! The simulator's own routes, for tests in other languages and for people:
//!
//! | route | does |
//! | --- | --- |
//! | `POST /simulator/faults` | arms a rule (as JSON or by a preset's name) or a list of rules |
//! | `GET /simulator/faults` | lists the rules that can still match |
//! | `DELETE /simulator/faults` | disarms all rules |
//! | `GET /simulator/report` | returns the counts and the last requests |
//! | `POST /simulator/day/{day}` | sets the day, from 0 at the start: models end by it |
//! | `POST /simulator/reset` | resets the counts and the day, and restores the initial rules |
//!
//! For example, two 429s for prompts containing "rivers", then normal service:
//! `{"faults": [{"refuse": {"status": 429}}], "times": 2, "prompt": "rivers"}`.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;

use crate::{handle::Handle, script::rule::Rule, world::World};

pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/faults", post(arm).get(armed).delete(clear))
        .route("/report", get(report))
        .route("/day/{day}", post(day))
        .route("/reset", post(reset))
}

async fn arm(State(world): State<Arc<World>>, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body);
    let rules: Result<Vec<Rule>, String> = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(|problem| problem.to_string())
    } else {
        text.parse().map(|rule| vec![rule])
    };
    match rules {
        Ok(rules) => {
            world.script.arm(rules);
            json_response(200, &json!({"armed": world.script.armed()}), None)
        }
        Err(problem) => {
            let problem = format!("not armed: the rule {problem}");
            json_response(400, &json!({"error": problem}), None)
        }
    }
}

async fn armed(State(world): State<Arc<World>>) -> Response {
    json_response(200, &json!({"armed": world.script.armed()}), None)
}

async fn clear(State(world): State<Arc<World>>) -> Response {
    world.script.clear();
    json_response(200, &json!({"armed": []}), None)
}

async fn report(State(world): State<Arc<World>>) -> Response {
    json_response(200, &Handle::new(world).report(), None)
}

async fn day(State(world): State<Arc<World>>, Path(day): Path<i64>) -> Response {
    world.set_day(day);
    json_response(200, &json!({"day": day}), None)
}

async fn reset(State(world): State<Arc<World>>) -> Response {
    world.reset();
    json_response(200, &json!({"reset": true}), None)
}

/// Builds a JSON response.
pub(crate) fn json_response(
    status: u16,
    value: &impl Serialize,
    request_id: Option<&str>,
) -> Response {
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(id) = request_id.and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert("x-request-id", id);
    }
    response
}
