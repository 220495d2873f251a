//! The steps with which every call begins, and its end if it is refused.

use axum::{extract::Request, response::Response};

use crate::{
    endpoint::Endpoint,
    gate::{self, Arrival},
    ledger::Call,
    refusal::Refusal,
    script::effects::Effects,
    world::World,
};

/// The largest request body, in bytes: images come inline.
const LARGEST_BODY: usize = 32 * 1024 * 1024;

/// Reads the request.
pub(crate) async fn arrive(endpoint: Endpoint, request: Request) -> Result<Arrival, Refusal> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LARGEST_BODY).await.map_err(|_| Refusal::status(413))?;
    Ok(Arrival {
        endpoint,
        version: parts.version,
        headers: parts.headers,
        request_id: new_id(endpoint),
        body: serde_json::from_slice(&body).ok(),
    })
}

/// A call that ends before it is accepted.
pub(crate) enum Turned {
    HungUp,
    Refused(Refusal),
}

/// Checks the key, and returns the scripted faults of the call.
pub(crate) async fn screen(
    world: &World,
    arrival: &Arrival,
    call: &mut Call,
) -> Result<Effects, Turned> {
    arrival.record(call);
    world.options.keys.admit(arrival.key()).map_err(Turned::Refused)?;
    let mut effects = gate::effects(world, arrival);
    tokio::time::sleep(effects.head_delay).await;
    if effects.hang_up {
        call.cut();
        return Err(Turned::HungUp);
    }
    match effects.refusal.take() {
        Some(refusal) => Err(Turned::Refused(refusal)),
        None => Ok(effects),
    }
}

pub(crate) fn refuse(refusal: Refusal, mut call: Call, request_id: &str) -> Response {
    call.refused(refusal.status_code().as_u16());
    refusal.into_response(request_id)
}

/// Returns the reply's id, which is also its `x-request-id`: a prefix and 32
/// hex digits.
pub(crate) fn new_id(endpoint: Endpoint) -> String {
    format!("{}{:032x}", endpoint.id_prefix(), fastrand::u128(..))
}
