//! What form the caller wants the answer in, and whether an answer has it.
//!
//! Reads, never repairs: an answer that is not the JSON asked for is refused,
//! one that is stays as the model wrote it. Nothing is fetched: a schema that
//! refers to another document is refused. Called by `proto`, which makes an
//! [`OutputFormat`], by nodes, which ask the provider for it, and by
//! `execution`, which checks what came.

use std::{fmt, sync::Arc};

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use crate::error::{Error, shorten};

/// How many mismatches one message tells.
const TOLD_MISMATCHES: usize = 3;
/// How long what one mismatch says may be.
const MISMATCH_BYTES: usize = 200;
/// How long a schema may be. Real ones have a few thousand bytes; what a
/// schema can do to the worker grows with it.
const SCHEMA_BYTES: usize = 64 * 1024;
/// How much memory one `pattern` of a schema may compile to, and all together.
const PATTERN_BYTES: usize = 1 << 20;
const ALL_PATTERNS_BYTES: usize = 16 << 20;

/// What form an answer takes.
#[derive(Debug, Clone, Default)]
pub enum OutputFormat {
    /// Whatever the model writes.
    #[default]
    Text,
    /// JSON.
    Json {
        /// What it must meet besides.
        schema: Option<Schema>,
    },
}

impl OutputFormat {
    /// Whether JSON is wanted.
    pub fn is_json(&self) -> bool {
        matches!(self, OutputFormat::Json { .. })
    }

    /// Whether an answer has the form; else [`Error::OutputNotJson`] or
    /// [`Error::OutputSchemaMismatch`].
    ///
    /// Numbers are checked as `f64` where they do not fit 64 bits, and a number
    /// beyond that, like nesting beyond 127 levels, is no JSON here. Blocking, for
    /// as long as the schema makes it: one that branches within itself takes
    /// exponential time in the depth of the answer.
    pub fn check(&self, text: &str) -> Result<(), Error> {
        let OutputFormat::Json { schema } = self else {
            return Ok(());
        };
        let answer: Value = serde_json::from_str(text).map_err(|problem| Error::OutputNotJson {
            problem: problem.to_string(),
            text: shorten(text, Error::MAX_TEXT_BYTES).into_owned(),
        })?;
        match schema.as_ref().and_then(|schema| schema.mismatch(&answer)) {
            None => Ok(()),
            Some(problem) => Err(Error::OutputSchemaMismatch {
                problem,
                text: shorten(text, Error::MAX_TEXT_BYTES).into_owned(),
            }),
        }
    }
}

/// A JSON Schema: 2020-12, unless its `$schema` names another draft.
#[derive(Clone)]
pub struct Schema {
    text: Arc<str>,
    validator: Arc<Validator>,
}

impl Schema {
    /// Compiles a schema, or tells why it cannot be one, as a sentence without
    /// its subject.
    pub fn parse(text: &str) -> Result<Schema, String> {
        if text.len() > SCHEMA_BYTES {
            return Err(format!("has {} bytes; at most {SCHEMA_BYTES}", text.len()));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|problem| format!("is no JSON: {problem}"))?;
        if !value.is_object() {
            return Err("must be a JSON object that is a JSON Schema".to_owned());
        }
        let pattern_bytes = (ALL_PATTERNS_BYTES / patterns(&value).max(1)).min(PATTERN_BYTES);
        let validator = jsonschema::options()
            // A linear-time engine: the pattern is the caller's and the text
            // the model's, and neither may buy a backtracking worker.
            .with_pattern_options(PatternOptions::regex().size_limit(pattern_bytes))
            .build(&value)
            .map_err(|problem| format!("is no usable JSON Schema: {}", located(&problem)))?;
        Ok(Schema { text: compact(text).into(), validator: Arc::new(validator) })
    }

    /// The schema as it was written, without white space between its tokens: the
    /// order of its properties matters to the model, its numbers are not
    /// rounded.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn mismatch(&self, answer: &Value) -> Option<String> {
        let mut errors = self.validator.iter_errors(answer);
        let mut problem = located(&errors.next()?);
        for error in errors.by_ref().take(TOLD_MISMATCHES - 1) {
            problem.push_str("; ");
            problem.push_str(&located(&error));
        }
        if errors.next().is_some() {
            problem.push_str("; and more");
        }
        Some(problem)
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Schema").field(&self.text).finish()
    }
}

/// How many patterns a schema has, and rather too many than too few.
fn patterns(schema: &Value) -> usize {
    match schema {
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| match (key.as_str(), value) {
                ("pattern", Value::String(_)) => 1,
                ("patternProperties", Value::Object(kinds)) => kinds.len() + patterns(value),
                _ => patterns(value),
            })
            .sum(),
        Value::Array(items) => items.iter().map(patterns).sum(),
        _ => 0,
    }
}

/// Where and what, without the value itself: it may be the whole answer.
fn located(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().as_str();
    let what = error.masked().to_string();
    let what = shorten(&what, MISMATCH_BYTES);
    if path.is_empty() {
        what.into_owned()
    } else {
        format!("at {}: {what}", shorten(path, MISMATCH_BYTES))
    }
}

