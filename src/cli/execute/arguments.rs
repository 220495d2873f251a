//! The arguments of `sparkler execute`, and the checks that need no worker.

use std::{path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, ValueEnum, builder::BoolishValueParser};

use super::super::{credential::CredentialArgs, node::NodeArgs, worker::WorkerArgs};
use crate::{
    config::duration,
    proto::{
        cache_policy::{Mode, Scope},
        execution_limits::OnCancel,
    },
};

/// The arguments of `sparkler execute`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").required(true).args(["prompt", "messages", "texts"]))]
pub(in crate::cli) struct ExecuteArgs {
    /// The prompt; `-` reads it from stdin.
    #[arg(value_name = "PROMPT")]
    pub(super) prompt: Option<String>,

    /// A file with a conversation instead: OpenAI's `messages` as JSON; `-` is
    /// stdin.
    #[arg(long, env = "SPARKLER_EXECUTE_MESSAGES", value_name = "FILE")]
    pub(super) messages: Option<PathBuf>,

    /// A file with texts to embed instead: a JSON list of texts, or one on each line;
    /// `-` is stdin. The node is then fireworksEmbeddings.
    #[arg(long, env = "SPARKLER_EXECUTE_TEXTS", value_name = "FILE")]
    pub(super) texts: Option<PathBuf>,

    #[command(flatten)]
    pub(super) node: NodeArgs,

    /// Ask for JSON, validated by the worker: any JSON, or JSON matching the schema
    /// in a file.
    #[arg(
        long,
        env = "SPARKLER_EXECUTE_JSON_OUTPUT",
        value_name = "SCHEMA_FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ExecuteArgs::ANY_JSON
    )]
    pub(super) json_output: Option<String>,

    /// Print every event as one line of proto JSON, instead of the answer.
    #[arg(long, env = "SPARKLER_EXECUTE_EVENTS", value_parser = BoolishValueParser::new())]
    pub(super) events: bool,

    /// Ask for the finished answer only; the worker may then retry until the end.
    #[arg(long, env = "SPARKLER_EXECUTE_NO_DELTAS", value_parser = BoolishValueParser::new())]
    pub(super) no_deltas: bool,

    /// Print no summary and no progress on stderr.
    #[arg(long, short, env = "SPARKLER_EXECUTE_QUIET", value_parser = BoolishValueParser::new())]
    pub(super) quiet: bool,

    /// Print a waterfall on stderr after the run: where its time went.
    #[arg(long, env = "SPARKLER_EXECUTE_TRACE", value_parser = BoolishValueParser::new())]
    pub(super) trace: bool,

    /// Requests with the same key and content are executed, and paid for, once.
    #[arg(long, env = "SPARKLER_EXECUTE_IDEMPOTENCY_KEY", value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,

    #[command(flatten)]
    pub(super) cache: CacheArgs,

    #[command(flatten)]
    pub(super) limits: LimitArgs,

    #[command(flatten)]
    pub(super) context: ContextArgs,

    #[command(flatten)]
    pub(super) credential: CredentialArgs,

    #[command(flatten)]
    pub(super) worker: WorkerArgs,
}

impl ExecuteArgs {
    /// The value of `--json-output` without a file.
    pub(super) const ANY_JSON: &'static str = "any";
}

/// The arguments about the cache.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub(super) struct CacheArgs {
    /// The cache mode: read-write without a value; by default the node's `cache`
    /// field decides.
    #[arg(
        long,
        env = "SPARKLER_EXECUTE_CACHE",
        value_name = "MODE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "read-write"
    )]
    pub(super) cache: Option<CacheModeArgument>,

    /// The executions that share the answer.
    #[arg(long, env = "SPARKLER_EXECUTE_CACHE_SCOPE", value_name = "SCOPE")]
    pub(super) cache_scope: Option<CacheScope>,

    /// The lifetime of the cached answer, such as 10m.
    #[arg(long, env = "SPARKLER_EXECUTE_CACHE_TTL", value_name = "TIME", value_parser = duration)]
    pub(super) cache_ttl: Option<Duration>,

    /// Separates answers that would otherwise be the same.
    #[arg(long, env = "SPARKLER_EXECUTE_CACHE_SALT", value_name = "TEXT")]
    pub(super) cache_salt: Option<String>,
}

