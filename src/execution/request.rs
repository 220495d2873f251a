//! A caller's request as plain values, decoded and free of protobuf.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::{callers::Caller, credentials::ApiKey, node::Input, output::OutputFormat};

/// One call of ExecuteNode.
#[derive(Debug)]
pub struct ExecuteRequest {
    /// The node's type.
    pub node_type: String,
    /// The node's fields, as the flow stores them.
    pub config: Map<String, Value>,
    /// The input of the node.
    pub input: Input,
    /// The encoded size of the whole request, in bytes.
    pub input_bytes: usize,
    /// The credential that pays, if the request names one.
    pub credential: Option<CredentialSource>,
    /// The position of the call in its flow.
    pub context: Arc<Context>,
    /// The authenticated caller.
    pub caller: Caller,
    /// The permitted use of the cache.
    pub cache: CachePolicy,
    /// The required form of the answer.
    pub output: OutputFormat,
    /// Deltas on or off; `None` leaves the choice to the node.
    pub deltas: Option<bool>,
    /// Deadlines and other bounds.
    pub limits: Limits,
    /// Identifies the call, so that a retry counts as the same call.
    pub idempotency_key: Option<String>,
    /// The time of arrival.
    pub arrived: Instant,
}

impl ExecuteRequest {
    /// Returns the requested scope, with the tenants it may refer to.
    pub(super) fn scope_request(&self) -> ScopeRequest {
        ScopeRequest {
            kind: self.cache.scope,
            bound_tenant: self.caller.tenant.clone(),
            named_tenant: self.context.tenant.clone(),
        }
    }
}

/// One call of AttachExecution.
#[derive(Debug)]
pub struct AttachRequest {
    /// The token from `started`.
    pub execution_token: String,
    /// The sequence number of the last event the caller has seen.
    pub after_sequence: u64,
    /// The execution's own credential, if given.
    pub credential: Option<CredentialSource>,
    /// The position of the call in its flow.
    pub context: Arc<Context>,
    /// The authenticated caller.
    pub caller: Caller,
    /// Set if the caller wants deltas.
    pub deltas: bool,
    /// Deadlines and other bounds.
    pub limits: Limits,
    /// The time of arrival.
    pub arrived: Instant,
}

/// One call of CheckNode.
#[derive(Debug)]
pub struct Check {
    /// The node's type.
    pub node_type: String,
    /// The node's fields, as the flow stores them.
    pub config: Map<String, Value>,
    /// The credential that would pay.
    pub credential: Option<CredentialSource>,
    /// The authenticated caller.
    pub caller: Caller,
    /// The caller's time limit, if it sets one.
    pub deadline: Option<Duration>,
}

/// One call of ListModels.
#[derive(Debug)]
pub struct ListModels {
    /// The credential whose models are listed.
    pub credential: Option<CredentialSource>,
    /// The authenticated caller.
    pub caller: Caller,
    /// The caller's time limit, if it sets one.
    pub deadline: Option<Duration>,
    /// Maximum models of the page; 0 for the worker's own bound.
    pub page_size: usize,
    /// The name after which the page begins; empty for the first page.
    pub page_token: String,
}

/// The source of an API key.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// Included in the request.
    ApiKey(ApiKey),
    /// Mounted in the worker under this name.
    SecretName(String),
}

/// The position of an execution in its flow, in the orchestrator's terms.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The flow's definition.
    pub flow_id: String,
    /// The run of the flow.
    pub run_id: String,
    /// The node within the flow.
    pub node_id: String,
    /// The conversation or user session.
    pub session_id: String,
    /// The tenant, as the caller names it.
    pub tenant: String,
    /// The orchestrator's attempt number.
    pub attempt: u32,
    /// Free-form labels.
    pub labels: BTreeMap<String, String>,
}

/// An execution's use of the cache.
#[derive(Debug, Clone, Default)]
pub struct CachePolicy {
    /// Permitted reads and writes; `None` leaves them to the node.
    pub mode: Option<CacheMode>,
    /// The executions that share the answer.
    pub scope: ScopeKind,
    /// The lifetime of a stored answer.
    pub ttl: Option<Duration>,
    /// Separates otherwise identical requests.
    pub salt: String,
}

/// Permitted reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Reads nothing, writes nothing and joins no flight.
    Off,
    /// Reads and writes.
    ReadWrite,
    /// Reads cached answers and stores none.
    ReadOnly,
    /// Stores the answer without reading a cached one.
    Refresh,
    /// Answers from the cache or fails.
    OnlyIfCached,
}

impl CacheMode {
    /// Returns true if a stored answer may be used.
    pub fn reads(self) -> bool {
        match self {
            CacheMode::ReadWrite | CacheMode::ReadOnly | CacheMode::OnlyIfCached => true,
            CacheMode::Off | CacheMode::Refresh => false,
        }
    }

    /// Returns true if the answer is to be stored.
    pub fn writes(self) -> bool {
        match self {
            CacheMode::ReadWrite | CacheMode::Refresh => true,
            CacheMode::Off | CacheMode::ReadOnly | CacheMode::OnlyIfCached => false,
        }
    }
}

/// The requested sharing of an answer, before the caller is resolved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScopeKind {
    /// Executions with the same credential.
    #[default]
    Credential,
    /// Executions of the same tenant.
    Tenant,
    /// Everyone.
    Shared,
}

/// The requested sharing of an answer, with the tenants it may refer to.
#[derive(Debug, Clone)]
pub(super) struct ScopeRequest {
    pub(super) kind: ScopeKind,
    /// The tenant bound to the caller by the operator.
    pub(super) bound_tenant: Option<String>,
    /// The tenant the caller names.
    pub(super) named_tenant: String,
}

/// Bounds, as given by the caller.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// From the start of an attempt to an established connection.
    pub connect: Option<Duration>,
    /// From arrival to the first output.
    pub first_token: Option<Duration>,
    /// Between two pieces of output.
    pub idle: Option<Duration>,
    /// The whole call.
    pub total: Option<Duration>,
    /// Provider requests.
    pub max_attempts: Option<u32>,
    /// Set if the execution continues after its last subscriber has left.
    pub drain: bool,
    /// Set if it may restart after deltas were sent.
    pub allow_restart: bool,
}
