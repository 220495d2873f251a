//! The routes of the inference API, mounted at `/inference/v1` and `/v1` (the
//! official SDK's path once its base URL is overridden), and those of the account API
//! for models.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::Uri,
    response::Response,
    routing::{get, post},
};
use tokio::time::Instant;

use crate::{
    answer::{
        generation::Generation,
        replicas::{Route, Visit},
    },
    endpoint::Endpoint,
    gate::{self, Arrival},
    http::{
        catalogue,
        connection::HangUp,
        control,
        steps::{Turned, arrive, new_id, refuse, screen},
    },
    ledger::Accepted,
    playback::{self, headers, performance::Performance, unstreamed},
    refusal::Refusal,
    world::World,
};

/// Returns all routes of the simulator.
pub(crate) fn router(world: Arc<World>) -> Router {
    let inference = Router::new()
        .route("/chat/completions", post(chat_completions))
        .route("/completions", post(completions))
        .route("/embeddings", post(embeddings))
        .route("/models", get(catalogue::models))
        .route("/models/{*id}", get(catalogue::model));
    Router::new()
        .route("/v1/accounts/{account}/models", get(catalogue::account_models))
        .route("/v1/accounts/{account}/models/{model}", get(catalogue::account_model))
        .nest("/inference/v1", inference.clone())
        .nest("/v1", inference)
        .nest("/simulator", control::router())
        .fallback(nowhere)
        .with_state(world)
}

async fn chat_completions(State(world): State<Arc<World>>, request: Request) -> Response {
    generate(&world, Endpoint::ChatCompletions, request).await
}

async fn completions(State(world): State<Arc<World>>, request: Request) -> Response {
    generate(&world, Endpoint::Completions, request).await
}

async fn embeddings(State(world): State<Arc<World>>, request: Request) -> Response {
    embed(&world, request).await
}

async fn nowhere(uri: Uri) -> Response {
    Refusal::not_a_path(uri.path()).into_response(&new_id(Endpoint::ChatCompletions))
}

/// Handles one call, from its arrival to its response head.
///
/// If the client leaves meanwhile this future is dropped, and `call` with it,
/// which counts it as aborted.
async fn generate(world: &World, endpoint: Endpoint, request: Request) -> Response {
    let started = Instant::now();
    let mut call = world.ledger.begin(endpoint);
    let mut arrival = match arrive(endpoint, request).await {
        Ok(arrival) => arrival,
        Err(refusal) => return refuse(refusal, call, &new_id(endpoint)),
    };
    let effects = match screen(world, &arrival, &mut call).await {
        Ok(effects) => effects,
        Err(Turned::HungUp) => return HangUp::response(),
        Err(Turned::Refused(refusal)) => return refuse(refusal, call, &arrival.request_id),
    };
    let generation = match gate::admit(world, &mut arrival) {
        Ok(generation) => generation,
        Err(refusal) => return refuse(refusal, call, &arrival.request_id),
    };
    let visit = visit_replica(world, &arrival, &generation);
    let cached = visit.cached;
    call.accepted(Accepted {
        hash: generation.hash,
        prompt_tokens: generation.prompt_tokens,
        visit,
        stream: generation.stream,
        price: generation.model.price,
    });
    let request_id = arrival.request_id;
    Performance { world, generation, effects, request_id, cached, started }.respond(call).await
}

/// Handles one call for embeddings, likewise.
async fn embed(world: &World, request: Request) -> Response {
    let started = Instant::now();
    let mut call = world.ledger.begin(Endpoint::Embeddings);
    let mut arrival = match arrive(Endpoint::Embeddings, request).await {
        Ok(arrival) => arrival,
        Err(refusal) => return refuse(refusal, call, &new_id(Endpoint::Embeddings)),
    };
    let effects = match screen(world, &arrival, &mut call).await {
        Ok(effects) => effects,
        Err(Turned::HungUp) => return HangUp::response(),
        Err(Turned::Refused(refusal)) => return refuse(refusal, call, &arrival.request_id),
    };
    let embedding = match gate::admit_embedding(world, &mut arrival) {
        Ok(embedding) => embedding,
        Err(refusal) => return refuse(refusal, call, &arrival.request_id),
    };
    call.embedding(embedding.hashes(), embedding.prompt_tokens());
    let pace = world.options.pace_of(&embedding.model.name);
    tokio::time::sleep(pace.first_token + effects.first_token_delay).await;
    let reply = embedding.reply(&effects.usage);
    let body = playback::body(unstreamed::steps(&reply, 0, &effects), call);
    let prompt_tokens = embedding.prompt_tokens();
    headers::dress_embedding(body, prompt_tokens, &arrival.request_id, started.elapsed())
}

/// Takes the call to its replica. The last token is always computed: its logits start
/// the answer.
fn visit_replica(world: &World, arrival: &Arrival, generation: &Generation) -> Visit {
    let route = Route {
        account: arrival.key().unwrap_or_default(),
        model: &generation.model.name,
        headers: &arrival.headers,
        body: &generation.body,
    };
    let visit = world.replicas.visit(&route, &generation.prompts);
    let most = generation.prompt_tokens.saturating_sub(1);
    Visit { cached: visit.cached.min(most), by_oracle: visit.by_oracle.min(most), ..visit }
}
