//! What a caller asks for, as plain values: the request behind the door.

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
    /// What the node is asked.
    pub input: Input,
    /// The size of the whole request as it came, in bytes.
    pub input_bytes: usize,
    /// Who pays, when the request says so.
    pub credential: Option<CredentialSource>,
    /// Where in which flow this stands.
    pub context: Arc<Context>,
    /// Who calls.
    pub caller: Caller,
    /// How the cache may be used.
    pub cache: CachePolicy,
    /// What form the answer takes.
    pub output: OutputFormat,
    /// Whether the caller wants deltas; `None` leaves it to the node.
    pub deltas: Option<bool>,
    /// Bounds.
    pub limits: Limits,
    /// Names the call, so that a retry is the same call.
    pub idempotency_key: Option<String>,
    /// When it arrived.
    pub arrived: Instant,
}

impl ExecuteRequest {
    /// Who is to share the answer, and who asks.
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
    /// From `started`.
    pub execution_token: String,
    /// The last event the caller has seen.
    pub after_sequence: u64,
    /// The execution's own credential, when given.
    pub credential: Option<CredentialSource>,
    /// Where in which flow this stands.
    pub context: Arc<Context>,
    /// Who calls.
    pub caller: Caller,
    /// Whether the caller wants deltas.
    pub deltas: bool,
    /// Bounds.
    pub limits: Limits,
    /// When it arrived.
    pub arrived: Instant,
}

/// One call of CheckNode.
#[derive(Debug)]
pub struct Check {
    /// The node's type.
    pub node_type: String,
    /// The node's fields, as the flow stores them.
    pub config: Map<String, Value>,
    /// Who would pay.
    pub credential: Option<CredentialSource>,
    /// Who calls.
    pub caller: Caller,
    /// How long it may take, if the caller says.
    pub deadline: Option<Duration>,
}

/// Where a key is.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// In the request.
    ApiKey(ApiKey),
    /// Mounted in the worker, under this name.
    SecretName(String),
}

/// Where an execution stands, in the orchestrator's words.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The flow's definition.
    pub flow_id: String,
    /// The flow's run.
    pub run_id: String,
    /// The node within the flow.
    pub node_id: String,
    /// The conversation or user session.
    pub session_id: String,
    /// On whose behalf, as the caller says.
    pub tenant: String,
    /// Which attempt of the orchestrator this is.
    pub attempt: u32,
    /// Anything else.
    pub labels: BTreeMap<String, String>,
}

/// How an execution may use the cache.
#[derive(Debug, Clone, Default)]
pub struct CachePolicy {
    /// What may be read and written; `None` leaves it to the node.
    pub mode: Option<CacheMode>,
    /// Who shares the answer.
    pub scope: ScopeKind,
    /// How long a stored answer lives.
    pub ttl: Option<Duration>,
    /// Separates what would otherwise be the same.
    pub salt: String,
}

/// What may be read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Nothing is read, written or merged.
    Off,
    /// Both.
    ReadWrite,
    /// Answers come from the cache and do not go there.
    ReadOnly,
    /// Answers go to the cache and do not come from there.
    Refresh,
    /// The cache or nothing.
    OnlyIfCached,
}

impl CacheMode {
    /// Whether a stored answer may be used.
    pub fn reads(self) -> bool {
        match self {
            CacheMode::ReadWrite | CacheMode::ReadOnly | CacheMode::OnlyIfCached => true,
            CacheMode::Off | CacheMode::Refresh => false,
        }
    }

    /// Whether the answer is to be stored.
    pub fn writes(self) -> bool {
        match self {
            CacheMode::ReadWrite | CacheMode::Refresh => true,
            CacheMode::Off | CacheMode::ReadOnly | CacheMode::OnlyIfCached => false,
        }
    }
}

/// Who shares an answer, before it is known who calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScopeKind {
    /// Executions with the same credential.
    #[default]
    Credential,
    /// Executions of the same tenant.
    Tenant,
    /// Everybody.
    Shared,
}

/// Who is to share an answer, and who asks for it.
#[derive(Debug, Clone)]
pub(super) struct ScopeRequest {
    pub(super) kind: ScopeKind,
    /// The tenant the operator has bound to the caller.
    pub(super) bound_tenant: Option<String>,
    /// The tenant the caller names.
    pub(super) named_tenant: String,
}

/// Bounds, as the caller gave them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// To an established connection.
    pub connect: Option<Duration>,
    /// To the first output.
    pub first_token: Option<Duration>,
    /// Between two pieces of output.
    pub idle: Option<Duration>,
    /// The whole call.
    pub total: Option<Duration>,
    /// Calls of the provider.
    pub max_attempts: Option<u32>,
    /// Whether the execution runs on when the last listener has gone.
    pub drain: bool,
    /// Whether it may start again after deltas have been sent.
    pub allow_restart: bool,
}
