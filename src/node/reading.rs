//! Reads one value against its [`Shape`]: validates it, normalises it, and
//! reports every problem.
//!
//! Fields are handled by `form`, and text that stands for another value by
//! `form_text`. Recursion follows the shape, and for [`Shape::AnyObject`] the
//! value, whose depth is limited here.

use serde_json::{Map, Value};

use super::{
    problems::{Path, Problems, Reported, did_you_mean},
    shape::{MAX_INTEGER, Member, Shape, TextRule, number},
};

/// Maximum depth of an object whose shape is the caller's.
const DEEPEST: usize = 100;

impl Shape {
    /// Reads a value of its JSON type.
    pub(super) fn read(
        &self,
        value: Value,
        path: Path<'_>,
        problems: &mut Problems,
    ) -> Result<Value, Reported> {
        let read = match (self, value) {
            (Shape::Text { most_bytes, rule }, Value::String(text)) => {
                read_text(text, *most_bytes, *rule)
            }
            (Shape::Keyword(words), Value::String(text)) if words.contains(&text.as_str()) => {
                Ok(Value::String(text))
            }
            (Shape::Number { minimum, maximum }, Value::Number(given)) => {
                let given = given.as_f64().unwrap_or(f64::NAN);
                if *minimum <= given && given <= *maximum {
                    Ok(number(given))
                } else {
                    Err(format!("must be {}, not {given}", self.words()))
                }
            }
            (Shape::Integer { minimum, maximum }, Value::Number(given)) => match whole(&given) {
                Some(whole) if (*minimum..=*maximum).contains(&whole) => Ok(Value::from(whole)),
                _ => Err(format!("must be {}, not {given}", self.words())),
            },
            (Shape::Boolean, Value::Bool(given)) => Ok(Value::Bool(given)),
            (Shape::Switch, value) => {
                read_switch(&value).map(Value::Bool).ok_or_else(|| self.refusal(&value))
            }
            (Shape::List { of, most }, Value::Array(items)) => {
                return read_list(of, *most, items, path, problems);
            }
            (Shape::Map { key, value }, Value::Object(members)) => {
                return read_map(key, value, members, path, problems);
            }
            (Shape::Object(known), Value::Object(members)) => {
                return read_object(known, members, path, problems);
            }
            (Shape::AnyObject, mut value @ Value::Object(_)) => match tidy(&mut value, DEEPEST) {
                true => Ok(value),
                false => Err(format!("is nested more than {DEEPEST} levels deep")),
            },
            (Shape::OneOf { shapes, .. }, value) => {
                match shapes.iter().find(|shape| shape.is_for(&value)) {
                    Some(shape) => return shape.read(value, path, problems),
                    None => Err(self.refusal(&value)),
                }
            }
            (_, value) => Err(self.refusal(&value)),
        };
        read.map_err(|description| problems.report(path, description))
    }

    pub(super) fn refusal(&self, value: &Value) -> String {
        let given = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(given) => given.to_string(),
            Value::Number(given) => given.to_string(),
            // Never quoted: it may be a key in the wrong field.
            Value::String(_) if matches!(self, Shape::Keyword(_)) => "this word".to_owned(),
            Value::String(_) => "this text".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
        };
        format!("must be {}, not {given}", self.words())
    }

    /// Returns true if the value has a JSON type of this shape.
    fn is_for(&self, value: &Value) -> bool {
        match self {
            Shape::Text { .. } | Shape::Keyword(_) => value.is_string(),
            Shape::Number { .. } | Shape::Integer { .. } => value.is_number(),
            Shape::Boolean => value.is_boolean(),
            Shape::Switch => true,
            Shape::List { .. } => value.is_array(),
            Shape::Map { .. } | Shape::Object(_) | Shape::AnyObject => value.is_object(),
            Shape::OneOf { shapes, .. } => shapes.iter().any(|shape| shape.is_for(value)),
        }
    }
}

fn read_text(
    text: String,
    most_bytes: usize,
    rule: Option<&'static TextRule>,
) -> Result<Value, String> {
    if text.len() > most_bytes {
        return Err(format!("must be at most {most_bytes} bytes long"));
    }
    match rule {
        Some(rule) if !(rule.accepts)(&text) => Err(format!("must be {}", rule.words)),
        _ => Ok(Value::String(text)),
    }
}

