//! The routes of the inference API, mounted at `/inference/v1` and `/v1` (where
//! the official SDK looks once its base URL is overridden), and what each call
//! goes through.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::Uri,
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    answer,
    connection::HangUp,
    control,
    effects::Effects,
    endpoint::Endpoint,
    gate::{self, Arrival},
    generation::Generation,
    headers,
    keys::is_fire_pass,
    ledger::Call,
    model::Reasoning,
    playback,
    refusal::Refusal,
    shape::Envelope,
    timeline::{self, Score},
    tokens,
    usage::Usage,
    world::World,
};

/// The largest request body, in bytes: images come inline.
const LARGEST_BODY: usize = 32 * 1024 * 1024;

/// Everything that the simulator serves.
pub(super) fn router(world: Arc<World>) -> Router {
    let inference = Router::new()
        .route("/chat/completions", post(chat_completions))
        .route("/completions", post(completions))
        .route("/models", get(models));
    Router::new()
        .nest("/inference/v1", inference.clone())
        .nest("/v1", inference)
        .nest("/simulator", control::router())
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(world)
}

async fn chat_completions(State(world): State<Arc<World>>, request: Request) -> Response {
    generate(&world, Endpoint::ChatCompletions, request).await
}

async fn completions(State(world): State<Arc<World>>, request: Request) -> Response {
    generate(&world, Endpoint::Completions, request).await
}

async fn nowhere(uri: Uri) -> Response {
    Refusal::not_a_path(uri.path()).into_response(&new_id(Endpoint::ChatCompletions))
}

/// One call, from its arrival to its response head.
///
/// If the client leaves meanwhile this future is dropped, and `call` with it,
/// which books it as aborted.
async fn generate(world: &World, endpoint: Endpoint, request: Request) -> Response {
    let started = Instant::now();
    let mut call = world.ledger.begin(endpoint);
    let mut arrival = match arrive(endpoint, request).await {
        Ok(arrival) => arrival,
        Err(refusal) => return refuse(refusal, call, &new_id(endpoint)),
    };
    arrival.record(&call);
    let request_id = arrival.request_id.clone();
    if let Err(refusal) = world.options.keys.admit(arrival.key()) {
        return refuse(refusal, call, &request_id);
    }
    let mut effects = gate::effects(world, &arrival);
    tokio::time::sleep(effects.head_delay).await;
    if effects.hang_up {
        call.cut();
        return HangUp::response();
    }
    if let Some(refusal) = effects.refusal.take() {
        return refuse(refusal, call, &request_id);
    }
    let account = arrival.key().unwrap_or_default().to_owned();
    match gate::admit(world, &mut arrival) {
        Ok(generation) => {
            let cached = visit_cache(world, &account, &arrival, &generation);
            call.accepted(generation.hash, generation.prompt_tokens, cached, generation.stream);
            let performance =
                Performance { world, generation, effects, request_id, cached, started };
            performance.respond(call).await
        }
        Err(refusal) => refuse(refusal, call, &request_id),
    }
}

async fn arrive(endpoint: Endpoint, request: Request) -> Result<Arrival, Refusal> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_BODY).await;
    let body: Bytes = body.map_err(|_| Refusal::status(413))?;
    Ok(Arrival {
        endpoint,
        version: parts.version,
        headers: parts.headers,
        request_id: new_id(endpoint),
        body: serde_json::from_slice(&body).ok(),
    })
}

/// Prompt caches are per account, isolation key and model.
fn visit_cache(world: &World, account: &str, arrival: &Arrival, generation: &Generation) -> u32 {
    let header = arrival.headers.get("x-prompt-cache-isolation-key");
    let isolation = generation.body.get("prompt_cache_isolation_key").and_then(Value::as_str);
    let isolation = isolation.or(header.and_then(|value| value.to_str().ok())).unwrap_or_default();
    let scope = format!("{account}\n{isolation}\n{}\n", generation.model.name);
    generation.prompts.iter().map(|prompt| world.prefix_cache.visit(&scope, prompt)).sum()
}

fn refuse(refusal: Refusal, mut call: Call, request_id: &str) -> Response {
    call.refused(refusal.status_code().as_u16());
    refusal.into_response(request_id)
}

/// An accepted call.
struct Performance<'a> {
    world: &'a World,
    generation: Generation,
    effects: Effects,
    request_id: String,
    cached: u32,
    started: Instant,
}

