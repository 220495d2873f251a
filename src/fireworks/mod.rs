//! The provider's client: takes requests that are complete JSON, emits deltas
//! as the network delivers them, and ends an attempt with a [`Finish`] or one
//! named error.
//!
//! It knows Fireworks.ai's API and nothing of nodes, flights or protobuf. It
//! makes one attempt; the execution retries, as [`RetryPolicy`] decides. It
//! enforces only the connect deadline; the caller enforces the others by dropping
//! the future, which closes the provider's stream at once.
//!
//! | file | purpose |
//! |---|---|
//! | `exchange` | one attempt, from request to finish |
//! | `affinity` | the headers of a conversation |
//! | `connections`, `sending` | choosing a connection; noticing when the request is on it |
//! | `head` | a response's headers |
//! | `stream` → `sse` → `answer` | network reads → events → deltas |
//! | `api`, `template` | the JSON of a chunk; the fast path for one like the last |
//! | `embeddings` | the vectors of texts |
//! | `calls`, `text` | separating tool calls; repairing JSON text |
//! | `reasoning` | extracting `<think>` from text |
//! | `failure`, `error_body`, `transport` | refusals and broken connections as errors |
//! | `retry` | deciding whether and when to retry |
//! | `probe` | checking a credential without spending a token |
//! | `models` | the models of the provider, and its record of one |

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use url::Url;

mod affinity;
mod answer;
mod api;
mod calls;
mod connections;
mod embeddings;
mod error_body;
mod exchange;
mod failure;
mod head;
mod models;
mod probe;
mod reasoning;
mod retry;
mod sending;
mod sse;
mod stream;
mod template;
mod text;
mod transport;

#[cfg(test)]
mod tests;

pub use self::affinity::Affinity;
pub(crate) use self::{
    connections::proxy,
    models::{EndDate, ModelRecord},
    probe::{Conclusion, Probe, ProbeVerdict},
    retry::RetryPolicy,
};

/// Internals exposed to the benchmarks and the fuzzer only.
#[doc(hidden)]
pub mod parts {
    pub use super::{
        answer::{Answer, StreamError},
        failure::{ErrorContext, from_status, from_stream},
        sse::{Decoder, Event, EventTooLong},
    };
}

use self::{answer::Answer, connections::Connections, exchange::Exchange};
use crate::{
    credentials::ApiKey,
    emit::Emit,
    error::Error,
    event::{Finish, Usage},
};

/// Settings of the connection to the provider.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// The URL up to and including `/v1`; `http` or `https`, without
    /// credentials, query or fragment.
    pub base_url: Url,
    /// The HTTP version to use.
    pub protocol: Protocol,
    /// The time limit for establishing a connection; an attempt may set a shorter one.
    pub connect_timeout: Duration,
    /// Maximum HTTP/2 connections. Each is filled to a hundred streams before
    /// the next is opened, so a high limit costs nothing until it is needed.
    pub connections: usize,
    /// Maximum bytes of a stream's event, and of an unstreamed answer.
    pub max_event_bytes: usize,
    /// Maximum bytes read of a refusal's body.
    pub max_error_bytes: usize,
}

impl ClientConfig {
    /// The URL of Fireworks.ai's inference API.
    pub const DEFAULT_BASE_URL: &'static str = "https://api.fireworks.ai/inference/v1";
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig {
            base_url: Url::parse(ClientConfig::DEFAULT_BASE_URL).expect("a constant URL"),
            protocol: Protocol::Auto,
            connect_timeout: Duration::from_secs(10),
            connections: 64,
            max_event_bytes: 4 * 1024 * 1024,
            max_error_bytes: 64 * 1024,
        }
    }
}

/// The HTTP version to use with the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Over TLS the version both sides prefer, which is HTTP/2; HTTP/1.1 in cleartext.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; with prior knowledge in cleartext.
    Http2,
}

/// The endpoint a request is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/chat/completions`.
    ChatCompletions,
    /// `/completions`.
    Completions,
    /// `/embeddings`.
    Embeddings,
}

/// A request to the provider.
#[derive(Debug, Clone)]
pub struct Request {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The complete JSON, with `stream: true` and
    /// `stream_options: {"include_usage": true}`.
    pub body: Bytes,
    /// The number of choices to expect: `n` times the prompts of a batch.
    pub choices: u32,
    /// True if `logprobs` were requested and should be emitted.
    pub logprobs: bool,
}

/// A request for embeddings.
#[derive(Debug, Clone)]
pub struct EmbeddingRequest {
    /// The complete JSON, with `encoding_format`.
    pub body: Bytes,
    /// The number of texts.
    pub texts: usize,
    /// The dimensions of a vector, if they were requested.
    pub dimensions: Option<usize>,
}

