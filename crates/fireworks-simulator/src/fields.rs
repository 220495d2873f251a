//! Tables of the request fields that the service knows: the basis of
//! `validation` and of `generation`'s hash. Both request schemas are closed,
//! nested objects included. Source: the provider's text-completion OpenAPI and
//! SDK of 2026.

use crate::endpoint::Endpoint;

/// A known field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) class: Class,
    pub(crate) required: bool,
}

/// The effect of a field on the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It can change the contents of the answer, or whether there is one.
    Answer,
    /// It changes only the envelope.
    Envelope,
    /// Routing, billing, telemetry.
    Routing,
}

/// The shape of a value. Null counts as left out, everywhere.
#[derive(Debug)]
pub(crate) enum Shape {
    Any,
    Bool,
    Text,
    Integer(i64, i64),
    Number(f64, f64),
    Word(&'static [&'static str]),
    Object(&'static [Field]),
    /// An object whose fields depend on the text in the named one.
    Tagged(&'static str, &'static [(&'static str, &'static [Field])]),
    List(&'static Shape),
    Map(&'static Shape),
    /// The first whose JSON type fits.
    Either(&'static [Shape]),
}

use Shape::{Any, Bool, Either, Integer, List, Map, Number, Object, Tagged, Text, Word};

const MOST: i64 = i64::MAX;

/// Iterates over the fields of a request that runs a model; empty for other endpoints.
pub(crate) fn of(endpoint: Endpoint) -> impl Iterator<Item = &'static Field> {
    let (shared, own): (&'static [Field], &'static [Field]) = match endpoint {
        Endpoint::ChatCompletions => (SHARED, CHAT),
        Endpoint::Completions => (SHARED, COMPLETIONS),
        Endpoint::Embeddings => (&[], EMBEDDINGS),
        Endpoint::Models => (&[], &[]),
    };
    shared.iter().chain(own)
}

const fn answer(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, class: Class::Answer, required: false }
}

const fn envelope(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, class: Class::Envelope, required: false }
}

const fn routing(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, class: Class::Routing, required: false }
}

const fn required(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, class: Class::Answer, required: true }
}

static SHARED: &[Field] = &[
    required("model", Text),
    envelope("stream", Bool),
    envelope("stream_options", Object(&[envelope("include_usage", Bool)])),
    answer("max_tokens", Integer(0, MOST)),
    answer("max_completion_tokens", Integer(0, MOST)),
    answer("temperature", Number(0.0, 2.0)),
    answer("top_p", Number(0.0, 1.0)),
    answer("top_k", Integer(0, 100)),
    answer("min_p", Number(0.0, 1.0)),
    answer("typical_p", Number(0.0, 1.0)),
    answer("frequency_penalty", Number(-2.0, 2.0)),
    answer("presence_penalty", Number(-2.0, 2.0)),
    answer("repetition_penalty", Number(0.0, 2.0)),
    answer("mirostat_target", Number(f64::MIN, f64::MAX)),
    answer("mirostat_lr", Number(f64::MIN, f64::MAX)),
    answer("logit_bias", Map(&Number(-100.0, 100.0))),
    answer("seed", Integer(i64::MIN, MOST)),
    answer("n", Integer(1, 128)),
    answer("stop", Either(&[Text, List(&Text)])),
    answer("ignore_eos", Bool),
    answer("echo", Bool),
    answer("echo_last", Integer(0, MOST)),
    answer("context_length_exceeded_behavior", Word(&["truncate", "error"])),
    answer("response_format", RESPONSE_FORMAT),
    answer("reasoning_effort", Either(&[Text, Integer(1, MOST), Bool])),
    answer("thinking", Tagged("type", &[("enabled", THINKING), ("disabled", THINKING)])),
    answer("reasoning_history", Word(&["disabled", "interleaved", "preserved"])),
    envelope("logprobs", Either(&[Bool, Integer(0, 5)])),
    envelope("top_logprobs", Integer(0, 5)),
    envelope("raw_output", Bool),
    envelope("return_token_ids", Bool),
    envelope("perf_metrics_in_response", Bool),
    routing("prediction", Either(&[Text, Object(PREDICTION)])),
    routing("speculation", Either(&[Text, List(&Integer(0, MOST))])),
    routing("service_tier", Word(&["auto", "default", "flex", "priority", "spot"])),
    routing("user", Text),
    routing("prompt_cache_key", Text),
    routing("prompt_cache_isolation_key", Text),
    routing("metadata", Map(&Text)),
];

