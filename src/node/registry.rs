//! The node types of a worker, looked up by name; each returns its form, checks
//! a configuration or plans an execution.
//!
//! The object-safe counterpart of [`Node`] is here and private.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{
    ErasedCall, Form, Identity, Input, Node, NodeRequest, Plan, Values,
    chat_fireworks::ChatFireworks, embeddings::FireworksEmbeddings, fireworks::Fireworks,
    problems::Problems,
};
use crate::{
    emit::Emit,
    error::{Error, Violation},
    event::Finish,
    fireworks::{Attempt, Client, Interrupted},
    output::OutputFormat,
    price::Tier,
};

/// The node types of a worker.
#[derive(Debug, Default)]
pub struct Registry {
    nodes: BTreeMap<&'static str, Registered>,
}

impl Registry {
    /// Creates a registry with every node of this crate.
    pub fn new(client: Client) -> Registry {
        Registry::default()
            .with(Fireworks::new(client.clone()))
            .with(ChatFireworks::new(client.clone()))
            .with(FireworksEmbeddings::new(client))
    }

    /// Adds a node; it replaces any node of the same name.
    pub fn with<N: Node>(mut self, node: N) -> Registry {
        let registered = Registered(Box::new(TypedNode {
            form: Form::new(N::DECLARATION),
            node: Arc::new(node),
        }));
        self.nodes.insert(N::DECLARATION.name, registered);
        self
    }

    /// Returns the node of a type.
    ///
    /// # Errors
    /// [`Error::UnknownNodeType`].
    pub fn find(&self, node_type: &str) -> Result<&Registered, Error> {
        self.nodes.get(node_type).ok_or_else(|| Error::UnknownNodeType {
            given: node_type.to_owned(),
            known: self.nodes.keys().copied().collect(),
        })
    }

    /// Returns the registered name of a node type: a bounded set, unlike the
    /// caller's text.
    pub fn name(&self, node_type: &str) -> Option<&'static str> {
        self.nodes.get_key_value(node_type).map(|(name, _)| *name)
    }

    /// Iterates over the forms, by name.
    pub fn forms(&self) -> impl Iterator<Item = &Form> {
        self.nodes.values().map(Registered::form)
    }
}

/// One node type of a worker.
pub struct Registered(Box<dyn ErasedNode>);

impl Registered {
    /// Returns everything needed to draw its form.
    pub fn form(&self) -> &Form {
        self.0.form()
    }

    /// Plans an execution, or returns every problem with it. Starts no work.
    pub fn plan(
        &self,
        config: Map<String, Value>,
        input: Input,
        output: &OutputFormat,
    ) -> Result<Plan, Vec<Violation>> {
        self.0.plan(config, input, output)
    }

    /// Checks a configuration as far as possible without an input.
    pub fn check(&self, config: Map<String, Value>) -> Result<Checked, Vec<Violation>> {
        self.0.check(config)
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Registered").field(&self.form().name()).finish()
    }
}

/// A valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The model, as the provider names it.
    pub model: String,
    /// The mounted secret that it names.
    pub secret_name: Option<String>,
    /// The service tier.
    pub tier: Tier,
}

/// An object-safe [`Node`].
trait ErasedNode: Send + Sync {
    fn form(&self) -> &Form;

    fn plan(
        &self,
        config: Map<String, Value>,
        input: Input,
        output: &OutputFormat,
    ) -> Result<Plan, Vec<Violation>>;

    fn check(&self, config: Map<String, Value>) -> Result<Checked, Vec<Violation>>;
}

struct TypedNode<N> {
    form: Form,
    node: Arc<N>,
}

impl<N: Node> TypedNode<N> {
    /// Reads a configuration into its values; the only way to do so, so that
    /// all problems are reported at once.
    fn read(
        &self,
        config: Map<String, Value>,
        asked: NodeRequest<'_>,
    ) -> Result<Values<'_>, Vec<Violation>> {
        let mut problems = Problems::default();
        let values = Values::read(&self.form, config, &mut problems);
        N::rules(&values, asked, &mut problems);
        if let Some(input) = asked.input {
            self.check_input(input, &mut problems);
        }
        problems.into_result()?;
        Ok(values)
    }

    fn check_input(&self, input: &Input, problems: &mut Problems) {
        let kind = input.kind();
        if self.form.declaration().inputs.contains(&kind) {
            input.check(problems);
        } else {
            let name = self.form.name();
            problems.add(kind.as_str(), format!("is not an input of {name}"));
        }
    }
}

impl<N: Node> ErasedNode for TypedNode<N> {
    fn form(&self) -> &Form {
        &self.form
    }

    fn plan(
        &self,
        config: Map<String, Value>,
        input: Input,
        output: &OutputFormat,
    ) -> Result<Plan, Vec<Violation>> {
        let asked = NodeRequest { input: Some(&input), output };
        let mut values = self.read(config, asked)?;
        let cache = values.take_boolean("cache").unwrap_or(false);
        let secret_name = values.take_text("credential");
        let config = N::configure(values);
        let model = N::model(&config).to_owned();
        let prepared = self.node.prepare(config, input, output);
        Ok(Plan {
            model,
            identity: Identity {
                node_type: self.form.name(),
                base_url: prepared.base_url,
                endpoint: prepared.endpoint,
                canonical: prepared.canonical,
            },
            cache,
            deltas: prepared.deltas,
            secret_name,
            is_alias: prepared.is_alias,
            tier: prepared.tier,
            texts: N::texts(&prepared.call),
            routing: prepared.routing,
            prompt: prepared.prompt,
            run: Box::new(Bound { node: Arc::clone(&self.node), call: prepared.call }),
        })
    }

    fn check(&self, config: Map<String, Value>) -> Result<Checked, Vec<Violation>> {
        let asked = NodeRequest { input: None, output: &OutputFormat::Text };
        let mut values = self.read(config, asked)?;
        let secret_name = values.take_text("credential");
        let config = N::configure(values);
        Ok(Checked { model: N::model(&config).to_owned(), secret_name, tier: N::tier(&config) })
    }
}

struct Bound<N: Node> {
    node: Arc<N>,
    call: N::Call,
}

impl<N: Node> ErasedCall for Bound<N> {
    fn with_texts(&self, texts: Arc<[Arc<str>]>) -> Option<(Bytes, Box<dyn ErasedCall>)> {
        let (canonical, call) = self.node.with_texts(&self.call, texts)?;
        Some((canonical, Box::new(Bound { node: Arc::clone(&self.node), call })))
    }

    fn run<'a>(
        &'a self,
        attempt: Attempt<'a>,
        emit: &'a mut dyn Emit,
    ) -> BoxFuture<'a, Result<Finish, Interrupted>> {
        Box::pin(self.node.run(&self.call, attempt, emit))
    }
}