/// The modes of the cache.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CacheModeArgument {
    /// Nothing is read, written or merged.
    Off,
    /// From the cache, else execute and store.
    ReadWrite,
    /// From the cache, else execute; store nothing.
    ReadOnly,
    /// Execute, and store over what is there.
    Refresh,
    /// From the cache, else fail.
    OnlyIfCached,
}

/// The scopes of a cached answer.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CacheScope {
    /// Executions with the same credential.
    Credential,
    /// Executions of the same tenant.
    Tenant,
    /// Every execution, where the operator allows it.
    Shared,
}

/// The arguments that set limits; those left out default to the worker's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (such as 90s, 1m30s; else the worker's)")]
pub(super) struct LimitArgs {
    /// Time to connect to the provider.
    #[arg(long, env = "SPARKLER_EXECUTE_CONNECT_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub(super) connect_timeout: Option<Duration>,

    /// Time from the call to the first output.
    #[arg(long, env = "SPARKLER_EXECUTE_FIRST_TOKEN_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub(super) first_token_timeout: Option<Duration>,

    /// Time between two pieces of output.
    #[arg(long, env = "SPARKLER_EXECUTE_IDLE_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub(super) idle_timeout: Option<Duration>,

    /// Time of the whole call.
    #[arg(long, env = "SPARKLER_EXECUTE_TOTAL_TIMEOUT", value_name = "TIME", value_parser = duration)]
    pub(super) total_timeout: Option<Duration>,

    /// Provider requests, the first included.
    #[arg(long, env = "SPARKLER_EXECUTE_MAX_ATTEMPTS", value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) max_attempts: Option<u32>,

    /// The worker's action when this command is stopped.
    #[arg(long, env = "SPARKLER_EXECUTE_ON_CANCEL", value_name = "ACTION")]
    pub(super) on_cancel: Option<OnCancelAction>,

    /// Let the worker start over after part of the answer has arrived; anywhere but
    /// on a terminal, the answer is then printed only when complete.
    #[arg(long, env = "SPARKLER_EXECUTE_ALLOW_RESTART", value_parser = BoolishValueParser::new())]
    pub(super) allow_restart: bool,
}

/// The actions when the caller leaves.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum OnCancelAction {
    /// The provider request is cancelled at once.
    Abort,
    /// The execution continues for a while, to be attached to.
    Drain,
}

/// The arguments that name the execution's place in a flow, for the worker's logs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Context (for the worker's logs)")]
pub(super) struct ContextArgs {
    /// The flow's definition.
    #[arg(long, env = "SPARKLER_EXECUTE_FLOW_ID", value_name = "ID")]
    pub(super) flow_id: Option<String>,

    /// The flow's run.
    #[arg(long, env = "SPARKLER_EXECUTE_RUN_ID", value_name = "ID")]
    pub(super) run_id: Option<String>,

    /// The node within the flow.
    #[arg(long, env = "SPARKLER_EXECUTE_NODE_ID", value_name = "ID")]
    pub(super) node_id: Option<String>,

    /// The conversation or user session.
    #[arg(long, env = "SPARKLER_EXECUTE_SESSION_ID", value_name = "ID")]
    pub(super) session_id: Option<String>,

    /// The tenant to act for.
    #[arg(long, env = "SPARKLER_EXECUTE_TENANT", value_name = "NAME")]
    pub(super) tenant: Option<String>,
}

impl From<CacheModeArgument> for Mode {
    fn from(mode: CacheModeArgument) -> Mode {
        match mode {
            CacheModeArgument::Off => Mode::Off,
            CacheModeArgument::ReadWrite => Mode::ReadWrite,
            CacheModeArgument::ReadOnly => Mode::ReadOnly,
            CacheModeArgument::Refresh => Mode::Refresh,
            CacheModeArgument::OnlyIfCached => Mode::OnlyIfCached,
        }
    }
}

impl From<CacheScope> for Scope {
    fn from(scope: CacheScope) -> Scope {
        match scope {
            CacheScope::Credential => Scope::Credential,
            CacheScope::Tenant => Scope::Tenant,
            CacheScope::Shared => Scope::Shared,
        }
    }
}

impl From<OnCancelAction> for OnCancel {
    fn from(action: OnCancelAction) -> OnCancel {
        match action {
            OnCancelAction::Abort => OnCancel::Abort,
            OnCancelAction::Drain => OnCancel::Drain,
        }
    }
}