/// The resources of one attempt.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The key to send.
    pub credential: &'a ApiKey,
    /// The connect deadline. It does not run while the request waits on an
    /// established connection.
    pub connect: Duration,
    /// The names of the conversation to the provider's prompt caches.
    pub affinity: &'a Affinity,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Interrupted {
    /// The cause.
    pub error: Error,
    /// The tokens used, as far as known.
    pub usage: Option<Usage>,
}

/// The client. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client(Arc<ClientState>);

#[derive(Debug)]
struct ClientState {
    config: ClientConfig,
    urls: Urls,
    connections: Connections,
}

#[derive(Debug)]
struct Urls {
    chat_completions: Url,
    completions: Url,
    embeddings: Url,
}

impl Client {
    /// Creates a client that has not connected yet.
    ///
    /// # Errors
    /// The base URL cannot be extended, or this machine's TLS roots cannot be
    /// loaded.
    pub fn new(config: ClientConfig) -> anyhow::Result<Client> {
        check_base_url(&config.base_url)?;
        Ok(Client(Arc::new(ClientState {
            urls: Urls {
                chat_completions: extend(&config.base_url, &["chat", "completions"])?,
                completions: extend(&config.base_url, &["completions"])?,
                embeddings: extend(&config.base_url, &["embeddings"])?,
            },
            connections: Connections::new(&config)?,
            config,
        })))
    }

    /// Returns the provider's base URL.
    pub fn base_url(&self) -> &Url {
        &self.0.config.base_url
    }

    /// Returns true if the base URL is at Fireworks' own host: a gateway at
    /// another host may answer for itself.
    pub fn is_fireworks(&self) -> bool {
        probe::is_fireworks(self.base_url())
    }

    /// Makes one attempt and emits its phases and deltas. The deltas of one
    /// network read are emitted together and then flushed; deltas not yet
    /// flushed when an attempt fails are void.
    ///
    /// Dropping the future closes the provider's stream at once, and with it
    /// the generation and its billing.
    pub async fn generate(
        &self,
        request: &Request,
        attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        let mut answer = Answer::new(request.choices, request.logprobs);
        let result = Exchange::new(&self.0, attempt).run(request, &mut answer, emit).await;
        result.map_err(|error| Interrupted { error, usage: answer.usage })
    }

    /// Makes one attempt at embeddings, and emits its phases. The finish has a vector
    /// for each text, in the request's order.
    ///
    /// Dropping the future closes the provider's stream at once.
    pub async fn embed(
        &self,
        request: &EmbeddingRequest,
        attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Interrupted> {
        let mut usage = None;
        let result = Exchange::new(&self.0, attempt).embed(request, &mut usage, emit).await;
        result.map_err(|error| Interrupted { error, usage })
    }

    /// Returns the models that a credential can use, by name.
    ///
    /// # Errors
    /// The provider refuses the credential, or cannot be asked.
    pub async fn models(&self, credential: &ApiKey) -> Result<Vec<ModelRecord>, Error> {
        models::list(&self.0, credential).await
    }

    /// Returns the provider's record of a model, if it keeps one.
    ///
    /// # Errors
    /// The provider refuses the credential, or cannot be asked.
    pub async fn model(
        &self,
        name: &str,
        credential: &ApiKey,
    ) -> Result<Option<ModelRecord>, Error> {
        models::record(&self.0, name, credential).await
    }

    /// Determines what a credential can do with a model, without spending a
    /// token and within `limit`.
    pub async fn probe(&self, model: &str, credential: &ApiKey, limit: Duration) -> Probe {
        probe::run(&self.0, model, credential, limit).await
    }
}

impl Urls {
    fn of(&self, endpoint: Endpoint) -> &Url {
        match endpoint {
            Endpoint::ChatCompletions => &self.chat_completions,
            Endpoint::Completions => &self.completions,
            Endpoint::Embeddings => &self.embeddings,
        }
    }
}

fn check_base_url(url: &Url) -> anyhow::Result<()> {
    ensure!(
        matches!(url.scheme(), "http" | "https") && url.has_host(),
        "the provider's base URL must be http:// or https:// with a host"
    );
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "the provider's base URL must not carry credentials; they belong to the caller"
    );
    ensure!(
        url.query().is_none() && url.fragment().is_none(),
        "the provider's base URL must end with its path, such as /inference/v1"
    );
    Ok(())
}

fn extend(base_url: &Url, path: &[&str]) -> anyhow::Result<Url> {
    let mut url = base_url.clone();
    url.path_segments_mut()
        .ok()
        .context("the provider's base URL has no path to extend")?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}
