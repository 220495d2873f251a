//! The provider's client: requests that are complete JSON go in, deltas come
//! out as the network brings them, and an attempt ends in a [`Finish`] or in one
//! named error.
//!
//! It knows Fireworks.ai's API and nothing of nodes, flights or protobuf. It
//! makes one attempt; the execution repeats it, asking [`RetryPolicy`]. It
//! enforces one deadline, that to an established connection; whoever enforces
//! the others drops the future, which closes the provider's stream at once.
//!
//! Called by the nodes ([`Client::generate`]) and by the service's CheckNode
//! ([`Client::probe`]).
//!
//! | file | what |
//! |---|---|
//! | `exchange` | one attempt, from request to finish |
//! | `connections`, `sending` | which connection, and when the request is on it |
//! | `head` | what a response's headers say |
//! | `stream` → `sse` → `answer` | network reads → events → deltas |
//! | `api`, `template` | the JSON of a chunk; the short way to read one like the last |
//! | `calls`, `text` | tool calls told apart; JSON text mended |
//! | `reasoning` | `<think>` taken out of text |
//! | `failure`, `said`, `transport` | refusals and broken connections, in our words |
//! | `retry` | whether and when to try again |
//! | `probe` | what a credential can do, without spending a token |

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use url::Url;

mod answer;
mod api;
mod calls;
mod connections;
mod error_body;
mod exchange;
mod failure;
mod head;
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

pub use self::{
    connections::proxy,
    probe::{Conclusion, Probe, Verdict, Verdicts},
    retry::RetryPolicy,
};

/// For the benchmarks and the fuzzer only.
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
    error::Error,
    event::{Emit, Finish, Usage},
};

/// How to reach the provider.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Up to and including `/v1`; `http` or `https`, without credentials, query
    /// or fragment.
    pub base_url: Url,
    /// Which HTTP to speak.
    pub protocol: Protocol,
    /// The longest time to an established connection; an attempt may allow
    /// less.
    pub connect_timeout: Duration,
    /// HTTP/2 connections at most. Each is filled to a hundred streams before
    /// the next is opened, so a high bound costs nothing until it is needed.
    pub connections: usize,
    /// The largest event of a stream, and the largest answer that comes whole.
    pub max_event_bytes: usize,
    /// What is read of the body of a refusal.
    pub max_error_bytes: usize,
}

impl ClientConfig {
    /// Where Fireworks.ai serves inference.
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

/// Which HTTP to speak with the provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// With TLS what both sides prefer, which is HTTP/2; in clear HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; in clear without asking first.
    Http2,
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `/chat/completions`.
    ChatCompletions,
    /// `/completions`.
    Completions,
}

/// What to ask the provider.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where.
    pub endpoint: Endpoint,
    /// The whole JSON, with `stream: true` and
    /// `stream_options: {"include_usage": true}`.
    pub body: Bytes,
    /// How many choices will come: `n`, times the prompts of a batch.
    pub choices: u32,
    /// Whether `logprobs` were asked for and are to be told.
    pub logprobs: bool,
}

/// What one attempt may use.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The key to send.
    pub credential: &'a ApiKey,
    /// The time to an established connection. It does not count while the
    /// request waits on an established one.
    pub connect: Duration,
}

/// An attempt that did not end well.
#[derive(Debug, Clone, PartialEq)]
pub struct Interrupted {
    /// Why.
    pub error: Error,
    /// The tokens used, as far as known.
    pub usage: Option<Usage>,
}

/// The client. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: ClientConfig,
    urls: Urls,
    connections: Connections,
}

#[derive(Debug)]
struct Urls {
    chat_completions: Url,
    completions: Url,
}

impl Client {
    /// A client that has not connected yet. Fails if the base URL is none to
    /// build on, or the TLS roots of this machine cannot be loaded.
    pub fn new(config: ClientConfig) -> anyhow::Result<Client> {
        check_base_url(&config.base_url)?;
        Ok(Client(Arc::new(Inner {
            urls: Urls {
                chat_completions: extend(&config.base_url, &["chat", "completions"])?,
                completions: extend(&config.base_url, &["completions"])?,
            },
            connections: Connections::new(&config)?,
            config,
        })))
    }

    /// Where the provider is.
    pub fn base_url(&self) -> &Url {
        &self.0.config.base_url
    }

    /// Makes one attempt and tells its phases and deltas. What one network read
    /// brought is told together and then flushed; what was told and not flushed
    /// when an attempt fails is void.
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

    /// Finds out what a credential can do with a model, without spending a
    /// token: within `limit`, which is also the longest this takes.
    pub async fn probe(&self, model: &str, credential: &ApiKey, limit: Duration) -> Probe {
        probe::run(&self.0, model, credential, limit).await
    }
}

impl Urls {
    fn of(&self, endpoint: Endpoint) -> &Url {
        match endpoint {
            Endpoint::ChatCompletions => &self.chat_completions,
            Endpoint::Completions => &self.completions,
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
