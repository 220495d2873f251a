//! A node's form: its fields with everything needed to draw them, and the schema of a
//! configuration.
//!
//! Built once per node, at registration. Does not know the meaning of the
//! fields.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{
    Declaration,
    field::{Class, Field, words},
    group::Group,
    input::InputKind,
    shape::{Shape, TextRule},
};

/// A field of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CredentialField {
    /// The field's name, as in the request's credential.
    pub name: &'static str,
    /// Its label in the form.
    pub label: super::LocalizedText,
    /// True if it must be hidden.
    pub secret: bool,
}

/// The fields that every node has and that the worker itself reads.
static COMMON: &[Field] = &Group::Worker.of([
    Field::new(
        "credential",
        Shape::text(256, &NAME),
        words("Credential", "자격 증명"),
    )
    .help(
        "The name of a secret mounted in the worker. Ignored when the request itself carries a credential.",
        "워커에 마운트된 비밀 값의 이름입니다. 요청에 자격 증명이 있으면 무시됩니다.",
    )
    .class(Class::Route)
    .basic(),
    Field::new("cache", Shape::Switch, words("Cache", "캐시"))
        .help(
            "Answers a repeated identical request from the cache. A reference to a cache node counts as true.",
            "같은 요청이 반복되면 캐시에서 답합니다. 캐시 노드에 대한 참조는 true로 간주됩니다.",
        )
        .class(Class::Route)
        .or(super::Literal::Boolean(false))
        .basic(),
]);

static NAME: TextRule = TextRule {
    pattern: "^[!-~]+$",
    accepts: is_name,
    words: "a name of printable ASCII without spaces",
};

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A node's form.
#[derive(Debug)]
pub struct Form {
    declaration: Declaration,
    fields: Vec<&'static Field>,
    by_spelling: HashMap<&'static str, usize>,
    config_schema: String,
}

impl Form {
    pub(super) fn new(declaration: Declaration) -> Form {
        let mut fields: Vec<&'static Field> =
            declaration.fields.iter().copied().chain([COMMON]).flatten().collect();
        fields.sort_by_key(|field| field.advanced);
        let mut by_spelling = HashMap::new();
        for (index, field) in fields.iter().enumerate() {
            for spelling in field.spellings() {
                let earlier = by_spelling.insert(spelling, index);
                debug_assert!(earlier.is_none(), "two fields are called {spelling}");
            }
        }
        let config_schema = config_schema(&declaration, &fields);
        Form { declaration, fields, by_spelling, config_schema }
    }

    /// Returns the node's name, version, label, description, inputs and credential.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// Returns the node's type.
    pub fn name(&self) -> &'static str {
        self.declaration.name
    }

    /// Returns the kinds of input the node accepts.
    pub fn inputs(&self) -> &'static [InputKind] {
        self.declaration.inputs
    }

    /// Returns its fields in the order of the form: the advanced ones last.
    pub fn fields(&self) -> &[&'static Field] {
        &self.fields
    }

    /// Iterates over the groups of its fields, in the order of the form.
    pub fn groups(&self) -> impl Iterator<Item = Group> {
        let has = |group: &Group| self.fields.iter().any(|field| field.group == *group);
        Group::ALL.into_iter().filter(has)
    }

    /// Returns the JSON Schema (2020-12) of a configuration: everything it
    /// allows is accepted, unless a rule between fields forbids it. Form text
    /// and other spellings are accepted too, but not covered by the schema.
    pub fn config_schema(&self) -> &str {
        &self.config_schema
    }

    /// Returns the position of a field, by any of its spellings.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.by_spelling.get(name).copied()
    }
}

fn config_schema(declaration: &Declaration, fields: &[&'static Field]) -> String {
    let mut properties = Map::new();
    for field in fields {
        let mut property = json!({
            "title": field.label.en,
            "description": field.help.en,
        });
        if let (Value::Object(property), Value::Object(shape)) =
            (&mut property, field.shape.json_schema())
        {
            property.extend(shape);
        }
        if let Some(default) = field.default {
            property["default"] = default.value();
        }
        properties.insert(field.name.to_owned(), property);
    }
    let required: Vec<&str> =
        fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": declaration.label.en,
        "description": declaration.description.en,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    schema.to_string()
}
