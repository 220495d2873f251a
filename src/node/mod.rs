//! The kinds of work this worker can do, and the way to add one.
//!
//! A node declares its form, builds a typed configuration from the form's
//! values, prepares a call from that and the input, and runs the call. It knows
//! no request, cache, protobuf or tracing: the prepared call states what
//! decides the answer ([`Identity`]), and the run reports its events through
//! [`Emit`].
//!
//! A new node is a file with a type that implements [`Node`], and a line in
//! [`Registry::new`].

mod canonical;
mod chat_fireworks;
mod embeddings;
mod field;
mod fireworks;
mod form;
mod form_text;
mod group;
mod input;
mod localized_text;
mod message;
mod model_name;
mod parameters;
mod problems;
mod prompt;
mod provider;
mod reading;
mod registry;
mod request;
mod rules;
mod shape;
#[cfg(test)]
mod tests;
mod values;

use std::{fmt, future::Future, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;

pub use self::{
    field::{Class, Field, Literal, LocalizedText, words},
    form::{CredentialField, Form},
    group::Group,
    input::{Input, InputKind, Message, Part, ToolCall},
    problems::{Path, Problems},
    prompt::SentPrompt,
    registry::{Checked, Registered, Registry},
    shape::{MAX_INTEGER, Member, Shape, TextRule},
    values::Values,
};
use crate::{
    emit::Emit,
    event::Finish,
    fireworks::{Attempt, Interrupted},
    output::OutputFormat,
    price::Tier,
};

/// A kind of work.
pub trait Node: Send + Sync + 'static {
    /// The values of its form, typed.
    type Config;
    /// A prepared call, which may be run several times.
    type Call: Send + Sync + 'static;

    /// Its name and its form.
    const DECLARATION: Declaration;

    /// Reports problems that the declarations of single fields cannot express:
    /// fields that exclude each other or do not fit the request. Called even if
    /// fields are invalid, so that all problems are reported at once.
    fn rules(_values: &Values<'_>, _asked: NodeRequest<'_>, _problems: &mut Problems) {}

    /// Builds the typed configuration. Called only if there are no problems:
    /// required fields are present, and every value has its field's shape.
    fn configure(values: Values<'_>) -> Self::Config;

    /// Returns the model that a configuration names, as the provider names it.
    fn model(config: &Self::Config) -> &str;

    /// Returns the service tier that a configuration asks for.
    fn tier(_config: &Self::Config) -> Tier {
        Tier::Standard
    }

    /// Prepares a call. Called only if there are no problems.
    fn prepare(
        &self,
        config: Self::Config,
        input: Input,
        output: &OutputFormat,
    ) -> Prepared<Self::Call>;

    /// Returns the texts of a call, if each is answered by itself: such a call is run
    /// for any of them together, and each answer is shared and stored by itself.
    fn texts(_call: &Self::Call) -> Option<Texts> {
        None
    }

    /// Returns the call for other texts, with its canonical request; `None` if it is not
    /// over texts. Texts of calls whose canonical requests are equal without any text may
    /// be run as one call.
    fn with_texts(
        &self,
        _call: &Self::Call,
        _texts: Arc<[Arc<str>]>,
    ) -> Option<(Bytes, Self::Call)> {
        None
    }

    /// Makes one attempt. Dropping the future must stop the work at once.
    fn run(
        &self,
        call: &Self::Call,
        attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> impl Future<Output = Result<Finish, Interrupted>> + Send;
}

/// Texts that are answered each by itself.
#[derive(Clone)]
pub struct Texts {
    /// The texts, in order; they may repeat.
    pub list: Arc<[Arc<str>]>,
    /// Maximum texts of one request to the provider; at least one.
    pub batch: usize,
}

impl fmt::Debug for Texts {
    /// Counts the texts, which are the caller's.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Texts").field("count", &self.list.len()).finish_non_exhaustive()
    }
}

/// The description of a node.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// The type, as flows store it.
    pub name: &'static str,
    /// The version of its fields: incremented when a stored flow would change
    /// its meaning.
    pub version: u32,
    /// Its label in the form.
    pub label: LocalizedText,
    /// Its purpose, in one sentence.
    pub description: LocalizedText,
    /// The kinds of input it accepts.
    pub inputs: &'static [InputKind],
    /// The fields of its credential.
    pub credential_fields: &'static [CredentialField],
    /// Its fields, in groups that nodes can share. `credential` and `cache` are
    /// added to every node.
    pub fields: &'static [&'static [Field]],
    /// Keys that people try, and the reasons they are not fields.
    pub not_fields: &'static [(&'static str, &'static str)],
}