fn read_switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(given) => Some(*given),
        Value::String(text) => {
            let text = text.trim();
            Some(!text.is_empty() && !text.eq_ignore_ascii_case("false"))
        }
        Value::Object(members) => Some(!members.is_empty()),
        Value::Null | Value::Number(_) | Value::Array(_) => None,
    }
}

fn read_list(
    of: &Shape,
    most: usize,
    items: Vec<Value>,
    path: Path<'_>,
    problems: &mut Problems,
) -> Result<Value, Reported> {
    if items.len() > most {
        let count = items.len();
        let description = format!("must be at most {most} items, not {count}");
        return Err(problems.report(path, description));
    }
    let count = items.len();
    let mut read = Vec::with_capacity(count);
    for (index, item) in items.into_iter().enumerate() {
        read.extend(of.read(item, path.item(index), problems));
    }
    match read.len() == count {
        true => Ok(Value::Array(read)),
        false => Err(Reported),
    }
}

/// Reads an object with arbitrary keys. Sorts the keys by length, then by
/// bytes: numerically, if they are numbers.
fn read_map(
    key: &TextRule,
    value: &Shape,
    members: Map<String, Value>,
    path: Path<'_>,
    problems: &mut Problems,
) -> Result<Value, Reported> {
    let mut members: Vec<(String, Value)> =
        members.into_iter().filter(|(_, member)| !member.is_null()).collect();
    members.sort_by(|(one, _), (other, _)| {
        (one.len(), one.as_str()).cmp(&(other.len(), other.as_str()))
    });
    let count = members.len();
    let mut read = Map::with_capacity(count);
    for (name, member) in members {
        if !(key.accepts)(&name) {
            let description = format!("is not allowed: its key must be {}", key.words);
            problems.add(path.member(&name), description);
            continue;
        }
        if let Ok(member) = value.read(member, path.member(&name), problems) {
            read.insert(name, member);
        }
    }
    match read.len() == count {
        true => Ok(Value::Object(read)),
        false => Err(Reported),
    }
}

fn read_object(
    known: &'static [Member],
    mut members: Map<String, Value>,
    path: Path<'_>,
    problems: &mut Problems,
) -> Result<Value, Reported> {
    let mut read = Map::with_capacity(members.len());
    let mut outcome = Ok(());
    for member in known {
        let value = members.remove(member.name).unwrap_or(Value::Null);
        let path = path.member(member.name);
        if !value.is_null() {
            match member.shape.read(value, path, problems) {
                Ok(value) => drop(read.insert(member.name.to_owned(), value)),
                Err(reported) => outcome = Err(reported),
            }
        } else if member.required {
            outcome = Err(problems.report(path, "is required".to_owned()));
        }
    }
    for (name, value) in &members {
        if !value.is_null() {
            outcome = Err(refuse_member(known, path.member(name), name, problems));
        }
    }
    outcome.map(|()| Value::Object(read))
}

fn refuse_member(
    known: &[Member],
    path: Path<'_>,
    name: &str,
    problems: &mut Problems,
) -> Reported {
    // Finding a similar name costs more than the rest of the reading.
    let hint = match problems.is_full() {
        true => String::new(),
        false => did_you_mean(name, known.iter().map(|member| member.name)),
    };
    problems.report(path, format!("is not known here{hint}"))
}

/// Returns the integer that a JSON number stands for, if it is exact.
fn whole(given: &serde_json::Number) -> Option<i64> {
    let whole = given.as_i64().or_else(|| {
        let given = given.as_f64()?;
        (given.fract() == 0.0 && given.abs() <= MAX_INTEGER as f64).then_some(given as i64)
    })?;
    (whole.unsigned_abs() <= MAX_INTEGER.unsigned_abs()).then_some(whole)
}

/// Normalises numbers that arrived as protobuf doubles. Returns false if the
/// value is too deep.
fn tidy(value: &mut Value, levels: usize) -> bool {
    match value {
        Value::Number(given) => {
            if let (true, Some(float)) = (given.is_f64(), given.as_f64()) {
                *value = number(float);
            }
            true
        }
        Value::Array(items) => levels > 0 && items.iter_mut().all(|item| tidy(item, levels - 1)),
        Value::Object(members) => {
            levels > 0 && members.values_mut().all(|member| tidy(member, levels - 1))
        }
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}
