//! Reads what visual flows store: text that stands for a number, a bool or JSON,
//! and emptiness that stands for nothing.
//!
//! Only for the fields of a form; inside their values, types are as in JSON.
//! Called by `form`.

use serde_json::Value;

use super::{
    problems::{Path, Problems, Told},
    shape::{Shape, number},
};

impl Shape {
    /// Reads what a form holds: nothing, or a value, or something wrong.
    pub(super) fn read_form(
        &self,
        value: Value,
        path: Path<'_>,
        problems: &mut Problems,
    ) -> Result<Option<Value>, Told> {
        let value = match value {
            Value::Null => return Ok(None),
            Value::String(text) if self.is_blank(&text) => return Ok(None),
            Value::String(text) if self.is_text() => Value::String(text),
            Value::String(text) => match self.interpret(&text) {
                Ok(value) => value,
                Err(description) => return Err(problems.report(path, description)),
            },
            value => value,
        };
        let value = self.read(value, path, problems)?;
        let says_nothing = match &value {
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        Ok((!says_nothing).then_some(value))
    }

    /// Whether text is what it is, and stands for nothing else.
    fn is_text(&self) -> bool {
        matches!(self, Shape::Text { .. } | Shape::Keyword(_) | Shape::Switch)
    }

    /// Whether form text says nothing. White space does say something where free
    /// text is wanted: it may be a stop sequence.
    fn is_blank(&self, text: &str) -> bool {
        let takes_text = match self {
            Shape::Text { .. } => true,
            Shape::OneOf { shapes, .. } => {
                shapes.iter().any(|shape| matches!(shape, Shape::Text { .. }))
            }
            _ => false,
        };
        text.is_empty() || (!takes_text && text.trim().is_empty())
    }

    /// What form text stands for, or why it cannot.
    fn interpret(&self, text: &str) -> Result<Value, String> {
        let trimmed = text.trim();
        let value = match self {
            Shape::Text { .. } | Shape::Keyword(_) | Shape::Switch => {
                Some(Value::String(text.to_owned()))
            }
            Shape::Number { .. } => finite(trimmed).map(number),
            Shape::Integer { .. } => match trimmed.parse::<i64>() {
                Ok(whole) => Some(Value::from(whole)),
                Err(_) => finite(trimmed).map(number),
            },
            Shape::Boolean => match trimmed {
                "true" => Some(Value::Bool(true)),
                "false" => Some(Value::Bool(false)),
                _ => None,
            },
            Shape::List { .. } if trimmed.starts_with('[') => Some(json(trimmed)?),
            Shape::Map { .. } | Shape::Object(_) | Shape::AnyObject if trimmed.starts_with('{') => {
                Some(json(trimmed)?)
            }
            Shape::List { .. } | Shape::Map { .. } | Shape::Object(_) | Shape::AnyObject => None,
            Shape::OneOf { shapes, .. } => {
                shapes.iter().find_map(|shape| shape.interpret(text).ok())
            }
        };
        value.ok_or_else(|| format!("must be {}, not this text", self.words()))
    }
}

/// `NaN` and `inf` are numbers to Rust, and to no provider.
fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Key order is kept, and depth bounded, by `serde_json`.
fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|problem| format!("is no JSON: {problem}"))
}
