//! Parses the provider's error bodies, whatever their shape: its own two forms,
//! those of frameworks, gateways and other servers, its control plane's, plain
//! text, HTML, or nothing.
//!
//! It only extracts the text; `failure` classifies it and makes it fit for
//! display, and `probe` draws conclusions from the sender.

use serde_json::{Map, Value};

use super::text;

/// The contents of an error body, in any of the shapes seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) message: Option<String>,
    pub(super) code: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) request_id: Option<String>,
    form: ErrorForm,
}

/// The form of a body, which identifies the sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ErrorForm {
    /// Fireworks' gateway, which checks the key, then looks up the model.
    Gateway,
    /// Fireworks' model server, which checks the request.
    ModelServer,
    /// An error in the form of another server.
    Failure,
    /// A page, or a line, of something in front of the provider.
    Edge,
    /// None of the above.
    #[default]
    Unknown,
}

type JsonObject = Map<String, Value>;

impl ErrorBody {
    /// Parses a body, or the data of an event. Never fails: text that is not
    /// JSON is its own message.
    pub(super) fn read(text: &str) -> ErrorBody {
        match serde_json::from_str(&text::mend(text.as_bytes())) {
            Ok(Value::Object(body)) => ErrorBody::from_object(&body),
            Ok(Value::Array(items)) => match items.first() {
                Some(Value::Object(body)) => ErrorBody::from_object(body),
                _ => ErrorBody::from_text(text),
            },
            Ok(Value::String(text)) => ErrorBody::from_text(&text),
            _ => ErrorBody::from_text(text),
        }
    }

    fn from_text(text: &str) -> ErrorBody {
        let form = if is_from_edge(text) { ErrorForm::Edge } else { ErrorForm::Unknown };
        ErrorBody { message: filled(text), form, ..ErrorBody::default() }
    }

    fn from_object(body: &JsonObject) -> ErrorBody {
        let none = JsonObject::new();
        let inner = inner_error(body);
        let error = inner.unwrap_or(&none);
        let places = [error, body];
        ErrorBody {
            message: find_message(error, body),
            code: find(places, &["code", "error_code"], scalar),
            status: find(places, &["status", "status_code", "http_status", "code"], status),
            request_id: find([body, error], &["request_id"], string)
                .or_else(|| string(body.get("id")?)),
            form: form(inner, body),
        }
    }

    /// Returns true if the body has the form of an error, from any sender.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self.form, ErrorForm::Gateway | ErrorForm::ModelServer | ErrorForm::Failure)
    }

    /// Returns true if something in front of the provider sent the body.
    pub(super) fn is_from_edge(&self) -> bool {
        self.form == ErrorForm::Edge
    }

    pub(super) fn is_from_gateway(&self) -> bool {
        self.form == ErrorForm::Gateway
    }

    pub(super) fn is_from_model_server(&self) -> bool {
        self.form == ErrorForm::ModelServer
    }

    /// Returns true if the code matches, ignoring case and punctuation.
    pub(super) fn has_code(&self, code: &str) -> bool {
        self.code.as_deref().is_some_and(|own| fold(own) == fold(code))
    }

    pub(super) fn is_scaling_up(&self) -> bool {
        self.has_code("DEPLOYMENT_SCALING_UP")
    }

    /// Matches the wording of Fireworks, vLLM, SGLang, llama.cpp, Ollama and others.
    pub(super) fn is_context_too_long(&self) -> bool {
        const SUBJECTS: [&str; 5] =
            ["context length", "context size", "context window", "model length", "max_model_len"];
        const VERDICTS: [&str; 6] =
            ["exceed", "longer than", "larger than", "greater than", "too long", "maximum"];
        let says = |words: &[&str]| words.iter().any(|word| self.mentions(word));
        self.has_code("context_length_exceeded")
            || self.mentions("prompt is too long")
            || self.mentions("inputs` tokens + `max_new_tokens")
            || says(&SUBJECTS) && says(&VERDICTS)
    }

    /// Returns true if it is a model, or a deployment, that is missing.
    pub(super) fn is_about_a_model(&self) -> bool {
        if self.mentions("path not found") {
            return false;
        }
        self.has_code("model_not_found")
            || self.is_from_gateway() && self.has_code("NOT_FOUND")
            || self.is_failure() && (self.mentions("model") || self.is_about_a_deployment())
    }

    pub(super) fn is_about_a_deployment(&self) -> bool {
        self.mentions("deployment ")
    }

    /// Returns true if it is the key that is rejected.
    pub(super) fn is_about_the_key(&self) -> bool {
        let codes = ["UNAUTHORIZED", "UNAUTHENTICATED", "invalid_api_key", "authentication_error"];
        codes.iter().any(|code| self.has_code(code))
            || [
                "unauthorized",
                "unauthenticated",
                "invalid api key",
                "api key is invalid",
                "api key you provided is invalid",
                "incorrect api key",
                "invalid token",
            ]
            .iter()
            .any(|words| self.mentions(words))
    }

    fn mentions(&self, words: &str) -> bool {
        self.message.as_ref().is_some_and(|text| text.to_ascii_lowercase().contains(words))
    }
}

