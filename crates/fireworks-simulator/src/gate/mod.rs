//! The checks of a call, in the real gateway's order: key and billing (both in
//! `keys`), scripted faults, model, then the fields.

pub(crate) mod validation;

use axum::http::{HeaderMap, Version, header};
use serde_json::{Map, Value};

use crate::{
    answer::{embedding::Embedding, generation::Generation, prompt},
    endpoint::Endpoint,
    ledger::Call,
    model::Model,
    refusal::Refusal,
    report::Seen,
    script::{Subject, effects::Effects},
    world::World,
};

/// A call as it arrived.
pub(crate) struct Arrival {
    pub(crate) endpoint: Endpoint,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) request_id: String,
    /// The members of the body, if it is a JSON object.
    pub(crate) body: Option<Map<String, Value>>,
}

impl Arrival {
    pub(crate) fn key(&self) -> Option<&str> {
        let value = self.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        value.strip_prefix("Bearer ").map(str::trim).filter(|key| !key.is_empty())
    }

    fn model(&self) -> &str {
        let model = self.body.as_ref().and_then(|body| body.get("model"));
        model.and_then(Value::as_str).unwrap_or_default()
    }

    /// Adds the call to the report, without its credential.
    pub(crate) fn record(&self, call: &Call) {
        let key = self.key().unwrap_or_default();
        let redact = |text: &str| match key {
            "" => text.to_owned(),
            key => text.replace(key, "[REDACTED]"),
        };
        let headers = self.headers.iter().map(|(name, value)| {
            let value = match *name {
                header::AUTHORIZATION => "[REDACTED]".to_owned(),
                _ => redact(&String::from_utf8_lossy(value.as_bytes())),
            };
            (name.as_str().to_owned(), value)
        });
        let seen = Seen {
            endpoint: self.endpoint,
            version: format!("{:?}", self.version),
            request_id: self.request_id.clone(),
            headers: headers.collect(),
            body: self.body.as_ref().map_or(Value::Null, |body| redacted(body, key)),
        };
        call.seen(seen, &redact(self.model()));
    }
}

/// Returns the body as it came, unless it contains the key.
fn redacted(body: &Map<String, Value>, key: &str) -> Value {
    let body = Value::Object(body.clone());
    if key.is_empty() {
        return body;
    }
    let text = body.to_string();
    if text.contains(key) {
        return serde_json::from_str(&text.replace(key, "[REDACTED]")).unwrap_or_default();
    }
    body
}

/// Returns the scripted faults of the call.
pub(crate) fn effects(world: &World, arrival: &Arrival) -> Effects {
    // Joining the prompts is expensive; most calls have no script.
    if world.script.is_empty() {
        return Effects::default();
    }
    let prompt = match &arrival.body {
        Some(body) => prompt::texts(arrival.endpoint, body).concat(),
        None => String::new(),
    };
    Effects::of(world.script.take(Subject {
        endpoint: arrival.endpoint,
        model: arrival.model(),
        prompt: &prompt,
    }))
}

/// Checks model and fields, and returns the accepted request to generate.
pub(crate) fn admit(world: &World, arrival: &mut Arrival) -> Result<Generation, Refusal> {
    let (model, body) = check(world, arrival)?;
    Generation::read(arrival.endpoint, model, body, &world.options)
}

/// Checks model and fields, and returns the accepted request to embed.
pub(crate) fn admit_embedding(world: &World, arrival: &mut Arrival) -> Result<Embedding, Refusal> {
    let (model, body) = check(world, arrival)?;
    Embedding::read(model, &body)
}

fn check(world: &World, arrival: &mut Arrival) -> Result<(Model, Map<String, Value>), Refusal> {
    let body = arrival.body.take();
    let body = body.ok_or_else(|| Refusal::invalid("The request body is not a JSON object"))?;
    let name = match body.get("model") {
        Some(Value::String(name)) => name,
        Some(_) => {
            return Err(Refusal::invalid("Input should be a valid string, field: 'model'"));
        }
        None => return Err(Refusal::invalid("Field required, field: 'model'")),
    };
    let model = world.model(name)?;
    validation::check(arrival.endpoint, &body, model, &world.options)?;
    Ok((model.clone(), body))
}
