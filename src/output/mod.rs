//! The requested form of an answer, and the check that an answer has it.
//!
//! Checks, never repairs: an answer that is not the requested JSON is refused,
//! a valid one stays as the model wrote it. Nothing is fetched: a schema that
//! refers to another document is refused. `grpc` builds an [`OutputFormat`],
//! nodes ask the provider for it, and `execution` checks the answer.

mod graph;
mod pattern;
mod steps;

use std::{fmt, sync::Arc};

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use self::graph::Graph;
use crate::error::{Error, shorten};

/// Maximum mismatches in one message.
const MAX_MISMATCHES: usize = 3;
/// Maximum bytes of one mismatch's description.
const MISMATCH_BYTES: usize = 200;
/// Maximum bytes of a schema. Real ones have a few thousand; the work a schema
/// can cause grows with its size.
const SCHEMA_BYTES: usize = 64 * 1024;
/// Maximum memory of a schema's compilation: a base, and a multiple of its size.
/// About 400 properties with a type and a description.
const COMPILED_BYTES: u64 = 816 << 10;
const COMPILED_TIMES: u64 = 4;
/// Memory that one state of a pattern takes during compilation.
const BYTES_PER_STATE: u64 = 176;
/// Maximum patterns of a schema, and the memory that one of them, and all
/// together, may compile to; they may take as much again while they run.
const MOST_PATTERNS: usize = 128;
const PATTERN_BYTES: usize = 1 << 20;
const ALL_PATTERNS_BYTES: usize = 4 << 20;
/// Maximum steps of a check that also collects the mismatches' locations: each
/// branch that does not match takes memory.
const STEPS_EXPLAINED: u64 = 50_000;

/// The form of an answer.
#[derive(Debug, Clone, Default)]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// JSON.
    Json {
        /// The schema it must also satisfy.
        schema: Option<Schema>,
    },
}

/// The result of the check of an answer that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It has the form.
    Met,
    /// It is JSON, but validating it would have taken too long. It is paid for, so
    /// its caller receives it, marked.
    Unchecked,
}

impl OutputFormat {
    /// Returns true if JSON is requested.
    pub fn is_json(&self) -> bool {
        matches!(self, OutputFormat::Json { .. })
    }

    /// Checks that an answer has the requested form. Blocking but bounded: a
    /// check that would take too long does not begin.
    ///
    /// Numbers that do not fit 64 bits are checked as `f64`; a number beyond
    /// that, or nesting beyond 127 levels, counts as invalid JSON.
    ///
    /// # Errors
    /// [`Error::OutputNotJson`] or [`Error::OutputSchemaMismatch`].
    pub fn check(&self, text: &str) -> Result<Verdict, Error> {
        let OutputFormat::Json { schema } = self else {
            return Ok(Verdict::Met);
        };
        let parsed = serde_json::from_str(json_of(text));
        let answer: Value = parsed.map_err(|problem| Error::OutputNotJson {
            problem: problem.to_string(),
            text: shorten(text, Error::MAX_TEXT_BYTES).into_owned(),
        })?;
        let verdict = schema.as_ref().map_or(Ok(Verdict::Met), |schema| schema.check(&answer));
        verdict.map_err(|problem| Error::OutputSchemaMismatch {
            problem,
            text: shorten(text, Error::MAX_TEXT_BYTES).into_owned(),
        })
    }
}

/// Returns the JSON of an answer: all of it, or the contents of its fenced
/// block if there is nothing beside it.
pub(crate) fn json_of(answer: &str) -> &str {
    let inside = || {
        let block = answer.trim().strip_prefix("```")?.strip_suffix("```")?;
        let (language, inside) = block.split_once('\n')?;
        matches!(language.trim(), "" | "json" | "JSON").then_some(inside.trim())
    };
    inside().unwrap_or(answer)
}

/// A JSON Schema: 2020-12, unless its `$schema` names another draft.
#[derive(Clone)]
pub struct Schema {
    text: Arc<str>,
    validator: Arc<Validator>,
    graph: Arc<Graph>,
}