/// Returns a word without case and punctuation.
fn fold(word: &str) -> String {
    let letters = word.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Returns the object that describes the failure, if it is not the body itself.
fn inner_error(body: &JsonObject) -> Option<&JsonObject> {
    let errors = || body.get("errors")?.as_array()?.first()?.as_object();
    let of_choice = || {
        let choices = body.get("choices")?.as_array()?;
        choices.iter().find_map(|choice| choice.get("error")?.as_object())
    };
    let error = body.get("error").and_then(Value::as_object).filter(|error| !error.is_empty());
    error.or_else(errors).or_else(of_choice)
}

fn form(error: Option<&JsonObject>, body: &JsonObject) -> ErrorForm {
    let word = |object: &JsonObject, key| object.get(key).and_then(string);
    if body.contains_key("cloudflare_error") {
        return ErrorForm::Edge;
    }
    match error {
        Some(error) if word(error, "object").as_deref() == Some("error") => ErrorForm::ModelServer,
        Some(error) if word(error, "type").as_deref() == Some("error") => ErrorForm::Gateway,
        Some(_) => ErrorForm::Failure,
        None if is_failure(body) => ErrorForm::Failure,
        None => ErrorForm::Unknown,
    }
}

/// Returns true if a body without an inner error is an error itself.
fn is_failure(body: &JsonObject) -> bool {
    let is_error = |key| body.get(key).and_then(string).as_deref() == Some("error");
    let names_one = ["error", "errors", "error_type", "error_message", "detail", "fault"]
        .iter()
        .any(|key| body.get(*key).is_some_and(says_something));
    let has_status = ["status", "status_code", "code"]
        .iter()
        .any(|key| body.get(*key).and_then(status).is_some());
    names_one || is_error("object") || is_error("type") || has_status
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn find_message(error: &JsonObject, body: &JsonObject) -> Option<String> {
    let of_error = || find([error], &["message", "msg", "error_message", "detail"], words);
    let of_body = || {
        let keys =
            ["error", "error_message", "message", "detail", "errors", "msg", "error_description"];
        find([body], &keys, words)
    };
    let of_fault = || string(body.get("fault")?.get("faultstring")?);
    let of_choice = || {
        let choices = body.get("choices")?.as_array()?;
        choices.iter().find_map(|choice| words(choice.get("error")?))
    };
    of_error().or_else(of_body).or_else(of_fault).or_else(of_choice)
}

/// Returns the first readable one of these members, in the order of the objects.
fn find<'a, T>(
    objects: impl IntoIterator<Item = &'a JsonObject>,
    keys: &[&str],
    read: impl Fn(&Value) -> Option<T>,
) -> Option<T> {
    let mut objects = objects.into_iter();
    objects.find_map(|object| keys.iter().find_map(|key| read(object.get(*key)?)))
}

/// Reads text, an object's message, or a list of either.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => filled(text),
        Value::Object(object) => find([object], &["msg", "message", "error"], string),
        Value::Array(items) => {
            let all: Vec<String> = items.iter().filter_map(words).collect();
            (!all.is_empty()).then(|| all.join("; "))
        }
        _ => None,
    }
}

fn string(value: &Value) -> Option<String> {
    value.as_str().and_then(filled)
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads a string or a number as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        other => string(other),
    }
}

/// Reads an HTTP error status, as a number or a string.
fn status(value: &Value) -> Option<u16> {
    let status = scalar(value)?.parse().ok()?;
    (400..=599).contains(&status).then_some(status)
}

/// Recognises HTML, and Cloudflare's reply to clients that do not ask for HTML.
fn is_from_edge(text: &str) -> bool {
    let text = text.trim_start();
    let starts_with =
        |start: &str| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    text.starts_with('<') || starts_with("error code: 1")
}
