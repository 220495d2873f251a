//! The handling of an accepted call, from its request to the response.

use std::time::SystemTime;

use axum::response::Response;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    answer::{self, generation::Generation, usage::Usage},
    ledger::Call,
    playback::{
        self,
        extras::Extras,
        headers,
        shape::Envelope,
        timeline::{self, Score},
        unstreamed,
    },
    script::effects::Effects,
    world::World,
};

/// An accepted call.
pub(crate) struct Performance<'a> {
    pub(crate) world: &'a World,
    pub(crate) generation: Generation,
    pub(crate) effects: Effects,
    pub(crate) request_id: String,
    pub(crate) cached: u32,
    pub(crate) started: Instant,
}

impl Performance<'_> {
    /// Returns the response head, once the first token (or the whole answer) is
    /// there.
    ///
    /// If the client leaves and this future is dropped, `call` counts it as
    /// aborted.
    pub(crate) async fn respond(self, mut call: Call) -> Response {
        let pace = self.world.options.pace_of(&self.generation.model.name);
        call.time(&self.generation.model.name);
        let choices = answer::compose(&self.generation, &self.world.options, &self.effects);
        let usage = Usage::of(self.generation.prompt_tokens, self.cached, &choices);
        let usage_json = usage.json(&self.effects.usage);
        let envelope = self.envelope();
        // The head comes with the first token, unless a fault delays it.
        if self.effects.first_token_delay.is_zero() {
            tokio::time::sleep(pace.first_token).await;
        }
        let extras = Extras::of(&self.generation, &choices, usage, self.started.elapsed());
        let steps = if self.generation.stream {
            timeline::streamed(Score {
                envelope: &envelope,
                choices: &choices,
                usage: usage_json.and_then(|usage| self.placed(usage)),
                extras,
                pace,
                effects: &self.effects,
            })
        } else {
            tokio::time::sleep(self.effects.first_token_delay + pace.tokens(usage.completion))
                .await;
            let mut reply = envelope.reply(&choices, usage_json.as_ref());
            extras.add_to(&mut reply);
            unstreamed::steps(&Value::Object(reply), usage.completion, &self.effects)
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
            dialects: self.effects.dialects.clone(),
        }
    }

    /// Returns the usage with its position: requested usage has a chunk of its
    /// own; otherwise it is on the finish, or nowhere, depending on the model.
    fn placed(&self, usage: Value) -> Option<(Value, bool)> {
        let asked = self.generation.include_usage;
        (asked || self.generation.model.unprompted_usage).then_some((usage, asked))
    }
}
