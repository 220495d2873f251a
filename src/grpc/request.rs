//! Converts requests into plain values. Collects every field problem; moves the
//! credential into its redacting type at once.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use prost_types::{Struct, Value as ProtoValue, value::Kind};
use serde_json::{Map, Number, Value, json};
use tokio::time::Instant;

use crate::proto::{
    self, AttachExecutionRequest, CachePolicy, Chat, ChatMessage, CheckNodeRequest, ContentPart,
    Credential, ExecuteNodeRequest, ExecutionContext, ExecutionLimits, ListModelsRequest,
    OutputOptions, Texts, Tool, cache_policy, content_part, credential, execute_node_request,
    execution_limits, output_options,
};
use crate::{
    callers::Caller,
    credentials::ApiKey,
    error::Error,
    execution::request::{
        self, AttachRequest, CacheMode, Check, Context, CredentialSource, ExecuteRequest, Limits,
        ListModels, ScopeKind,
    },
    node::{Input, Message, Part, Path, Problems, ToolCall},
    output::{OutputFormat, Schema},
};

/// Limits of the context: bytes per text, and number of labels.
const MAX_TEXT_BYTES: usize = 256;
const MAX_LABELS: usize = 16;

/// The facts about a call besides its message.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// The authenticated caller.
    pub caller: Caller,
    /// The call's own deadline, as a duration from its arrival.
    pub deadline: Option<Duration>,
    /// The time of arrival.
    pub arrived: Instant,
    /// The size of its message, in bytes.
    pub request_bytes: usize,
    /// The memory of its items beside that, in bytes.
    pub item_bytes: usize,
    /// The compiled schema, or its problem, if the request has one.
    pub schema: Option<Result<Schema, String>>,
}

impl Arrival {
    /// Returns the size of the decoded message, in bytes.
    pub(crate) fn decoded_bytes(&self) -> usize {
        self.request_bytes.saturating_add(self.item_bytes)
    }

    /// Returns the time a call may be queued: a little less than its own deadline,
    /// at which the gRPC stack would end it as cancelled.
    pub(crate) fn queued(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.mul_f64(0.9))
    }
}

/// Converts requests into plain values, and reports every problem in them.
#[derive(Debug, Default)]
pub(crate) struct RequestDecoder {
    problems: Problems,
}

impl RequestDecoder {
    /// Converts a request to execute a node.
    pub(crate) fn execute_request(
        mut self,
        request: ExecuteNodeRequest,
        context: Arc<Context>,
        arrival: Arrival,
    ) -> Result<ExecuteRequest, Error> {
        let execute_request = ExecuteRequest {
            node_type: request.node_type,
            config: self.config_with_tools(request.config, request.tools),
            input: self.input(request.input),
            input_bytes: arrival.request_bytes,
            credential: self.credential(request.credential),
            context,
            caller: arrival.caller,
            cache: self.cache_policy(request.cache.unwrap_or_default()),
            deltas: request.output.as_ref().and_then(|output| output.deltas),
            output: self.output(request.output.unwrap_or_default(), arrival.schema),
            limits: self.limits(request.limits.unwrap_or_default(), arrival.deadline),
            idempotency_key: some(request.idempotency_key),
            arrived: arrival.arrived,
        };
        self.close(execute_request)
    }

    /// Reads the context of a call, once, before the rest of the message. Texts
    /// that are too long or hold control characters are left out and refused by
    /// name with all other problems, so that unchecked text never reaches logs,
    /// spans or metrics.
    pub(crate) fn open(given: Option<ExecutionContext>) -> (RequestDecoder, Arc<Context>) {
        let given = given.unwrap_or_default();
        let mut problems = Problems::default();
        let mut text = |field: &str, text: String| checked_text(field, text, &mut problems);
        let context = Context {
            flow_id: text("context.flow_id", given.flow_id),
            run_id: text("context.run_id", given.run_id),
            node_id: text("context.node_id", given.node_id),
            session_id: text("context.session_id", given.session_id),
            tenant: text("context.tenant", given.tenant),
            attempt: given.attempt,
            labels: labels(given.labels, &mut problems),
        };
        (RequestDecoder { problems }, Arc::new(context))
    }