impl Schema {
    /// Compiles a schema, or returns the reason it is invalid, as a sentence
    /// without its subject. Blocks for milliseconds: not for the runtime's
    /// threads.
    pub fn parse(text: &str) -> Result<Schema, String> {
        if text.len() > SCHEMA_BYTES {
            return Err(format!("has {} bytes; at most {SCHEMA_BYTES}", text.len()));
        }
        let most = COMPILED_BYTES + COMPILED_TIMES * text.len() as u64;
        let bytes = compiled_bytes(text);
        if bytes > most {
            return Err(format!(
                "would take {bytes} bytes of memory to compile, and has {most}: it has too many \
                 subschemas and values; leave some out"
            ));
        }
        let value: Value =
            serde_json::from_str(text).map_err(|problem| format!("is not JSON: {problem}"))?;
        if !value.is_object() {
            return Err("must be a JSON object that is a JSON Schema".to_owned());
        }
        let graph = Graph::read(&value)?;
        if graph.patterns > MOST_PATTERNS {
            return Err(format!("has {} patterns; at most {MOST_PATTERNS}", graph.patterns));
        }
        let of_patterns = graph.pattern_states.saturating_mul(BYTES_PER_STATE);
        if bytes.saturating_add(of_patterns) > most {
            return Err(format!(
                "has patterns that would take {of_patterns} bytes of memory to compile: they are \
                 too large, or repeat too much"
            ));
        }
        let pattern_bytes = (ALL_PATTERNS_BYTES / graph.patterns.max(1)).min(PATTERN_BYTES);
        let patterns = PatternOptions::regex();
        let validator = jsonschema::options()
            // A linear-time engine: the pattern is the caller's and the text
            // the model's, and neither may cause a worker to backtrack.
            .with_pattern_options(patterns.size_limit(pattern_bytes).dfa_size_limit(pattern_bytes))
            .build(&value)
            .map_err(|problem| format!("is not a usable JSON Schema: {}", located(&problem)))?;
        let (validator, graph) = (Arc::new(validator), Arc::new(graph));
        Ok(Schema { text: compact(text).into(), validator, graph })
    }

    /// Returns the schema as it was written, without white space between its
    /// tokens: the order of its properties matters to the model, and its
    /// numbers are not rounded.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Compares an answer with the schema, or says where it differs.
    fn check(&self, answer: &Value) -> Result<Verdict, String> {
        match steps::count(&self.graph, answer) {
            None => Ok(Verdict::Unchecked),
            Some(steps) if steps > STEPS_EXPLAINED => {
                let is_valid = self.validator.is_valid(answer);
                is_valid.then_some(Verdict::Met).ok_or("it is too large to say where".to_owned())
            }
            Some(_) => self.mismatch(answer).map_or(Ok(Verdict::Met), Err),
        }
    }

