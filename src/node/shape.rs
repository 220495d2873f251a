//! The shape of a value: one description from which its validation (`reading`),
//! its JSON Schema, its type in a form and the text of a refusal follow.
//!
//! A closed set on purpose: it lists every kind of value that a field can hold.

use serde_json::{Map, Value, json};

/// The largest integer that every JSON reader and writer keeps exactly:
/// protobuf carries numbers as doubles.
pub const MAX_INTEGER: i64 = (1 << 53) - 1;

/// The shape of a value.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Text.
    Text {
        /// Maximum length, in bytes.
        most_bytes: usize,
        /// A further rule, if any.
        rule: Option<&'static TextRule>,
    },
    /// One of a few words.
    Keyword(&'static [&'static str]),
    /// A finite number between two inclusive bounds; an infinite bound is none.
    Number {
        /// The lower bound.
        minimum: f64,
        /// The upper bound.
        maximum: f64,
    },
    /// An integer between two inclusive bounds.
    Integer {
        /// The lower bound; [`-MAX_INTEGER`](MAX_INTEGER) if there is none.
        minimum: i64,
        /// The upper bound; [`MAX_INTEGER`] if there is none.
        maximum: i64,
    },
    /// True or false.
    Boolean,
    /// True or false, or, as visual flows store it, a reference to another
    /// node: true unless empty.
    Switch,
    /// A list.
    List {
        /// The shape of its items.
        of: &'static Shape,
        /// Maximum items.
        most: usize,
    },
    /// An object with arbitrary keys of one kind, in no significant order.
    Map {
        /// The rule for its keys.
        key: &'static TextRule,
        /// The shape of its values.
        value: &'static Shape,
    },
    /// An object with these members only.
    Object(&'static [Member]),
    /// Any object, with its key order kept: a JSON Schema that the model reads.
    AnyObject,
    /// One of several shapes, distinguished by their JSON type. Form text is
    /// read as the first shape that fits.
    OneOf {
        /// The type in a form.
        form: &'static str,
        /// The shapes.
        shapes: &'static [Shape],
    },
}

/// A rule for a text.
#[derive(Debug)]
pub struct TextRule {
    /// The equivalent of `accepts` as a regular expression, for the JSON
    /// Schema; empty if everything is accepted.
    pub pattern: &'static str,
    /// Returns true if a text meets the rule.
    pub accepts: fn(&str) -> bool,
    /// A description that follows the words "must be".
    pub words: &'static str,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// Its key, as the provider spells it.
    pub name: &'static str,
    /// The shape of its value.
    pub shape: Shape,
    /// True if it must be present.
    pub required: bool,
}

impl Member {
    /// Creates a required member.
    pub const fn required(name: &'static str, shape: Shape) -> Member {
        Member { name, shape, required: true }
    }

    /// Creates an optional member.
    pub const fn optional(name: &'static str, shape: Shape) -> Member {
        Member { name, shape, required: false }
    }
}

impl Shape {
    /// Any text.
    pub const TEXT: Shape = Shape::Text { most_bytes: usize::MAX, rule: None };

    /// Creates a text that meets a rule, of at most `most_bytes` bytes.
    pub const fn text(most_bytes: usize, rule: &'static TextRule) -> Shape {
        Shape::Text { most_bytes, rule: Some(rule) }
    }