    /// Returns the limits alone, before the rest of the message is read; their
    /// problems are reported later, with all others.
    pub(crate) fn limits_of(limits: Option<ExecutionLimits>, deadline: Option<Duration>) -> Limits {
        RequestDecoder::default().limits(limits.unwrap_or_default(), deadline)
    }

    /// Converts a request to resume an execution.
    pub(crate) fn attach_request(
        mut self,
        request: AttachExecutionRequest,
        context: Arc<Context>,
        arrival: Arrival,
    ) -> Result<AttachRequest, Error> {
        let attach_request = AttachRequest {
            execution_token: request.execution_token,
            after_sequence: request.after_sequence,
            credential: self.credential(request.credential),
            context,
            caller: arrival.caller,
            deltas: request.deltas.unwrap_or(true),
            limits: self.limits(request.limits.unwrap_or_default(), arrival.deadline),
            arrived: arrival.arrived,
        };
        self.close(attach_request)
    }

    /// Converts a request to check a node.
    pub(crate) fn check(
        mut self,
        request: CheckNodeRequest,
        arrival: Arrival,
    ) -> Result<Check, Error> {
        let check = Check {
            node_type: request.node_type,
            config: self.config(request.config),
            credential: self.credential(request.credential),
            caller: arrival.caller,
            deadline: arrival.deadline,
        };
        self.close(check)
    }

    /// Converts a request for the models of a credential.
    pub(crate) fn list_models(
        mut self,
        request: ListModelsRequest,
        arrival: Arrival,
    ) -> Result<ListModels, Error> {
        let list_models = ListModels {
            credential: self.credential(request.credential),
            caller: arrival.caller,
            deadline: arrival.deadline,
            page_size: request.page_size as usize,
            page_token: request.page_token,
        };
        self.close(list_models)
    }

    fn close<T>(self, value: T) -> Result<T, Error> {
        self.problems.into_result().map(|()| value).map_err(Error::InvalidNodeConfig)
    }

    fn refuse(&mut self, field: impl fmt::Display, description: impl Into<String>) {
        self.problems.add(field, description);
    }

    fn config(&mut self, config: Option<Struct>) -> Map<String, Value> {
        self.object(config.unwrap_or_default(), Path::Root("config"))
    }

    /// Converts the configuration, with the tools that the request has beside it.
    fn config_with_tools(
        &mut self,
        config: Option<Struct>,
        tools: Vec<Tool>,
    ) -> Map<String, Value> {
        let mut config = self.config(config);
        if tools.is_empty() {
            return config;
        }
        let tools = (0..).zip(tools).map(|(index, tool)| self.tool(index, tool)).collect();
        if config.insert("tools".to_owned(), tools).is_some_and(|given| !given.is_null()) {
            self.refuse("tools", "excludes config.tools: give one of them");
        }
        config
    }

    /// Converts a tool into the form that the provider reads.
    fn tool(&mut self, index: usize, tool: Tool) -> Value {
        let mut function = Map::new();
        function.insert("name".to_owned(), tool.name.into());
        if !tool.description.is_empty() {
            function.insert("description".to_owned(), tool.description.into());
        }
        if !tool.parameters_json.is_empty() {
            let parameters = self.parameters(index, &tool.parameters_json);
            function.insert("parameters".to_owned(), parameters);
        }
        if let Some(strict) = tool.strict {
            function.insert("strict".to_owned(), strict.into());
        }
        json!({"type": "function", "function": function})
    }

    fn parameters(&mut self, index: usize, text: &str) -> Value {
        serde_json::from_str(text).unwrap_or_else(|error| {
            let field = format!("tools[{index}].parameters_json");
            self.refuse(field, format!("is not JSON: {error}"));
            json!({})
        })
    }

    fn object(&mut self, object: Struct, path: Path<'_>) -> Map<String, Value> {
        object
            .fields
            .into_iter()
            .map(|(key, value)| {
                let value = self.value(value, path.member(&key));
                (key, value)
            })
            .collect()
    }