impl Performance<'_> {
    async fn respond(self, call: Call) -> Response {
        let pace = self.world.options.pace;
        let choices = answer::compose(&self.generation, &self.world.options, &self.effects);
        let usage = Usage::of(self.generation.prompt_tokens, self.cached, &choices);
        let usage_json = usage.json(&self.effects.usage);
        let envelope = self.envelope();
        let slow_first_token = !self.effects.first_token_delay.is_zero();
        if !slow_first_token {
            tokio::time::sleep(pace.first_token).await;
        }
        let steps = if self.generation.stream {
            timeline::streamed(Score {
                envelope: &envelope,
                choices: &choices,
                usage: usage_json.and_then(|usage| self.placed(usage)),
                extra: self.extra(usage),
                pace,
                effects: &self.effects,
            })
        } else {
            tokio::time::sleep(self.effects.first_token_delay + pace.tokens(usage.completion))
                .await;
            let mut reply = envelope.reply(&choices, usage_json.as_ref());
            let extra = self.extra(usage).into_iter();
            reply.extend(extra.map(|(name, value)| (name.to_owned(), value)));
            timeline::unstreamed(&Value::Object(reply), usage.completion, &self.effects)
        };
        let body = playback::body(steps, call);
        headers::dress(body, &self.generation, &self.request_id, self.started.elapsed())
    }

    fn envelope(&self) -> Envelope {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Envelope {
            id: self.request_id.clone(),
            created: now.as_secs(),
            model: self.generation.model.name.clone(),
            endpoint: self.generation.endpoint,
            logprobs: self.generation.logprobs,
            token_ids: self.generation.return_token_ids,
        }
    }

    /// Usage that was asked for has a chunk of its own; else it is on the
    /// finish, or nowhere, as the model does it.
    fn placed(&self, usage: Value) -> Option<(Value, bool)> {
        let asked = self.generation.include_usage;
        (asked || self.generation.model.unprompted_usage).then_some((usage, asked))
    }

    /// Members that go on the last chunk, or into the reply.
    fn extra(&self, usage: Usage) -> Vec<(&'static str, Value)> {
        let mut extra = Vec::new();
        if self.generation.perf_metrics {
            let seconds = self.started.elapsed().as_secs_f64();
            extra.push((
                "perf_metrics",
                json!({
                    "prompt-tokens": usage.prompt,
                    "cached-prompt-tokens": usage.cached,
                    "server-time-to-first-token": format!("{seconds:.3}"),
                    "server-processing-time": format!("{seconds:.3}"),
                }),
            ));
        }
        if self.generation.return_token_ids {
            let prompt = self.generation.prompts.first().map_or("", String::as_str);
            let ids: Vec<u32> = tokens::split(prompt).map(tokens::id).collect();
            extra.push(("prompt_token_ids", json!(ids)));
        }
        extra
    }
}

/// `GET /models`: what the key can call.
async fn models(State(world): State<Arc<World>>, request: Request) -> Response {
    let mut call = world.ledger.begin(Endpoint::Models);
    let (parts, _) = request.into_parts();
    let arrival = Arrival {
        endpoint: Endpoint::Models,
        version: parts.version,
        headers: parts.headers,
        request_id: new_id(Endpoint::Models),
        body: None,
    };
    arrival.record(&call);
    let key = arrival.key();
    if let Err(refusal) = world.options.keys.admit(key) {
        return refuse(refusal, call, &arrival.request_id);
    }
    let effects = gate::effects(&world, &arrival);
    tokio::time::sleep(effects.head_delay).await;
    if effects.hang_up {
        call.cut();
        return HangUp::response();
    }
    let fire_pass = key.is_some_and(is_fire_pass).then(|| Refusal::status(403));
    if let Some(refusal) = effects.refusal.or(fire_pass) {
        return refuse(refusal, call, &arrival.request_id);
    }
    call.completed();
    list(&world, &arrival.request_id)
}

fn list(world: &World, request_id: &str) -> Response {
    let data: Vec<Value> = world
        .options
        .models
        .iter()
        .map(|model| {
            json!({
                "id": model.name,
                "object": "model",
                "owned_by": "fireworks",
                "created": 1_767_225_600,
                "kind": "HF_BASE_MODEL",
                "supports_chat": true,
                "supports_image_input": model.reasoning == Reasoning::Field,
                "supports_tools": model.supports_tools,
                "context_length": model.context_length,
            })
        })
        .collect();
    let list: Map<String, Value> =
        [("object".to_owned(), json!("list")), ("data".to_owned(), Value::Array(data))]
            .into_iter()
            .collect();
    control::json_response(200, &Value::Object(list), Some(request_id))
}

/// The reply's id, which is also its `x-request-id`: a prefix and 32 hex digits.
fn new_id(endpoint: Endpoint) -> String {
    format!("{}{:032x}", endpoint.id_prefix(), fastrand::u128(..))
}
