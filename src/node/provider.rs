//! The part shared by all Fireworks nodes: the client they call, and the steps
//! to prepare and run a call.

use std::sync::Arc;

use super::{
    Input, Prepared, model_name,
    request::{self, NodeSettings},
};
use crate::{
    emit::Emit,
    event::Finish,
    fireworks::{Attempt, Client, Endpoint, Interrupted, Request},
    output::OutputFormat,
};

/// Fireworks, as its nodes see it.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) client: Client,
    pub(super) base_url: Arc<str>,
}

impl Provider {
    pub(super) fn new(client: Client) -> Provider {
        let base_url = client.base_url().as_str().into();
        Provider { client, base_url }
    }

    /// Prepares a call to an endpoint. Nothing is sent.
    pub(super) fn prepare(
        &self,
        settings: &NodeSettings,
        endpoint: Endpoint,
        input: &Input,
        output: &OutputFormat,
    ) -> Prepared<Request> {
        let written = request::write(settings, endpoint, input, output);
        Prepared {
            tier: settings.tier.clone(),
            routing: settings.routing(),
            base_url: Arc::clone(&self.base_url),
            endpoint: match endpoint {
                Endpoint::ChatCompletions => "chat/completions",
                Endpoint::Completions => "completions",
                Endpoint::Embeddings => "embeddings",
            },
            canonical: written.canonical,
            prompt: written.prompt,
            deltas: settings.streaming,
            is_alias: model_name::is_alias(&settings.model),
            call: written.request,
        }
    }

    /// Makes one attempt. Dropping the future closes the provider's stream at
    /// once, because the client's own future does.
    pub(super) async fn run(
        &self,
        request: &Request,
        attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        self.client.generate(request, attempt, emit).await
    }
}