    /// Converts a JSON value. Protobuf has one kind of number; a whole one becomes
    /// an integer again. The path stays on the stack and is formatted only for a
    /// problem.
    fn value(&mut self, value: ProtoValue, path: Path<'_>) -> Value {
        match value.kind {
            None | Some(Kind::NullValue(_)) => Value::Null,
            Some(Kind::BoolValue(value)) => Value::Bool(value),
            Some(Kind::StringValue(value)) => Value::String(value),
            Some(Kind::NumberValue(value)) => match number(value) {
                Some(number) => Value::Number(number),
                None => {
                    self.refuse(path, format!("is {value}: not a number"));
                    Value::Null
                }
            },
            Some(Kind::StructValue(value)) => Value::Object(self.object(value, path)),
            Some(Kind::ListValue(list)) => {
                let values = list.values.into_iter().enumerate();
                Value::Array(
                    values.map(|(index, value)| self.value(value, path.item(index))).collect(),
                )
            }
        }
    }

    fn input(&mut self, input: Option<execute_node_request::Input>) -> Input {
        match input {
            Some(execute_node_request::Input::Prompt(prompt)) => Input::Prompt(prompt),
            Some(execute_node_request::Input::Chat(Chat { messages })) => {
                Input::Chat(messages.into_iter().map(message).collect())
            }
            Some(execute_node_request::Input::Texts(Texts { texts })) => Input::Texts(texts),
            None => {
                self.refuse("input", "is missing: give prompt, chat or texts");
                Input::Chat(Vec::new())
            }
        }
    }

    fn credential(&mut self, credential: Option<Credential>) -> Option<CredentialSource> {
        match credential.and_then(|credential| credential.source)? {
            credential::Source::SecretName(name) => Some(CredentialSource::SecretName(name)),
            credential::Source::ApiKey(text) => match ApiKey::new(text) {
                Ok(key) => Some(CredentialSource::ApiKey(key)),
                Err(problem) => {
                    self.refuse("credential.api_key", problem.to_string());
                    None
                }
            },
        }
    }

    fn cache_policy(&mut self, policy: CachePolicy) -> request::CachePolicy {
        use cache_policy::{Mode, Scope};
        let mode = match Mode::try_from(policy.mode) {
            Ok(Mode::Unspecified) => None,
            Ok(Mode::Off) => Some(CacheMode::Off),
            Ok(Mode::ReadWrite) => Some(CacheMode::ReadWrite),
            Ok(Mode::ReadOnly) => Some(CacheMode::ReadOnly),
            Ok(Mode::Refresh) => Some(CacheMode::Refresh),
            Ok(Mode::OnlyIfCached) => Some(CacheMode::OnlyIfCached),
            Err(_) => self.unknown_enum("cache.mode", policy.mode),
        };
        let scope = match Scope::try_from(policy.scope) {
            Ok(Scope::Unspecified | Scope::Credential) => Some(ScopeKind::Credential),
            Ok(Scope::Tenant) => Some(ScopeKind::Tenant),
            Ok(Scope::Shared) => Some(ScopeKind::Shared),
            Err(_) => self.unknown_enum("cache.scope", policy.scope),
        };
        request::CachePolicy {
            mode,
            scope: scope.unwrap_or_default(),
            ttl: self.duration("cache.ttl", policy.ttl),
            salt: policy.salt,
        }
    }

    fn output(
        &mut self,
        options: OutputOptions,
        schema: Option<Result<Schema, String>>,
    ) -> OutputFormat {
        use output_options::Format;
        match (Format::try_from(options.format), schema) {
            (Ok(Format::Json), None) => OutputFormat::Json { schema: None },
            (Ok(Format::Json), Some(Ok(schema))) => OutputFormat::Json { schema: Some(schema) },
            (Ok(Format::Json), Some(Err(problem))) => {
                self.refuse("output.json_schema", problem);
                OutputFormat::Text
            }
            (Ok(Format::Unspecified | Format::Text), Some(_)) => {
                self.refuse("output.json_schema", "is given, but output.format is not FORMAT_JSON");
                OutputFormat::Text
            }
            (Ok(Format::Unspecified | Format::Text), None) => OutputFormat::Text,
            (Err(_), _) => {
                self.unknown_enum::<()>("output.format", options.format);
                OutputFormat::Text
            }
        }
    }

