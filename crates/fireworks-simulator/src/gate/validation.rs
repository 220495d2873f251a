//! The strict reading of a request: unknown fields, types, ranges, and what
//! must not go together. Called by `gate` after key and model were found good.

use serde_json::{Map, Value};

use crate::{
    answer::model::Model,
    endpoint::Endpoint,
    gate::{
        fields::{self, Field, Shape},
        refusal::Refusal,
    },
    options::Options,
};

/// Refuses what the real service refuses; the first problem found is the answer.
pub(crate) fn check(
    endpoint: Endpoint,
    body: &Map<String, Value>,
    model: &Model,
    options: &Options,
) -> Result<(), Refusal> {
    let known: Vec<&Field> = fields::of(endpoint).collect();
    members("", body, &known).map_err(Refusal::invalid)?;
    exclusions(body).map_err(Refusal::invalid)?;
    abilities(body, model).map_err(Refusal::invalid)?;
    let has_messages = body.get("messages").and_then(Value::as_array).is_none_or(|m| !m.is_empty());
    if !has_messages {
        return Err(Refusal::invalid(
            "List should have at least 1 item after validation, not 0, field: 'messages', value: []",
        ));
    }
    unstreamed_cap(body, options)
}

type Problem = String;

fn members(path: &str, object: &Map<String, Value>, known: &[&Field]) -> Result<(), Problem> {
    for (name, value) in object {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(field) = known.iter().find(|field| field.name == name) else {
            return Err(problem("Extra inputs are not permitted", &path, value));
        };
        if !value.is_null() {
            shape(&path, value, &field.shape)?;
        }
    }
    for field in known.iter().filter(|field| field.required) {
        if object.get(field.name).is_none_or(Value::is_null) {
            let path = if path.is_empty() {
                field.name.to_owned()
            } else {
                format!("{path}.{}", field.name)
            };
            return Err(format!("Field required, field: '{path}'"));
        }
    }
    Ok(())
}

