//! The names of spans, events and attributes, each written once.
//!
//! They follow the OpenTelemetry semantic conventions: those for generative AI
//! as of 1.42 with the token names of the newest development text (the dev
//! release has no stable form yet), those for RPC as of 1.44, where a status is
//! `rpc.response.status_code`. What no convention names is `sparkler.…`.

/// The release of the conventions that the resource names as its schema.
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";
/// What the spans' instrumentation scope is called.
pub const SCOPE: &str = "sparkler";

/// Spans. A SERVER span is called as its method, a CLIENT span
/// `{operation} {model}`.
pub mod span {
    /// Looking an answer up.
    pub const LOOKUP: &str = "cache lookup";
    /// What several executions may listen to: a real invocation from its first
    /// attempt to its landing, or one of another worker as it is heard here.
    pub const FLIGHT: &str = "flight";
    /// A CLIENT span: CheckNode's question to the provider, which spends no tokens.
    pub const PROBE: &str = "check credential";
}

/// Events on spans; never one per token.
pub mod event {
    /// An attempt has its connection.
    pub const CONNECTED: &str = "connected";
    /// An attempt has brought its first piece of output.
    pub const FIRST_TOKEN: &str = "first_token";
    /// An attempt has failed, and another follows after a wait.
    pub const RETRY: &str = "retry";
    /// What was told is void; the flight begins anew.
    pub const RESTARTED: &str = "restarted";
}

/// Attributes of the OpenTelemetry conventions.
pub mod otel {
    /// The reason of the API; only on spans whose status is an error.
    pub const ERROR_TYPE: &str = "error.type";
    /// The host that was asked.
    pub const SERVER_ADDRESS: &str = "server.address";
    /// Its port.
    pub const SERVER_PORT: &str = "server.port";
    /// The caller's address.
    pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
    /// The caller's port.
    pub const NETWORK_PEER_PORT: &str = "network.peer.port";
    /// The provider's HTTP status.
    pub const HTTP_STATUS: &str = "http.response.status_code";

    /// `grpc`.
    pub const RPC_SYSTEM: &str = "rpc.system.name";
    /// The method, as `package.Service/Method`.
    pub const RPC_METHOD: &str = "rpc.method";
    /// The method that was asked for, where there is none such.
    pub const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
    /// The name of the gRPC status.
    pub const RPC_STATUS: &str = "rpc.response.status_code";
    /// The value for what is none of the known.
    pub const OTHER: &str = "_OTHER";

    /// `chat` or `text_completion`.
    pub const OPERATION: &str = "gen_ai.operation.name";
    /// Who provides the model.
    pub const PROVIDER: &str = "gen_ai.provider.name";
    /// `input` or `output`; only on metrics.
    pub const TOKEN_TYPE: &str = "gen_ai.token.type";
    /// The model that was asked.
    pub const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// Whether a stream was asked for.
    pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
    /// Choices that were asked for, where not one.
    pub const REQUEST_CHOICES: &str = "gen_ai.request.choice.count";
    /// The bound of the answer, in tokens.
    pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    /// The temperature.
    pub const REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
    /// The share of likely tokens.
    pub const REQUEST_TOP_P: &str = "gen_ai.request.top_p";
    /// The count of likely tokens.
    pub const REQUEST_TOP_K: &str = "gen_ai.request.top_k";
    /// The penalty by frequency.
    pub const REQUEST_FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
    /// The penalty by presence.
    pub const REQUEST_PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
    /// The sequences that end the answer.
    pub const REQUEST_STOP: &str = "gen_ai.request.stop_sequences";
    /// The seed.
    pub const REQUEST_SEED: &str = "gen_ai.request.seed";
    /// How much the model is to think.
    pub const REQUEST_REASONING: &str = "gen_ai.request.reasoning.level";
    /// `text` or `json`, where the request asks for a form.
    pub const OUTPUT_TYPE: &str = "gen_ai.output.type";
    /// The conversation, where the caller names one.
    pub const CONVERSATION: &str = "gen_ai.conversation.id";
    /// The provider's id of the answer.
    pub const RESPONSE_ID: &str = "gen_ai.response.id";
    /// The model that answered.
    pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// Why each choice ended; `error` where the stream broke before.
    pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// Seconds from the request to the first piece of output.
    pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    /// Tokens of the prompt, cached ones included.
    pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens of the answer, reasoning included.
    pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// Of the prompt, those from the provider's own prompt cache.
    pub const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    /// Of the answer, reasoning.
    pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
    /// The conversation as it was sent; only where the operator opted in.
    pub const INPUT_MESSAGES: &str = "gen_ai.input.messages";
    /// The answer; only where the operator opted in.
    pub const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";

    /// What is exported by.
    pub const SERVICE_NAME: &str = "service.name";
    /// Its version.
    pub const SERVICE_VERSION: &str = "service.version";
    /// Which worker, by the name it has.
    pub const SERVICE_INSTANCE: &str = "service.instance.id";
}