    fn mismatch(&self, answer: &Value) -> Option<String> {
        let mut errors = self.validator.iter_errors(answer);
        let mut problem = located(&errors.next()?);
        for error in errors.by_ref().take(MAX_MISMATCHES - 1) {
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

/// Returns location and problem, without the value itself: it may be the whole answer.
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

/// Returns valid JSON text without the white space between its tokens.
fn compact(text: &str) -> String {
    let kept =
        |&(character, in_string): &(char, bool)| in_string || !character.is_ascii_whitespace();
    characters(text).filter(kept).map(|(character, _)| character).collect()
}

/// Estimates from above, by its tokens, the memory that a schema takes while it is
/// compiled; `tests/memory.rs` measures it.
fn compiled_bytes(text: &str) -> u64 {
    let of_token = |(character, in_string)| match character {
        _ if in_string => 0,
        '{' => 1000,
        ',' => 400,
        '[' | ':' => 200,
        _ => 0,
    };
    characters(text).map(of_token).sum()
}

/// Returns the characters of JSON text, each with true if it is within a string.
fn characters(text: &str) -> impl Iterator<Item = (char, bool)> {
    let (mut in_string, mut escaped) = (false, false);
    text.chars().map(move |character| {
        let is_within = in_string;
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else {
            in_string = character == '"';
        }
        (character, is_within)
    })
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
        assert_eq!(OutputFormat::Text.check("{not json"), Ok(Verdict::Met));
    }

    #[test]
    fn an_answer_that_is_not_json_is_refused_with_the_place() {
        let format = OutputFormat::Json { schema: None };
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for (answer, problem) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{\"a\":1", "EOF while parsing an object at line 1 column 6"),
            ("So: ```json\n{}\n```", "expected value at line 1 column 1"),
            ("```python\n{}\n```", "expected value at line 1 column 1"),
            ("{} and more", "trailing characters at line 1 column 4"),
            ("NaN", "expected value at line 1 column 1"),
            (deep.as_str(), "recursion limit exceeded at line 1 column 128"),
        ] {
            let Err(Error::OutputNotJson { problem: reported, .. }) = format.check(answer) else {
                panic!("{answer:.20} was taken for JSON");
            };
            assert_eq!(reported, problem);
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
            assert_eq!(format.check(answer), Ok(Verdict::Met), "{answer}");
        }
    }

    #[test]
    fn a_mismatch_names_its_place_but_not_the_answer() {
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
        assert_eq!(format.check(r#"{"price":1,"name":"x"}"#), Ok(Verdict::Met));
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
        assert_eq!(format.check("123456789012345678901234567890"), Ok(Verdict::Met));
        assert!(format.check("1.5").is_err());
    }

    #[test]
    fn what_is_no_schema_is_refused_with_the_reason() {
        for (text, problem) in [
            ("{", "is not JSON: EOF"),
            ("true", "must be a JSON object"),
            (r#"{"type":"strnig"}"#, "is not a usable JSON Schema: at /type"),
            (r#"{"$ref":"https://example.com/schema.json"}"#, "at #: $ref"),
            (r#"{"$ref":"file:///etc/passwd"}"#, "at #: $ref"),
            (r#"{"pattern":"(?=look)ahead"}"#, "at #/pattern: the pattern has look-around"),
            (r##"{"$ref":"#/$defs/none"}"##, "at #: $ref"),
            (r#"{"pattern":"((a{999}){999}){999}"}"#, "has patterns that would take"),
        ] {
            let reported = Schema::parse(text).expect_err(text);
            assert!(reported.starts_with(problem), "{text}: {reported}");
            assert!(reported.len() < 400, "{reported}");
        }
    }

    #[test]
    fn a_schema_that_is_much_for_its_bytes_is_refused() {
        let of = |count: usize, property: &str| {
            let properties: Vec<_> =
                (0..count).map(|index| format!("\"property_{index}\":{property}")).collect();
            Schema::parse(&format!("{{\"properties\":{{{}}}}}", properties.join(",")))
        };
        let described = r#"{"type":"string","description":"What it is about, in a few words."}"#;
        of(400, described).expect("what people write");
        let problem = of(2000, "{}").expect_err("many for their bytes");
        assert!(problem.contains("too many subschemas"), "{problem}");
    }

    #[test]
    fn a_fenced_block_by_itself_is_unwrapped() {
        let format = OutputFormat::Json { schema: None };
        for answer in ["```json\n{}\n```", " ```\n[1]\n``` ", "```JSON\r\n{\"a\":\"```\"}\r\n```"] {
            assert_eq!(format.check(answer), Ok(Verdict::Met), "{answer}");
        }
        assert_eq!(json_of("```json\n{\"a\": 1}\n```"), "{\"a\": 1}");
        assert_eq!(json_of(" {} "), " {} ");
    }

    /// Builds a chain of definitions, each of which refers `times` times to the next.
    fn chain(length: usize, keyword: &str, times: usize) -> String {
        let mut definitions = serde_json::Map::new();
        for index in 0..length {
            let next = serde_json::json!({"$ref": format!("#/$defs/a{}", index + 1)});
            definitions
                .insert(format!("a{index}"), serde_json::json!({keyword: vec![next; times]}));
        }
        definitions.insert(format!("a{length}"), serde_json::json!({"type": "string"}));
        let schema = serde_json::json!({
            "$ref": "#/$defs/a0", "unevaluatedProperties": false, "$defs": definitions,
        });
        schema.to_string()
    }

    #[test]
    fn a_schema_that_branches_too_much_is_refused_by_name() {
        let itself = "refers to itself without going into the answer";
        for (schema, problem) in [
            (chain(60, "allOf", 2), "branches too much"),
            (chain(20, "oneOf", 2), "branches too much"),
            (chain(6, "anyOf", 8), "branches too much"),
            (chain(200, "allOf", 1), "branches too much"),
            (r##"{"$ref":"#"}"##.to_owned(), itself),
            (r##"{"allOf":[{"$ref":"#"}]}"##.to_owned(), itself),
            (r##"{"if":{"not":{"$dynamicRef":"#a"}},"$dynamicAnchor":"a"}"##.to_owned(), itself),
            (r##"{"dependentSchemas":{"a":{"$ref":"#"}}}"##.to_owned(), itself),
        ] {
            let reported = Schema::parse(&schema).expect_err(&schema);
            assert!(
                reported.contains(problem) && reported.contains('#'),
                "{schema:.80}: {reported}"
            );
        }
        let resources =
            (0..5).map(|index| (index.to_string(), serde_json::json!({"$id": index.to_string()})));
        let definitions: serde_json::Map<String, Value> = resources.collect();
        let schema = serde_json::json!({"$defs": definitions}).to_string();
        assert!(Schema::parse(&schema).expect_err("resources").contains("$id"));
    }

    #[test]
    fn what_people_write_is_taken() {
        for schema in [
            r##"{"$ref":"#/$defs/n","$defs":{"n":{"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#/$defs/n"}}},"unevaluatedProperties":false}}}"##,
            r##"{"$id":"https://x.com/root.json","properties":{"a":{"$ref":"root.json#/$defs/A%20b"}},"$defs":{"A b":{"$anchor":"here"},"c":{"$ref":"#here"}}}"##,
            r#"{"anyOf":[{"type":"null"},{"type":"string","pattern":"^[\\w.-]{1,64}@[\\w.-]{1,255}$"}]}"#,
            r##"{"$schema":"http://json-schema.org/draft-07/schema#","definitions":{"a":{"format":"date-time"}},"items":[{"$ref":"#/definitions/a"}]}"##,
        ] {
            if let Err(problem) = Schema::parse(schema) {
                panic!("{schema}: {problem}");
            }
        }
    }

    /// Branches twice at every level, and differs only at the bottom.
    #[test]
    fn a_check_that_would_take_long_does_not_begin() {
        for (keyword, items) in [
            (
                "anyOf",
                r##"[{"items":{"$ref":"#"},"minItems":0},{"items":{"$ref":"#"},"maxItems":9}]"##,
            ),
            ("oneOf", r##"[{"items":{"$ref":"#"}},{"prefixItems":[{"$ref":"#"}]}]"##),
            ("allOf", r##"[{"contains":{"$ref":"#"}},{"not":{"items":{"$ref":"#"}}}]"##),
        ] {
            let format = json(&format!(r#"{{"{keyword}":{items}}}"#));
            let answer = "[".repeat(60) + "1" + &"]".repeat(60);
            let began = std::time::Instant::now();
            assert_eq!(format.check(&answer), Ok(Verdict::Unchecked), "{keyword}");
            assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
            let _checked = format.check("[[[]]]");
        }
    }

    #[test]
    fn the_text_of_a_schema_loses_nothing_but_white_space() {
        let schema = Schema::parse(
            "{ \"z\" : 1.50,\n\t\"a b\" : \" \\\" \\\\\" ,\"maximum\":18446744073709551616 }",
        )
        .expect("a schema");
        assert_eq!(schema.text(), r#"{"z":1.50,"a b":" \" \\","maximum":18446744073709551616}"#);
    }
}
