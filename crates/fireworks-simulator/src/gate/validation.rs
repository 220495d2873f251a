//! The strict validation of a request: unknown fields, types, ranges and fields
//! that exclude each other. It runs after the key and the model have been
//! accepted.

use serde_json::{Map, Value};

use crate::{
    endpoint::Endpoint,
    fields::{self, Field, Shape},
    model::Model,
    options::Options,
    refusal::Refusal,
};

/// Refuses what the real service refuses, with all problems at once.
pub(crate) fn check(
    endpoint: Endpoint,
    body: &Map<String, Value>,
    model: &Model,
    options: &Options,
) -> Result<(), Refusal> {
    let known: Vec<&Field> = fields::of(endpoint).collect();
    let mut problems = Vec::new();
    members("", body, &known, &mut problems);
    // The following checks read the fields, so they must be valid.
    if problems.is_empty() {
        problems.extend(exclusions(body).err());
        problems.extend(purpose(endpoint, model).err());
        problems.extend(abilities(body, model).err());
        problems.extend(chosen_tool(body).err());
        let messages = body.get("messages").and_then(Value::as_array);
        if messages.is_some_and(Vec::is_empty) {
            problems.push(
                "List should have at least 1 item after validation, not 0, field: 'messages', \
                 value: []"
                    .to_owned(),
            );
        }
    }
    match problems.as_slice() {
        [] => unstreamed_cap(body, options),
        [problem] => Err(Refusal::invalid(problem.clone())),
        problems => Err(Refusal::invalid(format!(
            "{} request validation errors: {}",
            problems.len(),
            problems.join("; ")
        ))),
    }
}

type Problem = String;

fn members(path: &str, object: &Map<String, Value>, known: &[&Field], problems: &mut Vec<Problem>) {
    let inside = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    for (name, value) in object {
        match known.iter().find(|field| field.name == name) {
            None => problems.push(problem("Extra inputs are not permitted", &inside(name), value)),
            Some(field) if !value.is_null() => shape(&inside(name), value, &field.shape, problems),
            Some(_) => {}
        }
    }
    let required = known.iter().filter(|field| field.required);
    let missing = required.filter(|field| object.get(field.name).is_none_or(Value::is_null));
    problems
        .extend(missing.map(|field| format!("Field required, field: '{}'", inside(field.name))));
}

fn shape(path: &str, value: &Value, expected: &Shape, problems: &mut Vec<Problem>) {
    if !fits(value, expected) {
        problems.push(problem(expected.demand(), path, value));
        return;
    }
    match (expected, value) {
        (Shape::Integer(least, most), _) => {
            let is_within = value.as_i64().is_none_or(|number| (*least..=*most).contains(&number));
            problems.extend(within(path, value, is_within).err());
        }
        (Shape::Number(least, most), _) => {
            let is_within = value.as_f64().is_none_or(|number| (*least..=*most).contains(&number));
            problems.extend(within(path, value, is_within).err());
        }
        (Shape::Word(words), Value::String(word)) if !words.contains(&word.as_str()) => {
            problems.push(problem(&format!("Input should be one of {words:?}"), path, value));
        }
        (Shape::Object(fields), Value::Object(object)) => {
            members(path, object, &fields.iter().collect::<Vec<_>>(), problems);
        }
        (Shape::Tagged(tag, variants), Value::Object(object)) => {
            tagged(path, tag, variants, object, problems);
        }
        (Shape::List(item), Value::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                shape(&format!("{path}[{index}]"), value, item, problems);
            }
        }
        (Shape::Map(item), Value::Object(object)) => {
            for (name, value) in object {
                shape(&format!("{path}.{name}"), value, item, problems);
            }
        }
        (Shape::Either(shapes), _) => {
            if let Some(expected) = shapes.iter().find(|shape| fits(value, shape)) {
                shape(path, value, expected, problems);
            }
        }
        _ => {}
    }
}

fn tagged(
    path: &str,
    tag: &str,
    variants: &[(&'static str, &'static [Field])],
    object: &Map<String, Value>,
    problems: &mut Vec<Problem>,
) {
    let named = object.get(tag).and_then(Value::as_str);
    match variants.iter().find(|(name, _)| Some(*name) == named) {
        Some((_, fields)) => members(path, object, &fields.iter().collect::<Vec<_>>(), problems),
        None => problems.push(problem(
            &format!("Input should be one of {:?}", names(variants)),
            &format!("{path}.{tag}"),
            object.get(tag).unwrap_or(&Value::Null),
        )),
    }
}

fn names(variants: &[(&'static str, &[Field])]) -> Vec<&'static str> {
    variants.iter().map(|(name, _)| *name).collect()
}

/// Returns true if the JSON type is right.
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

/// Refuses fields that exclude each other.
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

/// Refuses to generate with a model of embeddings, and the reverse.
fn purpose(endpoint: Endpoint, model: &Model) -> Result<(), Problem> {
    match (endpoint, model.dimensions) {
        (Endpoint::Embeddings, None) => {
            Err(format!("Model {} does not support embeddings", model.name))
        }
        (Endpoint::ChatCompletions | Endpoint::Completions, Some(_)) => {
            Err(format!("Model {} supports embeddings only", model.name))
        }
        _ => Ok(()),
    }
}

/// Refuses requests for abilities that the model lacks.
fn abilities(body: &Map<String, Value>, model: &Model) -> Result<(), Problem> {
    if !model.supports_tools && given(body, "tools").or(given(body, "functions")).is_some() {
        return Err(format!("Model {} does not support tools", model.name));
    }
    if !model.supports_images && has_images(body) {
        return Err(format!("Model {} does not support image inputs", model.name));
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
    // The service reads `true` as medium and `false` as none before it compares
    // with the model's efforts.
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

/// Refuses a tool choice that names a missing tool.
fn chosen_tool(body: &Map<String, Value>) -> Result<(), Problem> {
    let name_in = |value: &Value| {
        let function = value.get("function").unwrap_or(value);
        function.get("name").and_then(Value::as_str).map(str::to_owned)
    };
    let chosen = given(body, "tool_choice").or(given(body, "function_call"));
    let Some(chosen) = chosen.and_then(name_in) else {
        return Ok(());
    };
    let tools = given(body, "tools").or(given(body, "functions")).and_then(Value::as_array);
    if tools.into_iter().flatten().filter_map(name_in).any(|name| name == chosen) {
        return Ok(());
    }
    Err(format!(
        "tool_choice names a function that is not in tools, field: 'tool_choice', value: {chosen:?}"
    ))
}

/// Returns true if a message has an image.
fn has_images(body: &Map<String, Value>) -> bool {
    let messages = body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let parts = messages.filter_map(|message| message.get("content")?.as_array()).flatten();
    let mut kinds = parts.filter_map(|part| part.get("type")?.as_str());
    kinds.any(|kind| kind == "image_url") || given(body, "images").is_some()
}

/// Refuses a long answer that is not streamed.
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
