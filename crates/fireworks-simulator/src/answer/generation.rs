//! A validated request, read once into plain values.

use serde_json::{Map, Value};

use crate::{
    answer::{prompt, tokens},
    endpoint::Endpoint,
    fields::{self, Class},
    model::{Model, Reasoning},
    options::Options,
    refusal::Refusal,
};

/// A validated request.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) endpoint: Endpoint,
    pub(crate) model: Model,
    /// One for chat; all that were given for completions.
    pub(crate) prompts: Vec<String>,
    /// The topic of the answer: the user's last message.
    pub(crate) topic: String,
    pub(crate) prompt_tokens: u32,
    pub(crate) n: u32,
    pub(crate) max_tokens: u32,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) logprobs: Logprobs,
    pub(crate) stop: Vec<String>,
    /// Tokens of the prompt's end to repeat before the answer.
    pub(crate) echo: u32,
    pub(crate) ignore_eos: bool,
    pub(crate) thinks: bool,
    /// The schema if JSON is requested; an empty one accepts anything.
    pub(crate) json: Option<Value>,
    pub(crate) tools: Tools,
    pub(crate) return_token_ids: bool,
    pub(crate) perf_metrics: bool,
    pub(crate) raw_output: bool,
    /// Covers everything that can change the answer.
    pub(crate) hash: blake3::Hash,
    /// The body as it came, for fields that are only echoed.
    pub(crate) body: Map<String, Value>,
}

/// The requested form of logprobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logprobs {
    Absent,
    /// `content: [{token, logprob, …}]`, with this many alternatives.
    Content(u64),
    /// `tokens`, `token_logprobs`, …, with this many alternatives.
    Legacy(u64),
}

/// The available functions, and whether one must be called.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    /// Name and parameter schema.
    pub(crate) functions: Vec<(String, Value)>,
    pub(crate) wanted: ToolUse,
    pub(crate) parallel: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum ToolUse {
    #[default]
    Never,
    /// Called if the user names one.
    Offered,
    Required,
    Named(String),
}

impl Generation {
    pub(crate) fn read(
        endpoint: Endpoint,
        model: Model,
        mut body: Map<String, Value>,
        options: &Options,
    ) -> Result<Generation, Refusal> {
        prompt::truncate(&mut body);
        let prompts = prompt::texts(endpoint, &body);
        let prompt_tokens = prompts.iter().map(|prompt| tokens::count(prompt)).sum();
        let fields = Fields(&body);
        Ok(Generation {
            endpoint,
            max_tokens: room(fields, prompt_tokens, &model, options)?,
            topic: prompt::topic(endpoint, &body, &prompts),
            prompts,
            prompt_tokens,
            n: fields.integer("n").unwrap_or(1),
            stream: fields.flag("stream"),
            include_usage: fields.at("/stream_options/include_usage") == Some(&Value::Bool(true)),
            logprobs: logprobs(fields),
            stop: texts(fields.get("stop")),
            echo: echo(fields),
            ignore_eos: fields.flag("ignore_eos"),
            thinks: thinks(fields, &model),
            json: json(fields),
            tools: tools(fields),
            return_token_ids: fields.flag("return_token_ids"),
            perf_metrics: fields.flag("perf_metrics_in_response"),
            raw_output: fields.flag("raw_output"),
            hash: hash(endpoint, &body),
            model,
            body,
        })
    }

    /// Returns the number of choices in the answer.
    pub(crate) fn choices(&self) -> u32 {
        let prompts = u32::try_from(self.prompts.len()).unwrap_or(u32::MAX);
        self.n.saturating_mul(prompts)
    }
}