/// Attributes of our own.
pub mod sparkler {
    /// The node's type; on metrics `_OTHER` where the worker has none such, and
    /// `_ATTACHED` where an execution was picked up again.
    pub const NODE_TYPE: &str = "sparkler.node.type";
    /// The model of an execution. (The conventions' own name for it stands on the
    /// call of the model alone: a span that carries it is shown as such a call.)
    pub const MODEL: &str = "sparkler.model";
    /// The flow's definition.
    pub const FLOW: &str = "sparkler.flow.id";
    /// The flow's run.
    pub const RUN: &str = "sparkler.run.id";
    /// The node within the flow.
    pub const NODE: &str = "sparkler.node.id";
    /// On whose behalf.
    pub const TENANT: &str = "sparkler.tenant";
    /// Which attempt of the orchestrator this is.
    pub const ORCHESTRATOR_ATTEMPT: &str = "sparkler.run.attempt";
    /// A label of the caller: the prefix of its key.
    pub const LABEL_PREFIX: &str = "sparkler.label.";
    /// A baggage entry that the operator lets in: the prefix of its key.
    pub const BAGGAGE_PREFIX: &str = "baggage.";
    /// How it ended: the reason of the failure, also where a caller's mistake or
    /// leaving makes no error of the span; on metrics `OK` for a success.
    pub const REASON: &str = "sparkler.reason";
    /// What the look-up came to.
    pub const CACHE_STATUS: &str = "sparkler.cache.status";
    /// What one look-up brought: `hit` or `miss`.
    pub const CACHE_RESULT: &str = "sparkler.cache.result";
    /// The beginning of the cache key.
    pub const CACHE_KEY: &str = "sparkler.cache.key";
    /// How old a hit is, in seconds.
    pub const CACHE_AGE: &str = "sparkler.cache.age";
    /// Whether the answer was stored, or why not.
    pub const CACHE_STORED: &str = "sparkler.cache.stored";
    /// The flight's name.
    pub const FLIGHT: &str = "sparkler.flight.id";
    /// How a flight came by its answer: `led` here, `relayed` from the worker
    /// that leads it, or `recorded` there before.
    pub const FLIGHT_SOURCE: &str = "sparkler.flight.source";
    /// `leader` or `follower`.
    pub const FLIGHT_ROLE: &str = "sparkler.flight.role";
    /// Calls of the provider.
    pub const ATTEMPTS: &str = "sparkler.attempts";
    /// Which call of the provider this is, from 1.
    pub const ATTEMPT: &str = "sparkler.attempt";
    /// How long a retry waits, in seconds.
    pub const WAIT: &str = "sparkler.wait";
    /// Seconds from the call's arrival to the first output.
    pub const TIME_TO_FIRST_TOKEN: &str = "sparkler.time_to_first_token";
    /// What this execution spent, in US dollars.
    pub const COST_SPENT: &str = "sparkler.cost.spent";
    /// What sharing or the cache saved, in US dollars.
    pub const COST_SAVED: &str = "sparkler.cost.saved";
    /// What a check found out of the credential: `yes`, `no` or `unknown`.
    pub const CHECK_CREDENTIAL: &str = "sparkler.check.credential";
    /// The same of the model.
    pub const CHECK_MODEL: &str = "sparkler.check.model";
    /// What an execution was waiting for when it failed.
    pub const PHASE: &str = "sparkler.phase";
    /// True where the prompt on the span was cut to its bound.
    pub const INPUT_CUT: &str = "sparkler.content.input_cut";
    /// True where the answer on the span was cut to its bound.
    pub const OUTPUT_CUT: &str = "sparkler.content.output_cut";
    /// Which part of the cache: `memory`, `redis` or `idempotency`.
    pub const CACHE_TIER: &str = "sparkler.cache.tier";
    /// In a word, why an answer was not stored.
    pub const CACHE_NOT_STORED: &str = "sparkler.cache.not_stored_reason";
    /// `input`, `output`, `cached` (of input) or `reasoning` (of output).
    pub const TOKEN_TYPE: &str = "sparkler.token.type";
    /// Whether tokens were paid; else sharing or the cache saved them.
    pub const TOKEN_PAID: &str = "sparkler.token.paid";
    /// `spent` or `saved`.
    pub const COST_KIND: &str = "sparkler.cost.kind";
    /// Which limit was met.
    pub const ADMISSION_LIMIT: &str = "sparkler.admission.limit.kind";
    /// Why a socket did not become a connection of a caller.
    pub const HANDSHAKE_CAUSE: &str = "sparkler.handshake.cause";
    /// Why the provider is left in peace.
    pub const COOLDOWN_KIND: &str = "sparkler.cooldown.kind";
    /// What a command to Redis is for.
    pub const REDIS_OPERATION: &str = "sparkler.redis.operation";
    /// Why Redis refuses: `unauthorized`, `forbidden` (a right is missing),
    /// `read_only` or `full`.
    pub const REDIS_CAUSE: &str = "sparkler.redis.cause";
    /// How a command to Redis ended.
    pub const REDIS_RESULT: &str = "sparkler.redis.result";
    /// `traces`, `metrics` or `logs`.
    pub const SIGNAL: &str = "sparkler.telemetry.signal";
    /// What memory is for: `cache`, `retention` (finished executions that can be
    /// attached to) or `executions`.
    pub const MEMORY_PURPOSE: &str = "sparkler.memory.purpose";
    /// The worker's release.
    pub const BUILD_VERSION: &str = "version";
    /// The operating system it was built for.
    pub const BUILD_OS: &str = "os";
    /// The architecture it was built for.
    pub const BUILD_ARCHITECTURE: &str = "architecture";
    /// How a linked span has to do with this one: it produced the answer.
    pub const LINK: &str = "sparkler.link";
}