/// Valid JSON text without the white space between its tokens.
fn compact(text: &str) -> String {
    let mut compact = String::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    for character in text.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        compact.push(character);
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(schema: &str) -> OutputFormat {
        let schema = Schema::parse(schema).expect("a schema");
        OutputFormat::Json { schema: Some(schema) }
    }

    #[test]
    fn text_is_whatever_the_model_writes() {
        assert_eq!(OutputFormat::Text.check("{not json"), Ok(()));
    }

    #[test]
    fn an_answer_that_is_not_json_is_refused_with_the_place() {
        let format = OutputFormat::Json { schema: None };
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for (answer, problem) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{\"a\":1", "EOF while parsing an object at line 1 column 6"),
            ("```json\n{}\n```", "expected value at line 1 column 1"),
            ("{} and more", "trailing characters at line 1 column 4"),
            ("NaN", "expected value at line 1 column 1"),
            (deep.as_str(), "recursion limit exceeded at line 1 column 128"),
        ] {
            let Err(Error::OutputNotJson { problem: told, .. }) = format.check(answer) else {
                panic!("{answer:.20} was taken for JSON");
            };
            assert_eq!(told, problem);
        }
    }

    #[test]
    fn json_of_any_kind_is_json() {
        let format = OutputFormat::Json { schema: None };
        for answer in [
            "{}",
            " [1] \n",
            "\"text\"",
            "null",
            "123456789012345678901234567890",
            "0.1000000000000000055511151231257827",
        ] {
            assert_eq!(format.check(answer), Ok(()), "{answer}");
        }
    }

    #[test]
    fn a_mismatch_tells_where_and_what_but_not_the_answer() {
        let format = json(
            r#"{"type":"object","properties":{"price":{"type":"number"},"name":{"type":"string"}},
                "required":["price","name"],"additionalProperties":false}"#,
        );
        let secret = "s3cret".repeat(100);
        let answer = format!(r#"{{"price":"{secret}"}}"#);
        let Err(Error::OutputSchemaMismatch { problem, text }) = format.check(&answer) else {
            panic!("the answer was taken");
        };
        assert_eq!(
            problem,
            "\"name\" is a required property; at /price: value is not of type \"number\""
        );
        assert_eq!(text, answer);
        assert_eq!(format.check(r#"{"price":1,"name":"x"}"#), Ok(()));
    }

    #[test]
    fn many_mismatches_make_a_short_message() {
        let format = json(r#"{"items":{"type":"string"}}"#);
        let Err(error) = format.check("[1,2,3,4,5]") else {
            panic!("the answer was taken");
        };
        let Error::OutputSchemaMismatch { problem, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(problem.matches("is not of type").count(), 3);
        assert!(problem.ends_with("; and more"), "{problem}");
    }

    #[test]
    fn an_integer_beyond_64_bits_is_still_an_integer() {
        let format = json(r#"{"type":"integer"}"#);
        assert_eq!(format.check("123456789012345678901234567890"), Ok(()));
        assert!(format.check("1.5").is_err());
    }

    #[test]
    fn what_is_no_schema_is_refused_with_the_reason() {
        for (text, problem) in [
            ("{", "is no JSON: EOF"),
            ("true", "must be a JSON object"),
            (r#"{"type":"strnig"}"#, "is no usable JSON Schema: at /type"),
            (r#"{"$ref":"https://example.com/schema.json"}"#, "is no usable JSON Schema"),
            (r#"{"$ref":"file:///etc/passwd"}"#, "is no usable JSON Schema"),
            (r#"{"pattern":"(?=look)ahead"}"#, "is no usable JSON Schema: at /pattern"),
            (r#"{"pattern":"((a{999}){999}){999}"}"#, "is no usable JSON Schema: at /pattern"),
        ] {
            let told = Schema::parse(text).expect_err(text);
            assert!(told.starts_with(problem), "{text}: {told}");
            assert!(told.len() < 400, "{told}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        for schema in [
            r##"{"$ref":"#"}"##,
            r##"{"allOf":[{"$ref":"#"}]}"##,
            r##"{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"}"##,
            r##"{"$ref":"#","properties":{"a":{"$ref":"#"}}}"##,
        ] {
            if let Ok(schema) = Schema::parse(schema) {
                let format = OutputFormat::Json { schema: Some(schema) };
                let _ = format.check(r#"{"a":{"a":{}}}"#);
            }
        }
    }

    #[test]
    fn the_text_of_a_schema_keeps_order_and_numbers_and_loses_white_space() {
        let schema = Schema::parse(
            "{ \"z\" : 1.50,\n\t\"a b\" : \" \\\" \\\\\" ,\"maximum\":18446744073709551616 }",
        )
        .expect("a schema");
        assert_eq!(schema.text(), r#"{"z":1.50,"a b":" \" \\","maximum":18446744073709551616}"#);
    }
}
