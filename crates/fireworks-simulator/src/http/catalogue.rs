//! The models: the inference API's list, and the account API's records, which alone
//! say when a model ends.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    extract::{Path, Request, State},
    http::Uri,
    response::Response,
};
use serde_json::{Value, json};

use crate::{
    endpoint::Endpoint,
    http::{
        connection::HangUp,
        control,
        steps::{Turned, arrive, new_id, refuse, screen},
    },
    keys::is_fire_pass,
    model::{Availability, Model},
    refusal::Refusal,
    world::World,
};

/// The account API's page size, by default and at most.
const PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: usize = 200;
const SECONDS_PER_DAY: u64 = 24 * 3600;

/// Handles `GET /models`: the models that the key can call, and some that have
/// ended, which the real service keeps in its list too.
pub(crate) async fn models(State(world): State<Arc<World>>, request: Request) -> Response {
    look_up(&world, request, |world| Ok(list(world))).await
}

/// Handles `GET /models/{id}`, with slashes in the id.
pub(crate) async fn model(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    look_up(&world, request, |world| world.model(&id).map(describe)).await
}

/// Handles `GET /v1/accounts/{account}/models`.
pub(crate) async fn account_models(
    State(world): State<Arc<World>>,
    Path(account): Path<String>,
    uri: Uri,
    request: Request,
) -> Response {
    look_up_record(&world, request, |world| Ok(page(world, &account, &uri))).await
}

/// Handles `GET /v1/accounts/{account}/models/{model}`.
pub(crate) async fn account_model(
    State(world): State<Arc<World>>,
    Path((account, model)): Path<(String, String)>,
    request: Request,
) -> Response {
    let name = format!("accounts/{account}/models/{model}");
    let find = |world: &World| {
        let found = world.options.models.iter().find(|model| model.name == name);
        found.map(|model| record(world, model)).ok_or_else(|| Refusal::no_record(&name))
    };
    look_up_record(&world, request, find).await
}

async fn look_up(
    world: &World,
    request: Request,
    find: impl FnOnce(&World) -> Result<Value, Refusal>,
) -> Response {
    let mut call = world.ledger.begin(Endpoint::Models);
    let arrival = match arrive(Endpoint::Models, request).await {
        Ok(arrival) => arrival,
        Err(refusal) => return refuse(refusal, call, &new_id(Endpoint::Models)),
    };
    match screen(world, &arrival, &mut call).await {
        Ok(_) if arrival.key().is_some_and(is_fire_pass) => {
            refuse(Refusal::status(403), call, &arrival.request_id)
        }
        Ok(_) => match find(world) {
            Ok(found) => {
                call.listed();
                control::json_response(200, &found, Some(&arrival.request_id))
            }
            Err(refusal) => refuse(refusal, call, &arrival.request_id),
        },
        Err(Turned::HungUp) => HangUp::response(),
        Err(Turned::Refused(refusal)) => refuse(refusal, call, &arrival.request_id),
    }
}

/// Answers a request to the account API, which is counted apart and has no faults.
async fn look_up_record(
    world: &World,
    request: Request,
    find: impl FnOnce(&World) -> Result<Value, Refusal>,
) -> Response {
    let request_id = new_id(Endpoint::Models);
    let arrival = match arrive(Endpoint::Models, request).await {
        Ok(arrival) => arrival,
        Err(refusal) => return refusal.into_response(&request_id),
    };
    let found = world.options.keys.admit(arrival.key()).and_then(|()| find(world));
    world.ledger.looked_up();
    match found {
        Ok(found) => control::json_response(200, &found, Some(&request_id)),
        Err(refusal) => refusal.into_response(&request_id),
    }
}

fn list(world: &World) -> Value {
    let models: Vec<Value> = world.options.models.iter().map(describe).collect();
    json!({"object": "list", "data": models})
}

fn describe(model: &Model) -> Value {
    json!({
        "id": model.name,
        "object": "model",
        "owned_by": "fireworks",
        "created": 1_767_225_600,
        "kind": "HF_BASE_MODEL",
        "supports_chat": model.dimensions.is_none(),
        "supports_image_input": model.supports_images,
        "supports_tools": model.supports_tools,
        "context_length": model.context_length,
    })
}

fn page(world: &World, account: &str, uri: &Uri) -> Value {
    let prefix = format!("accounts/{account}/models/");
    let of_account: Vec<&Model> =
        world.options.models.iter().filter(|model| model.name.starts_with(&prefix)).collect();
    let number = |key| argument(uri, key).and_then(|text| text.parse::<usize>().ok());
    let size = number("pageSize").unwrap_or(PAGE_SIZE).clamp(1, MAX_PAGE_SIZE);
    let start = number("pageToken").unwrap_or(0).min(of_account.len());
    let end = (start + size).min(of_account.len());
    let next = if end < of_account.len() { end.to_string() } else { String::new() };
    let records = of_account[start..end].iter();
    json!({
        "models": records.map(|model| record(world, model)).collect::<Vec<Value>>(),
        "nextPageToken": next,
        "totalSize": of_account.len(),
    })
}

fn argument<'a>(uri: &'a Uri, key: &str) -> Option<&'a str> {
    let mut arguments = uri.query()?.split('&').filter_map(|argument| argument.split_once('='));
    arguments.find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// Returns a model's record. `deprecationDate` appears with the announcement, and
/// counts from the simulator's own day.
fn record(world: &World, model: &Model) -> Value {
    let day = world.day();
    let mut record = json!({
        "name": model.name,
        "state": "READY",
        "kind": "HF_BASE_MODEL",
        "public": true,
        "contextLength": model.context_length,
        "supportsImageInput": model.supports_images,
        "supportsTools": model.supports_tools,
        "supportsServerless": model.availability == Availability::Ready && !model.has_ended(day),
    });
    if let Some(retirement) = model.retirement.as_ref().filter(|end| end.announced <= day) {
        record["deprecationDate"] = date(retirement.ends - day);
        if let Some(successor) = &retirement.successor {
            record["successor"] = successor.as_str().into();
        }
    }
    record
}

/// Returns the date that many days from today, in UTC.
fn date(days_from_today: i64) -> Value {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let today = i64::try_from(since_1970.as_secs() / SECONDS_PER_DAY).unwrap_or_default();
    let seconds = (today + days_from_today).max(0).unsigned_abs() * SECONDS_PER_DAY;
    let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let text = humantime::format_rfc3339_seconds(moment).to_string();
    let mut parts = text.split(['-', 'T']).map(|part| part.parse::<u32>().unwrap_or_default());
    let mut part = || parts.next().unwrap_or_default();
    json!({"year": part(), "month": part(), "day": part()})
}
