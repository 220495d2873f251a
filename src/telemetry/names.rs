//! The names of spans, events and attributes, each written once.
//!
//! They follow the OpenTelemetry semantic conventions: those for generative AI as
//! of 1.42 with the token names of the latest development text (which has no stable
//! release yet), and those for RPC as of 1.44, where a status is
//! `rpc.response.status_code`. Names that no convention covers begin with
//! `sparkler.`.

/// The release of the conventions that the resource names as its schema.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.42.0";
/// The name of the spans' instrumentation scope.
pub(crate) const SCOPE: &str = "sparkler";

/// Spans. A SERVER span is named after its method, a CLIENT span `{operation}
/// {model}`.
pub(crate) mod span {
    /// The look-up of an answer.
    pub(crate) const LOOKUP: &str = "cache lookup";
    /// A flight: on its leader's worker from the first attempt to completion,
    /// elsewhere as long as it is relayed.
    pub(crate) const FLIGHT: &str = "flight";
    /// A CLIENT span: the credential check of CheckNode, which spends no tokens.
    pub(crate) const PROBE: &str = "check credential";
}

/// Events on spans; never one per token.
pub(crate) mod event {
    /// An attempt has connected.
    pub(crate) const CONNECTED: &str = "connected";
    /// An attempt has received its first piece of output.
    pub(crate) const FIRST_TOKEN: &str = "first_token";
    /// An attempt has failed, and another follows after a delay.
    pub(crate) const RETRY: &str = "retry";
    /// The output so far is void; the flight starts over.
    pub(crate) const RESTARTED: &str = "restarted";
}

/// Attributes of the OpenTelemetry conventions.
pub(crate) mod otel {
    /// The API's reason; only on spans whose status is an error.
    pub(crate) const ERROR_TYPE: &str = "error.type";
    /// The host of the request.
    pub(crate) const SERVER_ADDRESS: &str = "server.address";
    /// The port of the request.
    pub(crate) const SERVER_PORT: &str = "server.port";
    /// The caller's address.
    pub(crate) const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
    /// The caller's port.
    pub(crate) const NETWORK_PEER_PORT: &str = "network.peer.port";
    /// The provider's HTTP status.
    pub(crate) const HTTP_STATUS: &str = "http.response.status_code";

    /// `grpc`.
    pub(crate) const RPC_SYSTEM: &str = "rpc.system.name";
    /// The method, as `package.Service/Method`.
    pub(crate) const RPC_METHOD: &str = "rpc.method";
    /// The requested method, if it does not exist.
    pub(crate) const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
    /// The name of the gRPC status.
    pub(crate) const RPC_STATUS: &str = "rpc.response.status_code";
    /// The value for anything outside the known set.
    pub(crate) const OTHER: &str = "_OTHER";

    /// `chat`, `text_completion` or `embeddings`.
    pub(crate) const OPERATION: &str = "gen_ai.operation.name";
    /// The provider of the model.
    pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
    /// `input` or `output`; only on metrics.
    pub(crate) const TOKEN_TYPE: &str = "gen_ai.token.type";
    /// `text`; only on metrics by the latest conventions.
    pub(crate) const TOKEN_MODALITY: &str = "gen_ai.token.modality";
    /// The requested model.
    pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
    /// The dimensions of a vector, where the request sets them.
    pub(crate) const EMBEDDING_DIMENSIONS: &str = "gen_ai.embeddings.dimension.count";
    /// True if a stream was requested.
    pub(crate) const REQUEST_STREAM: &str = "gen_ai.request.stream";
    /// The number of requested choices, if not one.
    pub(crate) const REQUEST_CHOICES: &str = "gen_ai.request.choice.count";
    /// The limit of the answer, in tokens.
    pub(crate) const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    /// The temperature.
    pub(crate) const REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
    /// The nucleus sampling threshold.
    pub(crate) const REQUEST_TOP_P: &str = "gen_ai.request.top_p";
    /// The number of candidate tokens.
    pub(crate) const REQUEST_TOP_K: &str = "gen_ai.request.top_k";
    /// The frequency penalty.
    pub(crate) const REQUEST_FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
    /// The presence penalty.
    pub(crate) const REQUEST_PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
    /// The sequences that end the answer.
    pub(crate) const REQUEST_STOP: &str = "gen_ai.request.stop_sequences";
    /// The seed.
    pub(crate) const REQUEST_SEED: &str = "gen_ai.request.seed";
    /// The level of reasoning.
    pub(crate) const REQUEST_REASONING: &str = "gen_ai.request.reasoning.level";
    /// `text` or `json`, where the request sets a format.
    pub(crate) const OUTPUT_TYPE: &str = "gen_ai.output.type";
    /// The conversation, where the caller names one.
    pub(crate) const CONVERSATION: &str = "gen_ai.conversation.id";
    /// The provider's id of the answer.
    pub(crate) const RESPONSE_ID: &str = "gen_ai.response.id";
    /// The model that answered.
    pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
    /// The reason that each choice ended; `error` where the stream broke first.
    pub(crate) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    /// Seconds from the request to the first piece of output.
    pub(crate) const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    /// Tokens of the prompt, cached ones included.
    pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    /// Tokens of the answer, reasoning included.
    pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
    /// Tokens of the prompt that came from the provider's own prompt cache.
    pub(crate) const CACHED_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
    /// Tokens of the answer spent on reasoning.
    pub(crate) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
    /// The conversation as it was sent; only where the operator opted in.
    pub(crate) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
    /// The answer; only where the operator opted in.
    pub(crate) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";