    /// Returns the type in a form, as the public API names it.
    pub fn form_type(&self) -> &'static str {
        match self {
            Shape::Text { .. } => "string",
            Shape::Keyword(_) => "enum",
            Shape::Number { .. } => "number",
            Shape::Integer { .. } => "integer",
            Shape::Boolean | Shape::Switch => "boolean",
            Shape::List { of, .. } => match of {
                Shape::Text { .. } => "string[]",
                _ => "json",
            },
            Shape::Map { .. } | Shape::Object(_) | Shape::AnyObject => "json",
            Shape::OneOf { form, .. } => form,
        }
    }

    /// Returns the smallest and the largest number allowed, if bounded.
    pub fn bounds(&self) -> (Option<f64>, Option<f64>) {
        match *self {
            Shape::Number { minimum, maximum } => {
                (minimum.is_finite().then_some(minimum), maximum.is_finite().then_some(maximum))
            }
            Shape::Integer { minimum, maximum } => (
                (minimum > -MAX_INTEGER).then_some(minimum as f64),
                (maximum < MAX_INTEGER).then_some(maximum as f64),
            ),
            _ => (None, None),
        }
    }

    /// Returns the words to choose from, if any.
    pub fn options(&self) -> &'static [&'static str] {
        match self {
            Shape::Keyword(words) => words,
            _ => &[],
        }
    }

    /// Returns a description that follows the words "must be".
    pub(super) fn words(&self) -> String {
        match self {
            Shape::Text { rule: Some(rule), .. } => rule.words.to_owned(),
            Shape::Text { rule: None, .. } => "text".to_owned(),
            Shape::Keyword(words) => format!("one of {}", words.join(", ")),
            Shape::Number { .. } => format!("a number{}", self.range_words()),
            Shape::Integer { .. } => format!("a whole number{}", self.range_words()),
            Shape::Boolean => "true or false".to_owned(),
            Shape::Switch => "true, false, or a reference to a cache node".to_owned(),
            Shape::List { of, .. } => format!("a list, each item {}", of.words()),
            Shape::Map { .. } | Shape::Object(_) | Shape::AnyObject => "a JSON object".to_owned(),
            Shape::OneOf { shapes, .. } => {
                let words: Vec<String> = shapes.iter().map(Shape::words).collect();
                words.join(", or ")
            }
        }
    }

    fn range_words(&self) -> String {
        match self.bounds() {
            (Some(minimum), Some(maximum)) => format!(" between {minimum} and {maximum}"),
            (Some(minimum), None) => format!(", at least {minimum}"),
            (None, Some(maximum)) => format!(", at most {maximum}"),
            (None, None) => String::new(),
        }
    }

    /// Returns the shape as JSON Schema. Everything it allows is accepted; form
    /// text, which is accepted too, is not covered.
    pub(super) fn json_schema(&self) -> Value {
        match self {
            Shape::Text { rule: None, .. } => json!({"type": "string"}),
            Shape::Text { rule: Some(rule), most_bytes } => {
                let mut schema = json!({"type": "string", "pattern": rule.pattern});
                // A rule with a length limit allows ASCII only: bytes are characters.
                if *most_bytes < usize::MAX {
                    schema["maxLength"] = json!(most_bytes);
                }
                schema
            }
            Shape::Keyword(words) => json!({"enum": words}),
            Shape::Number { .. } => self.number_schema(),
            Shape::Integer { minimum, maximum } => {
                json!({"type": "integer", "minimum": minimum, "maximum": maximum})
            }
            Shape::Boolean => json!({"type": "boolean"}),
            Shape::Switch => json!({"type": ["boolean", "string", "object"]}),
            Shape::List { of, most } => {
                let mut schema = json!({"type": "array", "items": of.json_schema()});
                if *most < usize::MAX {
                    schema["maxItems"] = json!(most);
                }
                schema
            }
            Shape::Map { key, value } => {
                let mut schema = json!({"type": "object"});
                if !key.pattern.is_empty() {
                    schema["propertyNames"] = json!({"pattern": key.pattern});
                }
                schema["additionalProperties"] = value.json_schema();
                schema
            }
            Shape::Object(members) => object_schema(members),
            Shape::AnyObject => json!({"type": "object"}),
            Shape::OneOf { shapes, .. } => {
                let schemas: Vec<Value> = shapes.iter().map(Shape::json_schema).collect();
                json!({"anyOf": schemas})
            }
        }
    }

    fn number_schema(&self) -> Value {
        let mut schema = json!({"type": "number"});
        let (minimum, maximum) = self.bounds();
        if let Some(minimum) = minimum {
            schema["minimum"] = number(minimum);
        }
        if let Some(maximum) = maximum {
            schema["maximum"] = number(maximum);
        }
        schema
    }
}

fn object_schema(members: &[Member]) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|member| (member.name.to_owned(), member.shape.json_schema())).collect();
    let required: Vec<&str> =
        members.iter().filter(|member| member.required).map(|member| member.name).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema["additionalProperties"] = json!(false);
    schema
}

/// Writes a finite number as normalised JSON: an integer if it is whole, so
/// that 1, 1.0 and 1e0 become the same text.
pub(super) fn number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() <= MAX_INTEGER as f64 {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}
