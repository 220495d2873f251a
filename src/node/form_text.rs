//! Reads the values that visual flows store: text that stands for a number, a
//! boolean or JSON, and empty values that stand for nothing.
//!
//! Only for the fields of a form; inside their values, types are as in JSON.

use serde_json::Value;

use super::{
    problems::{Path, Problems, Reported},
    shape::{Shape, number},
};

impl Shape {
    /// Reads a form's value; `None` if it is empty.
    pub(super) fn read_form(
        &self,
        value: Value,
        path: Path<'_>,
        problems: &mut Problems,
    ) -> Result<Option<Value>, Reported> {
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

    /// Returns true if text stands only for itself.
    fn is_text(&self) -> bool {
        matches!(self, Shape::Text { .. } | Shape::Keyword(_) | Shape::Switch)
    }

    /// Returns true if form text is empty. White space counts as text where
    /// free text is accepted: it may be a stop sequence.
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

    /// Returns the value that form text stands for, or the reason it has none.
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

/// Parses a finite number: `NaN` and `inf` are numbers to Rust, but to no provider.
fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Parses JSON; `serde_json` keeps the order of keys and limits the depth.
fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|problem| format!("is not JSON: {problem}"))
}