fn shape(path: &str, value: &Value, expected: &Shape) -> Result<(), Problem> {
    if !fits(value, expected) {
        return Err(problem(expected.demand(), path, value));
    }
    match (expected, value) {
        (Shape::Integer(least, most), _) => within(
            path,
            value,
            value.as_i64().is_none_or(|number| (*least..=*most).contains(&number)),
        ),
        (Shape::Number(least, most), _) => within(
            path,
            value,
            value.as_f64().is_none_or(|number| (*least..=*most).contains(&number)),
        ),
        (Shape::Word(words), Value::String(word)) if !words.contains(&word.as_str()) => {
            Err(problem(&format!("Input should be one of {words:?}"), path, value))
        }
        (Shape::Object(fields), Value::Object(object)) => {
            members(path, object, &fields.iter().collect::<Vec<_>>())
        }
        (Shape::Tagged(tag, variants), Value::Object(object)) => {
            let named = object.get(*tag).and_then(Value::as_str);
            match variants.iter().find(|(name, _)| Some(*name) == named) {
                Some((_, fields)) => members(path, object, &fields.iter().collect::<Vec<_>>()),
                None => Err(problem(
                    &format!("Input should be one of {:?}", names(variants)),
                    &format!("{path}.{tag}"),
                    object.get(*tag).unwrap_or(&Value::Null),
                )),
            }
        }
        (Shape::List(item), Value::Array(values)) => values
            .iter()
            .enumerate()
            .try_for_each(|(index, value)| shape(&format!("{path}[{index}]"), value, item)),
        (Shape::Map(item), Value::Object(object)) => object
            .iter()
            .try_for_each(|(name, value)| shape(&format!("{path}.{name}"), value, item)),
        (Shape::Either(shapes), _) => match shapes.iter().find(|shape| fits(value, shape)) {
            Some(expected) => shape(path, value, expected),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn names(variants: &[(&'static str, &[Field])]) -> Vec<&'static str> {
    variants.iter().map(|(name, _)| *name).collect()
}

/// Whether the JSON type is right.
fn fits(value: &Value, shape: &Shape) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Bool => value.is_boolean(),
        Shape::Text | Shape::Word(_) => value.is_string(),
        Shape::Integer(..) => value.is_i64() || value.is_u64(),
        Shape::Number(..) => value.is_number(),
        Shape::Object(_) | Shape::Tagged(..) | Shape::Map(_) => value.is_object(),
        Shape::List(_) => value.is_array(),
        Shape::Either(shapes) => shapes.iter().any(|shape| fits(value, shape)),
    }
}

impl Shape {
    fn demand(&self) -> &'static str {
        match self {
            Shape::Any => "Input should be anything",
            Shape::Bool => "Input should be a valid boolean",
            Shape::Text | Shape::Word(_) => "Input should be a valid string",
            Shape::Integer(..) => "Input should be a valid integer",
            Shape::Number(..) => "Input should be a valid number",
            Shape::Object(_) | Shape::Tagged(..) | Shape::Map(_) => {
                "Input should be a valid dictionary"
            }
            Shape::List(_) => "Input should be a valid list",
            Shape::Either(_) => "Input should be of a valid type",
        }
    }
}

fn within(path: &str, value: &Value, within: bool) -> Result<(), Problem> {
    if within { Ok(()) } else { Err(problem("Input is out of range", path, value)) }
}

fn problem(what: &str, path: &str, value: &Value) -> Problem {
    const LONGEST: usize = 80;
    let value: String = value.to_string().chars().take(LONGEST).collect();
    format!("{what}, field: '{path}', value: {value}")
}

fn given<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.get(name).filter(|value| !value.is_null())
}

/// What must not be given together.
fn exclusions(body: &Map<String, Value>) -> Result<(), Problem> {
    for (one, other) in [
        ("max_tokens", "max_completion_tokens"),
        ("thinking", "reasoning_effort"),
        ("prediction", "speculation"),
        ("tools", "functions"),
        ("tool_choice", "function_call"),
    ] {
        if given(body, one).is_some() && given(body, other).is_some() {
            return Err(format!("Only one of '{one}' and '{other}' can be given, not both"));
        }
    }
    let format = given(body, "response_format").and_then(|format| format.get("type"));
    if format.is_some_and(|format| format == "text") && given(body, "tools").is_some() {
        return Err("response_format of type 'text' cannot be used with tools".to_owned());
    }
    let stops = given(body, "stop").and_then(Value::as_array).map_or(0, Vec::len);
    if stops > 4 {
        return Err(format!("At most 4 stop sequences are allowed, field: 'stop', value: {stops}"));
    }
    Ok(())
}

/// What this model cannot do.
fn abilities(body: &Map<String, Value>, model: &Model) -> Result<(), Problem> {
    if !model.supports_tools && given(body, "tools").or(given(body, "functions")).is_some() {
        return Err(format!("Model {} does not support tools", model.name));
    }
    let choices = given(body, "n").and_then(Value::as_u64).unwrap_or(1);
    if !model.supports_n && choices > 1 {
        return Err(format!(
            "Model {} supports only n=1, field: 'n', value: {choices}",
            model.name
        ));
    }
    let Some(effort) = given(body, "reasoning_effort") else {
        return Ok(());
    };
    // The service reads `true` as medium and `false` as none before it looks at
    // what the model takes.
    let effort = match effort {
        Value::Bool(true) => "medium".to_owned(),
        Value::Bool(false) => "none".to_owned(),
        Value::String(effort) => effort.clone(),
        other => other.to_string(),
    };
    if !model.efforts.is_empty() && !model.efforts.contains(&effort) {
        return Err(format!(
            "Input should be one of {:?}, field: 'reasoning_effort', value: {effort:?}",
            model.efforts
        ));
    }
    Ok(())
}

/// Long answers have to be streamed.
fn unstreamed_cap(body: &Map<String, Value>, options: &Options) -> Result<(), Refusal> {
    let streamed = given(body, "stream").and_then(Value::as_bool).unwrap_or(false);
    let wanted = given(body, "max_tokens").or(given(body, "max_completion_tokens"));
    let cap = options.unstreamed_max_tokens;
    if !streamed && wanted.and_then(Value::as_u64).is_some_and(|wanted| wanted > u64::from(cap)) {
        let message = format!("Requests with max_tokens > {cap} must have stream=true");
        return Err(Refusal::bad_request(&message, "max_tokens"));
    }
    Ok(())
}