static CHAT: &[Field] = &[
    required("messages", List(&Object(MESSAGE))),
    answer("tools", List(&Object(TOOL))),
    answer("tool_choice", Either(&[Word(&["auto", "none", "any", "required"]), Object(CHOICE)])),
    answer("parallel_tool_calls", Bool),
    answer("functions", List(&Object(FUNCTION))),
    answer("function_call", Either(&[Text, Object(&[required("name", Text)])])),
    answer("prompt_truncate_len", Integer(0, MOST)),
    answer("safe_tokenization", Bool),
];

static COMPLETIONS: &[Field] = &[
    required("prompt", Either(&[Text, List(&Either(&[Text, TOKEN, List(&TOKEN)]))])),
    answer("images", List(&Either(&[Text, List(&Text)]))),
];

static EMBEDDINGS: &[Field] = &[
    required("model", Text),
    required("input", Either(&[Text, List(&Either(&[Text, TOKEN, List(&TOKEN)]))])),
    answer("prompt_template", Text),
    answer("dimensions", Integer(1, MOST)),
    answer("normalize", Bool),
    envelope("encoding_format", Word(&["float", "base64"])),
    routing("user", Text),
    routing("prompt_cache_key", Text),
    routing("prompt_cache_isolation_key", Text),
];

const TOKEN: Shape = Integer(0, MOST);

const RESPONSE_FORMAT: Shape = Tagged(
    "type",
    &[("text", FORMAT), ("json_object", FORMAT), ("json_schema", FORMAT), ("grammar", FORMAT)],
);

const FORMAT: &[Field] = &[
    required("type", Text),
    answer("schema", Any),
    answer("json_schema", Any),
    answer("grammar", Text),
];

const THINKING: &[Field] = &[required("type", Text), answer("budget_tokens", Integer(1024, MOST))];

const PREDICTION: &[Field] = &[
    required("type", Word(&["content"])),
    required("content", Either(&[Text, List(&Object(TEXT_PART))])),
];

const MESSAGE: &[Field] = &[
    required("role", Word(&["system", "user", "assistant", "tool"])),
    answer("content", Either(&[Text, List(&PART)])),
    answer("reasoning_content", Text),
    answer("tool_calls", List(&Object(TOOL_CALL))),
    answer("tool_call_id", Text),
];

const PART: Shape =
    Tagged("type", &[("text", TEXT_PART), ("image_url", IMAGE_PART), ("video_url", VIDEO_PART)]);

const TEXT_PART: &[Field] = &[required("type", Text), required("text", Text)];

const IMAGE_PART: &[Field] = &[
    required("type", Text),
    required("image_url", Object(&[required("url", Text), answer("detail", Text)])),
];

const VIDEO_PART: &[Field] = &[
    required("type", Text),
    required(
        "video_url",
        Object(&[
            required("url", Text),
            answer("detail", Text),
            answer("max_frames", Integer(1, MOST)),
            answer("spatial_limit", Integer(1, MOST)),
            answer("sample_fps", Number(0.0, f64::MAX)),
        ]),
    ),
];

const TOOL_CALL: &[Field] = &[
    answer("id", Text),
    answer("index", Integer(0, MOST)),
    answer("type", Word(&["function"])),
    required(
        "function",
        Object(&[answer("name", Text), answer("arguments", Either(&[Text, Map(&Any)]))]),
    ),
];

const TOOL: &[Field] =
    &[required("type", Word(&["function"])), required("function", Object(FUNCTION))];

const FUNCTION: &[Field] = &[
    required("name", Text),
    answer("description", Text),
    answer("parameters", Map(&Any)),
    answer("strict", Bool),
];

const CHOICE: &[Field] = &[
    required("type", Word(&["function"])),
    answer("function", Object(&[required("name", Text)])),
    answer("name", Text),
];