/// The members of a body; null counts as absent.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn at(self, pointer: &str) -> Option<&'a Value> {
        let (first, rest) = pointer.trim_start_matches('/').split_once('/')?;
        self.get(first)?.pointer(&format!("/{rest}"))
    }

    fn flag(self, name: &str) -> bool {
        self.get(name).and_then(Value::as_bool).unwrap_or(false)
    }

    fn integer(self, name: &str) -> Option<u32> {
        let number = self.get(name)?.as_u64()?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

/// Returns the tokens available for the answer, or refuses if there is no room.
fn room(
    fields: Fields<'_>,
    prompt_tokens: u32,
    model: &Model,
    options: &Options,
) -> Result<u32, Refusal> {
    let window = model.context_length;
    if prompt_tokens >= window {
        return Err(Refusal::invalid(format!(
            "The prompt is too long: {prompt_tokens}, model maximum context length: {window}"
        )));
    }
    let asked = fields.integer("max_tokens").or(fields.integer("max_completion_tokens"));
    let wanted = asked.unwrap_or(options.default_max_tokens);
    let left = window - prompt_tokens;
    let strict = fields.get("context_length_exceeded_behavior") == Some(&Value::from("error"));
    if strict && wanted > left {
        return Err(Refusal::invalid(format!(
            "The prompt and max_tokens are too long together: {prompt_tokens} + {wanted}, \
             model maximum context length: {window}"
        )));
    }
    Ok(wanted.min(left))
}

fn echo(fields: Fields<'_>) -> u32 {
    let last = fields.integer("echo_last");
    if fields.flag("echo") { last.unwrap_or(u32::MAX) } else { last.unwrap_or(0) }
}

fn logprobs(fields: Fields<'_>) -> Logprobs {
    let top = fields.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0);
    match fields.get("logprobs") {
        Some(Value::Bool(true)) => Logprobs::Content(top),
        Some(Value::Number(number)) => Logprobs::Legacy(number.as_u64().unwrap_or(0).max(top)),
        _ => Logprobs::Absent,
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(texts)) => {
            texts.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn thinks(fields: Fields<'_>, model: &Model) -> bool {
    let effort = fields.get("reasoning_effort");
    let off = effort.is_some_and(|effort| *effort == "none" || *effort == false)
        || fields.at("/thinking/type").is_some_and(|kind| kind == "disabled");
    model.reasoning != Reasoning::Absent && !off
}

/// Returns the schema of the answer, from any of its positions, as object or text.
fn json(fields: Fields<'_>) -> Option<Value> {
    let format = fields.get("response_format")?;
    let kind = format.get("type").and_then(Value::as_str);
    if !matches!(kind, Some("json_object" | "json_schema")) {
        return None;
    }
    let schema = format.pointer("/json_schema/schema").or(format.get("schema"));
    Some(match schema {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(schema) => schema.clone(),
        None => Value::Null,
    })
}

fn tools(fields: Fields<'_>) -> Tools {
    let listed = fields.get("tools").or(fields.get("functions")).and_then(Value::as_array);
    let functions: Vec<_> = listed
        .into_iter()
        .flatten()
        .filter_map(|tool| {
            let function = tool.get("function").unwrap_or(tool);
            let parameters = function.get("parameters").cloned().unwrap_or_default();
            Some((function.get("name")?.as_str()?.to_owned(), parameters))
        })
        .collect();
    let choice = fields.get("tool_choice").or(fields.get("function_call"));
    let wanted = match choice {
        _ if functions.is_empty() => ToolUse::Never,
        None => ToolUse::Offered,
        Some(Value::String(word)) => match word.as_str() {
            "none" => ToolUse::Never,
            "any" | "required" => ToolUse::Required,
            _ => ToolUse::Offered,
        },
        Some(named) => {
            let name = named.pointer("/function/name").or(named.get("name"));
            name.and_then(Value::as_str)
                .map_or(ToolUse::Required, |name| ToolUse::Named(name.to_owned()))
        }
    };
    let parallel = fields.get("parallel_tool_calls") != Some(&Value::Bool(false));
    Tools { functions, wanted, parallel }
}

/// Hashes the endpoint and the fields that can change the answer, in the
/// tables' order, so that the order in the body does not matter.
fn hash(endpoint: Endpoint, body: &Map<String, Value>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(endpoint.id_prefix().as_bytes());
    for field in fields::of(endpoint).filter(|field| field.class == Class::Answer) {
        if let Some(value) = body.get(field.name).filter(|value| !value.is_null()) {
            hasher.update(field.name.as_bytes());
            hasher.update(value.to_string().as_bytes());
            hasher.update(b"\0");
        }
    }
    hasher.finalize()
}