    /// Converts the limits. The call's own deadline counts too, whichever is
    /// sooner.
    fn limits(&mut self, limits: ExecutionLimits, deadline: Option<Duration>) -> Limits {
        use execution_limits::OnCancel;
        let drain = match OnCancel::try_from(limits.on_cancel) {
            Ok(OnCancel::Unspecified | OnCancel::Abort) => false,
            Ok(OnCancel::Drain) => true,
            Err(_) => self.unknown_enum("limits.on_cancel", limits.on_cancel).unwrap_or(false),
        };
        let total = self.limit("limits.total", limits.total);
        Limits {
            connect: self.limit("limits.connect", limits.connect),
            first_token: self.limit("limits.first_token", limits.first_token),
            idle: self.limit("limits.idle", limits.idle),
            total: match (total, deadline) {
                (Some(total), Some(deadline)) => Some(total.min(deadline)),
                (total, deadline) => total.or(deadline),
            },
            max_attempts: (limits.max_attempts > 0).then_some(limits.max_attempts),
            drain,
            allow_restart: limits.allow_restart,
        }
    }

    fn limit(&mut self, field: &str, limit: Option<prost_types::Duration>) -> Option<Duration> {
        let limit = self.duration(field, limit)?;
        if limit.is_zero() {
            self.refuse(field, "is 0: leave it out for the worker's default");
            return None;
        }
        Some(limit)
    }

    fn duration(&mut self, field: &str, given: Option<prost_types::Duration>) -> Option<Duration> {
        const NANOS_PER_SECOND: u32 = 1_000_000_000;
        let prost_types::Duration { seconds, nanos } = given?;
        // Converted by hand: the library overflows on the smallest numbers.
        match (u64::try_from(seconds), u32::try_from(nanos)) {
            (Ok(seconds), Ok(nanos)) if nanos < NANOS_PER_SECOND => {
                Some(Duration::new(seconds, nanos))
            }
            _ => {
                self.refuse(field, "is negative or not a duration");
                None
            }
        }
    }

    fn unknown_enum<T>(&mut self, field: &str, number: i32) -> Option<T> {
        self.refuse(field, format!("is {number}, which this worker does not know"));
        None
    }
}

fn labels(given: HashMap<String, String>, problems: &mut Problems) -> BTreeMap<String, String> {
    if given.len() > MAX_LABELS {
        let description = format!("has {} entries; at most {MAX_LABELS}", given.len());
        problems.add("context.labels", description);
        return BTreeMap::new();
    }
    let mut text = |text| checked_text("context.labels", text, problems);
    given.into_iter().map(|(key, value)| (text(key), text(value))).collect()
}

/// Returns the text, or an empty one if it is unfit for logs and spans.
fn checked_text(field: &str, text: String, problems: &mut Problems) -> String {
    let description = if text.len() > MAX_TEXT_BYTES {
        format!("has {} bytes; at most {MAX_TEXT_BYTES}", text.len())
    } else if text.contains(char::is_control) {
        "has control characters; leave them out".to_owned()
    } else {
        return text;
    };
    problems.add(field, description);
    String::new()
}

fn number(value: f64) -> Option<Number> {
    /// Bound below which a double represents every integer exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Some(Number::from(value as i64));
    }
    Number::from_f64(value)
}

fn message(message: ChatMessage) -> Message {
    Message {
        role: message.role,
        content: message.content,
        parts: message.parts.into_iter().map(part).collect(),
        tool_calls: message
            .tool_calls
            .into_iter()
            .map(|proto::ToolCall { id, name, arguments }| ToolCall { id, name, arguments })
            .collect(),
        tool_call_id: message.tool_call_id,
        reasoning_content: message.reasoning_content,
    }
}

fn part(part: ContentPart) -> Part {
    match part.part {
        None => Part::Empty,
        Some(content_part::Part::Text(text)) => Part::Text(text),
        Some(content_part::Part::ImageUrl(proto::ImageUrl { url, detail })) => {
            Part::Image { url, detail }
        }
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
