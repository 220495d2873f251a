//! Generates an instance of a JSON Schema: the answer in JSON mode, and the
//! arguments of tool calls. Supports the same as the real service: types,
//! `properties`, `required`, `items`, `enum`, `const`, `anyOf`, `$ref`.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::answer::text;

/// Below this depth only required members are generated, and arrays stay empty.
const DEPTH: u8 = 4;

/// Returns a value that the schema accepts.
pub(crate) fn instance(schema: &Value, rng: &mut Rng) -> Value {
    Instance { root: schema, rng }.of(schema, 0)
}

struct Instance<'a> {
    root: &'a Value,
    rng: &'a mut Rng,
}

impl Instance<'_> {
    fn of(&mut self, schema: &Value, depth: u8) -> Value {
        // A reference that leads to itself without end: stop somewhere.
        if depth > 8 * DEPTH {
            return Value::Null;
        }
        if let Some(target) = self.target(schema) {
            return self.of(&target, depth + 1);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array).filter(|v| !v.is_empty())
        {
            return values[self.rng.usize(..values.len())].clone();
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema.get(key).and_then(|any| any.get(0)) {
                return self.of(first, depth + 1);
            }
        }
        self.typed(schema, depth)
    }

    fn target(&self, schema: &Value) -> Option<Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer).cloned()
    }

    fn typed(&mut self, schema: &Value, depth: u8) -> Value {
        match kind(schema) {
            Some("object") => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("integer") => json!(self.integer(schema)),
            Some("number") => match schema.get("minimum").or(schema.get("maximum")) {
                Some(bound) => bound.clone(),
                None => json!(f64::from(self.rng.u32(1..1000)) / 10.0),
            },
            Some("boolean") => json!(self.rng.bool()),
            Some("null") => Value::Null,
            Some("string") => json!(self.string(schema)),
            _ => json!(text::word(self.rng)),
        }
    }

    fn object(&mut self, schema: &Value, depth: u8) -> Value {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Value::Object(
                required
                    .iter()
                    .map(|&name| (name.to_owned(), json!(text::word(self.rng))))
                    .collect(),
            );
        };
        let mut object = Map::new();
        for (name, property) in properties {
            if depth < DEPTH || required.contains(&name.as_str()) {
                object.insert(name.clone(), self.of(property, depth + 1));
            }
        }
        Value::Object(object)
    }

    fn array(&mut self, schema: &Value, depth: u8) -> Value {
        if let Some(items) = schema.get("prefixItems").and_then(Value::as_array) {
            return items.iter().map(|item| self.of(item, depth + 1)).collect();
        }
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let length = if depth < DEPTH { least.max(2) } else { least };
        let length =
            schema.get("maxItems").and_then(Value::as_u64).map_or(length, |m| m.min(length));
        let anything = json!({"type": "string"});
        let item = schema.get("items").filter(|item| item.is_object()).unwrap_or(&anything);
        (0..length).map(|_| self.of(item, depth + 1)).collect()
    }

    /// Returns a number from 1 to 100 if the bounds allow it, or else the nearest.
    fn integer(&mut self, schema: &Value) -> i64 {
        let minimum = schema.get("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN);
        let maximum = schema.get("maximum").and_then(Value::as_i64).unwrap_or(i64::MAX);
        self.rng.i64(1..=100).min(maximum).max(minimum)
    }

    fn string(&mut self, schema: &Value) -> String {
        match schema.get("format").and_then(Value::as_str) {
            Some("date") => "2026-03-14".to_owned(),
            Some("date-time") => "2026-03-14T09:26:53Z".to_owned(),
            Some("email") => format!("{}@example.com", self.ascii_word()),
            Some("uri") => format!("https://example.com/{}", self.ascii_word()),
            _ => format!("{} {}", text::word(self.rng), text::word(self.rng)),
        }
    }

    fn ascii_word(&mut self) -> String {
        text::word(self.rng).chars().filter(char::is_ascii).collect()
    }
}

/// Returns the type: the first that is not null if there are several; without
/// any, the one implied by the other keys.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null")
        }
        _ if schema.get("properties").is_some() => Some("object"),
        _ if schema.get("items").is_some() => Some("array"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_meets_the_schema() {
        for schema in [
            json!({"type": "string"}),
            json!({"type": ["null", "integer"], "minimum": 7, "maximum": 9}),
            json!({"type": "number", "maximum": -1.5}),
            json!({"enum": ["a", 2, null]}),
            json!({"anyOf": [{"type": "boolean"}, {"type": "null"}]}),
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 3}),
            json!({
                "type": "object",
                "required": ["name", "tree"],
                "additionalProperties": false,
                "properties": {
                    "name": {"type": "string"},
                    "kind": {"const": "leaf"},
                    "tree": {"$ref": "#/$defs/tree"},
                },
                "$defs": {"tree": {
                    "type": "object",
                    "required": ["value"],
                    "properties": {
                        "value": {"type": "number"},
                        "child": {"$ref": "#/$defs/tree"},
                    },
                }},
            }),
        ] {
            let value = instance(&schema, &mut Rng::with_seed(7));
            assert!(jsonschema::is_valid(&schema, &value), "{schema} does not accept {value}");
        }
    }

    #[test]
    fn a_schema_that_only_refers_to_itself_ends() {
        let schema = json!({"$ref": "#"});
        assert_eq!(instance(&schema, &mut Rng::with_seed(7)), Value::Null);
    }
}
