//! What a caller asks for: a request, said in a line.

use std::{collections::BTreeMap, time::Duration};

use prost_types::{ListValue, Struct, Value as ProtoValue, value::Kind};
use serde_json::{Value, json};
use sparkler::proto::{
    CachePolicy, Chat, ChatMessage, CheckNodeRequest, Credential, ExecuteNodeRequest,
    ExecutionContext, ExecutionLimits, OutputOptions, Texts, Tool,
    cache_policy::{Mode, Scope},
    credential,
    execute_node_request::Input,
    execution_limits::OnCancel,
    output_options::Format,
};

use super::{KEY, MODEL};

/// A request under construction.
#[derive(Clone)]
pub(crate) struct Ask(ExecuteNodeRequest);

/// Asks a chat model for an answer to a prompt, with no cache.
pub(crate) fn ask(prompt: &str) -> Ask {
    Ask(ExecuteNodeRequest {
        node_type: "chatFireworks".to_owned(),
        input: Some(Input::Prompt(prompt.to_owned())),
        ..Default::default()
    })
    .set("modelName", json!(MODEL))
    .key(KEY)
}

/// Asks for the vectors of texts, with no cache.
pub(crate) fn embed<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Ask {
    let texts = texts.into_iter().map(Into::into).collect();
    Ask(ExecuteNodeRequest {
        node_type: "fireworksEmbeddings".to_owned(),
        input: Some(Input::Texts(Texts { texts })),
        ..Default::default()
    })
    .model("accounts/simulator/models/embedding")
    .key(KEY)
}

impl Ask {
    pub(crate) fn node(mut self, node_type: &str) -> Ask {
        self.0.node_type = node_type.to_owned();
        self
    }

    /// One field of the node's configuration.
    pub(crate) fn set(mut self, field: &str, value: Value) -> Ask {
        let config = self.0.config.get_or_insert_default();
        config.fields.insert(field.to_owned(), proto_value(value));
        self
    }

    pub(crate) fn model(self, model: &str) -> Ask {
        self.set("modelName", json!(model))
    }

    /// A conversation instead of a prompt.
    pub(crate) fn chat(mut self, messages: Vec<ChatMessage>) -> Ask {
        self.0.input = Some(Input::Chat(Chat { messages }));
        self
    }

    pub(crate) fn key(mut self, key: &str) -> Ask {
        let source = credential::Source::ApiKey(key.to_owned());
        self.0.credential = Some(Credential { source: Some(source) });
        self
    }

    pub(crate) fn secret(mut self, name: &str) -> Ask {
        let source = credential::Source::SecretName(name.to_owned());
        self.0.credential = Some(Credential { source: Some(source) });
        self
    }

    pub(crate) fn no_credential(mut self) -> Ask {
        self.0.credential = None;
        self
    }

    /// One more function that the model may call.
    pub(crate) fn tool(mut self, tool: Tool) -> Ask {
        self.0.tools.push(tool);
        self
    }

    /// Reads and writes the cache.
    pub(crate) fn cached(self) -> Ask {
        self.mode(Mode::ReadWrite)
    }

    pub(crate) fn mode(mut self, mode: Mode) -> Ask {
        self.policy().mode = mode.into();
        self
    }

    pub(crate) fn scope(mut self, scope: Scope) -> Ask {
        self.policy().scope = scope.into();
        self
    }

    pub(crate) fn ttl(mut self, ttl: Duration) -> Ask {
        self.policy().ttl = ttl.try_into().ok();
        self
    }

    pub(crate) fn salt(mut self, salt: &str) -> Ask {
        self.policy().salt = salt.to_owned();
        self
    }

    pub(crate) fn tenant(mut self, tenant: &str) -> Ask {
        self.context().tenant = tenant.to_owned();
        self
    }

    pub(crate) fn session(mut self, session: &str) -> Ask {
        self.context().session_id = session.to_owned();
        self
    }

    pub(crate) fn run(mut self, run: &str) -> Ask {
        self.context().run_id = run.to_owned();
        self
    }

    /// The node within the flow.
    pub(crate) fn flow_node(mut self, node: &str) -> Ask {
        self.context().node_id = node.to_owned();
        self
    }

    pub(crate) fn json(mut self) -> Ask {
        self.output().format = Format::Json.into();
        self
    }

    pub(crate) fn schema(mut self, schema: &Value) -> Ask {
        self.output().json_schema = schema.to_string();
        self.json()
    }

    /// Only the final event.
    pub(crate) fn no_deltas(mut self) -> Ask {
        self.output().deltas = Some(false);
        self
    }

    pub(crate) fn idempotency_key(mut self, key: &str) -> Ask {
        self.0.idempotency_key = key.to_owned();
        self
    }

    pub(crate) fn connect(mut self, limit: Duration) -> Ask {
        self.limits().connect = limit.try_into().ok();
        self
    }

    pub(crate) fn first_token(mut self, limit: Duration) -> Ask {
        self.limits().first_token = limit.try_into().ok();
        self
    }

    pub(crate) fn idle(mut self, limit: Duration) -> Ask {
        self.limits().idle = limit.try_into().ok();
        self
    }

    pub(crate) fn total(mut self, limit: Duration) -> Ask {
        self.limits().total = limit.try_into().ok();
        self
    }

    pub(crate) fn attempts(mut self, attempts: u32) -> Ask {
        self.limits().max_attempts = attempts;
        self
    }

    pub(crate) fn drain(mut self) -> Ask {
        self.limits().on_cancel = OnCancel::Drain.into();
        self
    }

    pub(crate) fn allow_restart(mut self) -> Ask {
        self.limits().allow_restart = true;
        self
    }

    /// The request, to change by hand or to send.
    pub(crate) fn request(self) -> ExecuteNodeRequest {
        self.0
    }

    /// The same node, asked whether it would run.
    pub(crate) fn check(self) -> CheckNodeRequest {
        let ExecuteNodeRequest { node_type, config, credential, .. } = self.0;
        CheckNodeRequest { node_type, config, credential, context: None }
    }

    fn context(&mut self) -> &mut ExecutionContext {
        self.0.context.get_or_insert_with(ExecutionContext::default)
    }

    fn policy(&mut self) -> &mut CachePolicy {
        self.0.cache.get_or_insert_with(CachePolicy::default)
    }

    fn output(&mut self) -> &mut OutputOptions {
        self.0.output.get_or_insert_with(OutputOptions::default)
    }

    fn limits(&mut self) -> &mut ExecutionLimits {
        self.0.limits.get_or_insert_with(ExecutionLimits::default)
    }
}

impl From<ExecuteNodeRequest> for Ask {
    fn from(request: ExecuteNodeRequest) -> Ask {
        Ask(request)
    }
}

/// JSON as protobuf has it.
pub(crate) fn proto_value(value: Value) -> ProtoValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().expect("a number")),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(proto_value).collect() })
        }
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| (key, proto_value(value)));
            Kind::StructValue(Struct { fields: members.collect::<BTreeMap<_, _>>() })
        }
    };
    ProtoValue { kind: Some(kind) }
}
