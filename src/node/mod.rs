//! The kinds of work this worker can do, and how one is added.
//!
//! A node declares its form, makes a typed configuration from the values in it,
//! prepares a call from that and the input, and runs the call. It sees no
//! request, no cache, no protobuf and no tracing: what it prepares says what
//! decides the answer ([`Identity`]), and what it runs tells what happens
//! through [`Emit`].
//!
//! A new node is a file with a type that implements [`Node`], and a line in
//! [`Registry::new`]. Called by `execution`, which plans and runs, and by
//! `service`, which lists and checks.

mod canonical;
mod chat_fireworks;
mod field;
mod fireworks;
mod form;
mod form_text;
mod input;
mod message;
mod model_name;
mod parameters;
mod problems;
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
    input::{Input, InputKind, Message, Part, ToolCall},
    problems::{Path, Problems},
    registry::{Checked, Registered, Registry},
    shape::{MAX_INTEGER, Member, Shape, TextRule},
    values::Values,
};
use crate::{
    event::{Emit, Finish},
    fireworks::{Attempt, Interrupted},
    output::OutputFormat,
    price::Tier,
};

/// A kind of work.
pub trait Node: Send + Sync + 'static {
    /// The values of its form, typed.
    type Config;
    /// One call, ready to run as often as it takes.
    type Call: Send + Sync + 'static;

    /// Its name and its form.
    const DECLARATION: Declaration;

    /// Tells what the declarations of the fields cannot say: which exclude each
    /// other, and which do not go with what is asked. Called also when fields
    /// are wrong, so that everything is told at once.
    fn rules(_values: &Values<'_>, _asked: Asked<'_>, _problems: &mut Problems) {}

    /// Makes the typed configuration. Called when nothing is wrong: what is
    /// required is there, and every value has its field's shape.
    fn configure(values: Values<'_>) -> Self::Config;

    /// The model that a configuration asks for, as the provider names it.
    fn model(config: &Self::Config) -> &str;

    /// Prepares a call. Called when nothing is wrong.
    fn prepare(
        &self,
        config: Self::Config,
        input: Input,
        output: &OutputFormat,
    ) -> Prepared<Self::Call>;

    /// Makes one attempt. Dropping the future must stop the work at once.
    fn run(
        &self,
        call: &Self::Call,
        attempt: Attempt<'_>,
        emit: &mut dyn Emit,
    ) -> impl Future<Output = Result<Finish, Interrupted>> + Send;
}

/// What a node says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Declaration {
    /// The type, as flows store it.
    pub name: &'static str,
    /// The version of its fields: raised when a stored flow would mean something
    /// else.
    pub version: u32,
    /// What people call it.
    pub label: LocalizedText,
    /// What it does, in a sentence.
    pub description: LocalizedText,
    /// What it can be asked.
    pub inputs: &'static [InputKind],
    /// What a credential for it consists of.
    pub credential_fields: &'static [CredentialField],
    /// Its fields, in groups that nodes can share. `credential` and `cache` are
    /// added to every node.
    pub fields: &'static [&'static [Field]],
    /// Keys that people try, and why they are no fields.
    pub not_fields: &'static [(&'static str, &'static str)],
}

/// What a node is asked beside its configuration.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The input; absent where only the configuration is checked.
    pub input: Option<&'a Input>,
    /// The form of the answer.
    pub output: &'a OutputFormat,
}

/// A prepared call, and what the worker must know of it.
pub struct Prepared<Call> {
    /// The service that is asked, where there is one.
    pub base_url: Arc<str>,
    /// Which of its endpoints; a word of the node's own otherwise.
    pub endpoint: &'static str,
    /// Everything else that decides the answer, in one spelling.
    pub canonical: Bytes,
    /// Whether the answer may be shown as it comes.
    pub deltas: bool,
    /// Whether the model's name can mean another model tomorrow.
    pub is_alias: bool,
    /// Which price counts.
    pub tier: Tier,
    /// The call.
    pub call: Call,
}

/// What decides an answer: two executions with equal identities ask for the
/// same. The credential is not in it, nor is anything of [`Class::Route`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The node's type.
    pub node_type: &'static str,
    /// The service that is asked.
    pub base_url: Arc<str>,
    /// Which of its endpoints.
    pub endpoint: &'static str,
    /// Everything else, in one spelling: shares its memory with the request.
    pub canonical: Bytes,
}

impl<Call> fmt::Debug for Prepared<Call> {
    /// Without what was asked: it holds the prompt.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Prepared").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    /// Without what was asked: it holds the prompt.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("node_type", &self.node_type)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

/// An execution, planned: nothing is wrong with it and nothing has happened yet.
pub struct Plan {
    /// The model, as the provider names it.
    pub model: String,
    /// What decides the answer.
    pub identity: Identity,
    /// What the node's own `cache` field says.
    pub cache: bool,
    /// Whether the answer may be shown as it comes.
    pub deltas: bool,
    /// The mounted secret that the configuration names.
    pub secret_name: Option<String>,
    /// Whether the model's name can mean another model tomorrow: what is stored
    /// under it must not live long.
    pub is_alias: bool,
    /// Which price counts.
    pub tier: Tier,
    run: Box<dyn Run>,
}

impl Plan {
    /// Makes one attempt; may be called again. Dropping the future stops the
    /// work at once, and nothing is shown after that.
    pub fn run<'a>(
        &'a self,
        attempt: Attempt<'a>,
        emit: &'a mut dyn Emit,
    ) -> BoxFuture<'a, Result<Finish, Interrupted>> {
        self.run.run(attempt, emit)
    }
}

impl fmt::Debug for Plan {
    /// Without the request: it holds the prompt.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Plan")
            .field("model", &self.model)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// A call with the node that runs it, whatever their types.
trait Run: Send + Sync {
    fn run<'a>(
        &'a self,
        attempt: Attempt<'a>,
        emit: &'a mut dyn Emit,
    ) -> BoxFuture<'a, Result<Finish, Interrupted>>;
}
