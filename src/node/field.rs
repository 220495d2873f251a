//! One field of a node's form, declared once: its validation, its entry in the
//! form and in the JSON Schema, its part in the cache key and its wire form all
//! follow from the declaration.
//!
//! Declarations only; `values` reads a configuration against them.

use serde_json::Value;

pub use super::localized_text::{LocalizedText, words};
use super::{
    group::Group,
    shape::{MAX_INTEGER, Shape},
};

/// The effect of a field on the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It can change the text, or the provider's acceptance of the request.
    Text,
    /// It changes the data that accompanies the text.
    Envelope,
    /// It changes routing, billing or the worker's handling of the answer:
    /// never the answer.
    Route,
}

impl Class {
    /// Returns true if executions that differ in this field are different.
    pub fn decides_the_answer(self) -> bool {
        match self {
            Class::Text | Class::Envelope => true,
            Class::Route => false,
        }
    }
}

/// A value written in a declaration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Literal {
    /// True or false.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A keyword.
    Keyword(&'static str),
}

impl Literal {
    /// Returns the value as JSON.
    pub fn value(self) -> Value {
        match self {
            Literal::Boolean(value) => Value::from(value),
            Literal::Integer(value) => Value::from(value),
            Literal::Number(value) => Value::from(value),
            Literal::Keyword(value) => Value::from(value),
        }
    }

    /// Returns true if the value is equal to this literal.
    pub fn is(self, value: &Value) -> bool {
        match self {
            Literal::Boolean(same) => value.as_bool() == Some(same),
            Literal::Integer(same) => value.as_i64() == Some(same),
            Literal::Number(same) => value.as_f64() == Some(same),
            Literal::Keyword(same) => value.as_str() == Some(same),
        }
    }
}

/// A field of a node's form.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key in a configuration, camelCase.
    pub name: &'static str,
    /// Alternative keys.
    pub aliases: &'static [&'static str],
    /// The provider's name for it, snake_case, which is accepted as a key too.
    /// Absent if the field is not sent.
    pub wire: Option<&'static str>,
    /// Its label in the form.
    pub label: LocalizedText,
    /// Its description in the form.
    pub help: LocalizedText,
    /// The shape of its value.
    pub shape: Shape,
    /// Its value if left out; absent if the provider decides.
    pub default: Option<Literal>,
    /// True if an execution needs it.
    pub required: bool,
    /// True if it belongs under "additional parameters".
    pub advanced: bool,
    /// The group it is drawn in.
    pub group: Group,
    /// Its effect on the answer.
    pub class: Class,
    /// The value that means the same as leaving it out; never sent.
    pub neutral: Option<Literal>,
}

impl Field {
    /// Creates a field of this shape: optional, advanced, beside the model, not sent
    /// and deciding the answer, until changed.
    pub const fn new(name: &'static str, shape: Shape, label: LocalizedText) -> Field {
        Field {
            name,
            aliases: &[],
            wire: None,
            label,
            help: LocalizedText { en: "", ko: "" },
            shape,
            default: None,
            required: false,
            advanced: true,
            group: Group::Model,
            class: Class::Text,
            neutral: None,
        }
    }

    /// Creates a number field with inclusive bounds.
    pub const fn number(
        name: &'static str,
        minimum: f64,
        maximum: f64,
        label: LocalizedText,
    ) -> Field {
        Field::new(name, Shape::Number { minimum, maximum }, label)
    }

    /// Creates an integer field with inclusive bounds.
    pub const fn integer(
        name: &'static str,
        minimum: i64,
        maximum: i64,
        label: LocalizedText,
    ) -> Field {
        Field::new(name, Shape::Integer { minimum, maximum }, label)
    }

    /// Creates a field that holds a non-negative count.
    pub const fn count(name: &'static str, label: LocalizedText) -> Field {
        Field::integer(name, 0, MAX_INTEGER, label)
    }

    /// Creates a boolean field.
    pub const fn boolean(name: &'static str, label: LocalizedText) -> Field {
        Field::new(name, Shape::Boolean, label)
    }

    /// Sets its help text.
    pub const fn help(self, en: &'static str, ko: &'static str) -> Field {
        let help = LocalizedText { en, ko };
        Field { help, ..self }
    }

    /// Sends it under the provider's name.
    pub const fn sent_as(self, wire: &'static str) -> Field {
        let wire = Some(wire);
        Field { wire, ..self }
    }

    /// Sets alternative keys.
    pub const fn also(self, aliases: &'static [&'static str]) -> Field {
        Field { aliases, ..self }
    }

    /// Sets the value used if it is left out.
    pub const fn or(self, default: Literal) -> Field {
        let default = Some(default);
        Field { default, ..self }
    }

    /// Makes it required.
    pub const fn required(self) -> Field {
        let required = true;
        Field { required, ..self }
    }

    /// Shows it outside "additional parameters".
    pub const fn basic(self) -> Field {
        let advanced = false;
        Field { advanced, ..self }
    }

    /// Sets its group.
    pub const fn group(self, group: Group) -> Field {
        Field { group, ..self }
    }

    /// Sets its class.
    pub const fn class(self, class: Class) -> Field {
        Field { class, ..self }
    }

    /// Sets the value that means the same as leaving it out.
    pub const fn neutral(self, neutral: Literal) -> Field {
        let neutral = Some(neutral);
        Field { neutral, ..self }
    }

    /// Iterates over its keys, its name first.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> {
        let wire = self.wire.filter(|wire| *wire != self.name);
        std::iter::once(self.name)
            .chain(self.aliases.iter().copied())
            .chain(wire.filter(|wire| !self.aliases.contains(wire)))
    }
}

impl Group {
    /// Puts these fields into the group.
    pub const fn of<const N: usize>(self, mut fields: [Field; N]) -> [Field; N] {
        let mut index = 0;
        while index < N {
            fields[index].group = self;
            index += 1;
        }
        fields
    }
}