/// The request apart from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct NodeRequest<'a> {
    /// The input; absent if only the configuration is checked.
    pub input: Option<&'a Input>,
    /// The form of the answer.
    pub output: &'a OutputFormat,
}

/// A prepared call, and the facts the worker needs about it.
pub struct Prepared<Call> {
    /// The base URL of the service, or empty if there is none.
    pub base_url: Arc<str>,
    /// The service's endpoint, or a word of the node's own.
    pub endpoint: &'static str,
    /// Everything else that decides the answer, normalised.
    pub canonical: Bytes,
    /// True if the answer may be published while it arrives.
    pub deltas: bool,
    /// True if the model's name can refer to another model tomorrow.
    pub is_alias: bool,
    /// The price tier.
    pub tier: Tier,
    /// The names that the fields give to the provider's prompt caches.
    pub routing: Routing,
    /// The prompt in the bytes that are sent.
    pub prompt: SentPrompt,
    /// The call.
    pub call: Call,
}

/// The names that a node's own fields give to the provider's prompt caches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Routing {
    /// True if a field names the conversation or its user.
    pub names_session: bool,
    /// True if a field names the party whose entries are kept apart.
    pub names_isolation: bool,
}

/// Everything that decides an answer: executions with equal identities request
/// the same. Excludes the credential and all fields of [`Class::Route`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The node's type.
    pub node_type: &'static str,
    /// The base URL of the service.
    pub base_url: Arc<str>,
    /// The service's endpoint.
    pub endpoint: &'static str,
    /// Everything else, normalised; shares its memory with the request.
    pub canonical: Bytes,
}

impl<Call> fmt::Debug for Prepared<Call> {
    /// Omits the canonical request: it holds the prompt.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Prepared").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    /// Omits the canonical request: it holds the prompt.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("node_type", &self.node_type)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// A planned execution: it has been validated, and nothing has run yet.
pub struct Plan {
    /// The model, as the provider names it.
    pub model: String,
    /// The identity of the answer.
    pub identity: Identity,
    /// The value of the node's own `cache` field.
    pub cache: bool,
    /// True if the answer may be published while it arrives.
    pub deltas: bool,
    /// The mounted secret that the configuration names.
    pub secret_name: Option<String>,
    /// True if the model's name can refer to another model tomorrow: entries
    /// stored under it must expire soon.
    pub is_alias: bool,
    /// The price tier.
    pub tier: Tier,
    /// The names that the fields give to the provider's prompt caches.
    pub routing: Routing,
    /// The prompt in the bytes that are sent.
    pub prompt: SentPrompt,
    /// The texts, if each is answered by itself.
    pub texts: Option<Texts>,
    run: Box<dyn ErasedCall>,
}

impl Plan {
    /// Makes one attempt; may be called again. Dropping the future stops the
    /// work at once, and nothing is emitted after that.
    pub fn run<'a>(
        &'a self,
        attempt: Attempt<'a>,
        emit: &'a mut dyn Emit,
    ) -> BoxFuture<'a, Result<Finish, Interrupted>> {
        self.run.run(attempt, emit)
    }
}

impl Plan {
    /// Returns the plan for some of its texts; `None` if it has no such texts.
    pub fn select(&self, positions: &[usize]) -> Option<Plan> {
        let list = &self.texts.as_ref()?.list;
        let texts = positions.iter().map(|position| list.get(*position).cloned());
        self.with_texts(texts.collect::<Option<_>>()?)
    }

    /// Returns the same plan for other texts; `None` if it is not over texts. Texts of
    /// plans whose identities are equal without any text may be run as one plan.
    pub fn with_texts(&self, texts: Arc<[Arc<str>]>) -> Option<Plan> {
        let (canonical, run) = self.run.with_texts(texts)?;
        Some(Plan {
            model: self.model.clone(),
            identity: Identity { canonical, ..self.identity.clone() },
            cache: self.cache,
            deltas: self.deltas,
            secret_name: None,
            is_alias: self.is_alias,
            tier: self.tier.clone(),
            routing: self.routing,
            prompt: SentPrompt::default(),
            texts: None,
            run,
        })
    }
}

impl fmt::Debug for Plan {
    /// Omits the request: it holds the prompt.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Plan")
            .field("model", &self.model)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// A call with the node that runs it, type-erased.
trait ErasedCall: Send + Sync {
    fn with_texts(&self, texts: Arc<[Arc<str>]>) -> Option<(Bytes, Box<dyn ErasedCall>)>;

    fn run<'a>(
        &'a self,
        attempt: Attempt<'a>,
        emit: &'a mut dyn Emit,
    ) -> BoxFuture<'a, Result<Finish, Interrupted>>;
}