    /// The name of the exporting service.
    pub(crate) const SERVICE_NAME: &str = "service.name";
    /// The version of the service.
    pub(crate) const SERVICE_VERSION: &str = "service.version";
    /// The worker, by its configured name.
    pub(crate) const SERVICE_INSTANCE: &str = "service.instance.id";
}

/// Sparkler's own attributes.
pub(crate) mod sparkler {
    /// The node's type; on metrics `_OTHER` for an unknown one, and `_ATTACHED` for
    /// a call that attached to an execution.
    pub(crate) const NODE_TYPE: &str = "sparkler.node.type";
    /// The model of an execution. (The conventions' own attribute is set only on
    /// the provider request: backends show any span that carries it as one.)
    pub(crate) const MODEL: &str = "sparkler.model";
    /// The flow's definition.
    pub(crate) const FLOW: &str = "sparkler.flow.id";
    /// The flow's run.
    pub(crate) const RUN: &str = "sparkler.run.id";
    /// The node within the flow.
    pub(crate) const NODE: &str = "sparkler.node.id";
    /// The tenant.
    pub(crate) const TENANT: &str = "sparkler.tenant";
    /// The number of the orchestrator's attempt.
    pub(crate) const ORCHESTRATOR_ATTEMPT: &str = "sparkler.run.attempt";
    /// A label of the caller: the prefix of its key.
    pub(crate) const LABEL_PREFIX: &str = "sparkler.label.";
    /// A baggage entry that the operator allows: the prefix of its key.
    pub(crate) const BAGGAGE_PREFIX: &str = "baggage.";
    /// The reason of a failure, also where a caller's mistake or disconnection does
    /// not make the span an error; on metrics `OK` for a success.
    pub(crate) const REASON: &str = "sparkler.reason";
    /// The result of the look-up.
    pub(crate) const CACHE_STATUS: &str = "sparkler.cache.status";
    /// The result of a single look-up: `hit` or `miss`.
    pub(crate) const CACHE_RESULT: &str = "sparkler.cache.result";
    /// The beginning of the cache key.
    pub(crate) const CACHE_KEY: &str = "sparkler.cache.key";
    /// The age of a hit, in seconds.
    pub(crate) const CACHE_AGE: &str = "sparkler.cache.age";
    /// `stored`, or the reason that the answer was not stored.
    pub(crate) const CACHE_STORED: &str = "sparkler.cache.stored";
    /// The flight's id.
    pub(crate) const FLIGHT: &str = "sparkler.flight.id";
    /// The source of a flight's answer: `local`, `remote` from the worker that
    /// leads it, or `cached` by the fleet.
    pub(crate) const FLIGHT_SOURCE: &str = "sparkler.flight.source";
    /// `leader` or `follower`.
    pub(crate) const FLIGHT_ROLE: &str = "sparkler.flight.role";
    /// The number of provider requests.
    pub(crate) const ATTEMPTS: &str = "sparkler.attempts";
    /// The number of this provider request, from 1.
    pub(crate) const ATTEMPT: &str = "sparkler.attempt";
    /// The messages of the session's last prompt.
    pub(crate) const PREVIOUS_MESSAGES: &str = "sparkler.prompt.previous_messages";
    /// The first message, from 0, that differs from the session's last prompt.
    pub(crate) const FIRST_CHANGED_MESSAGE: &str = "sparkler.prompt.first_changed_message";
    /// True if the tools differ from those of the session's last prompt.
    pub(crate) const TOOLS_CHANGED: &str = "sparkler.prompt.tools_changed";
    /// The delay before a retry, in seconds.
    pub(crate) const WAIT: &str = "sparkler.wait";
    /// Seconds from the call's arrival to the first output.
    pub(crate) const TIME_TO_FIRST_TOKEN: &str = "sparkler.time_to_first_token";
    /// The cost of this execution, in US dollars.
    pub(crate) const COST_SPENT: &str = "sparkler.cost.spent";
    /// The cost of a provider request, in US dollars; on its span alone.
    pub(crate) const COST_OF_CALL: &str = "sparkler.cost.call";
    /// The cost that sharing or the cache saved, in US dollars.
    pub(crate) const COST_SAVED: &str = "sparkler.cost.saved";
    /// The result of checking the credential: `yes`, `no` or `unknown`.
    pub(crate) const CHECK_CREDENTIAL: &str = "sparkler.check.credential";
    /// The result of checking the model: `yes`, `no` or `unknown`.
    pub(crate) const CHECK_MODEL: &str = "sparkler.check.model";
    /// The phase of an execution in which it failed.
    pub(crate) const PHASE: &str = "sparkler.phase";
    /// True where the prompt on the span was truncated.
    pub(crate) const INPUT_CUT: &str = "sparkler.content.input_cut";
    /// True where the answer on the span was truncated.
    pub(crate) const OUTPUT_CUT: &str = "sparkler.content.output_cut";
    /// The tier of the cache: `memory`, `redis` or `idempotency`.
    pub(crate) const CACHE_TIER: &str = "sparkler.cache.tier";
    /// The reason that an answer was not stored, as one word.
    pub(crate) const CACHE_NOT_STORED: &str = "sparkler.cache.not_stored_reason";
    /// `input`, `output`, `cached` (of input) or `reasoning` (of output).
    pub(crate) const TOKEN_TYPE: &str = "sparkler.token.type";
    /// True for paid tokens, false for those that sharing or the cache saved.
    pub(crate) const TOKEN_PAID: &str = "sparkler.token.paid";
    /// `spent` or `saved`.
    pub(crate) const COST_KIND: &str = "sparkler.cost.kind";
    /// The thing without a price: `model` or `tier`.
    pub(crate) const PRICE_MISSING: &str = "sparkler.price.missing";
    /// The service tier that a provider request asks for, if it is not the standard one;
    /// `unknown` for a word that Fireworks is not known to take.
    pub(crate) const SERVICE_TIER: &str = "sparkler.service_tier";
    /// The limit that was reached.
    pub(crate) const ADMISSION_LIMIT: &str = "sparkler.admission.limit.kind";
    /// The reason that a socket did not become a connection of a caller.
    pub(crate) const HANDSHAKE_CAUSE: &str = "sparkler.handshake.cause";
    /// The reason for a cooldown towards the provider.
    pub(crate) const COOLDOWN_KIND: &str = "sparkler.cooldown.kind";
    /// The purpose of a Redis command.
    pub(crate) const REDIS_OPERATION: &str = "sparkler.redis.operation";
    /// The reason that Redis refuses: `unauthorized`, `forbidden` (a permission is
    /// missing), `read_only` or `full`.
    pub(crate) const REDIS_CAUSE: &str = "sparkler.redis.cause";
    /// The outcome of a Redis command.
    pub(crate) const REDIS_RESULT: &str = "sparkler.redis.result";
    /// `traces`, `metrics` or `logs`.
    pub(crate) const SIGNAL: &str = "sparkler.telemetry.signal";
    /// The purpose of memory: `cache`, `retention` (finished executions that can be
    /// attached to) or `executions`.
    pub(crate) const MEMORY_PURPOSE: &str = "sparkler.memory.purpose";
    /// The worker's release.
    pub(crate) const BUILD_VERSION: &str = "version";
    /// The operating system of the build.
    pub(crate) const BUILD_OS: &str = "os";
    /// The architecture of the build.
    pub(crate) const BUILD_ARCHITECTURE: &str = "architecture";
    /// The relation of a linked span: it produced the answer.
    pub(crate) const LINK: &str = "sparkler.link";
}
