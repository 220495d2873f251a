//! One field of a node's form, declared once: from it come its check, its place
//! in the form and in the JSON Schema, whether it decides the answer, and how it
//! is sent.
//!
//! Declarations only; `form` reads a configuration against them.

use serde_json::Value;

use super::shape::{MAX_INTEGER, Shape};

/// A text in the languages that forms are drawn in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalizedText {
    /// English.
    pub en: &'static str,
    /// Korean.
    pub ko: &'static str,
}

/// What a field has to do with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It can change the text, or whether the request is accepted.
    Text,
    /// It changes what comes with the text.
    Envelope,
    /// It changes the way the request takes, who is billed and how, or what the
    /// worker does with the answer: never the answer.
    Route,
}

impl Class {
    /// Whether executions that differ in it are different.
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
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A word.
    Keyword(&'static str),
}

impl Literal {
    /// The value as JSON.
    pub fn value(self) -> Value {
        match self {
            Literal::Boolean(value) => Value::from(value),
            Literal::Integer(value) => Value::from(value),
            Literal::Number(value) => Value::from(value),
            Literal::Keyword(value) => Value::from(value),
        }
    }

    /// Whether a value says the same.
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
    /// Other keys for it.
    pub aliases: &'static [&'static str],
    /// The provider's name for it, snake_case, which is accepted as a key too.
    /// Absent where the field is not sent.
    pub wire: Option<&'static str>,
    /// What people call it.
    pub label: LocalizedText,
    /// What it does.
    pub help: LocalizedText,
    /// What its value looks like.
    pub shape: Shape,
    /// Its value when it is left out; absent where the provider decides.
    pub default: Option<Literal>,
    /// Whether an execution needs it.
    pub required: bool,
    /// Whether it belongs behind "additional parameters".
    pub advanced: bool,
    /// What it has to do with the answer.
    pub class: Class,
    /// The value by which it says what its absence says; never sent.
    pub neutral: Option<Literal>,
}

impl Field {
    /// A field of this shape: optional, advanced, not sent, deciding the answer
    /// until told otherwise.
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
            class: Class::Text,
            neutral: None,
        }
    }

    /// A number between two bounds.
    pub const fn number(
        name: &'static str,
        minimum: f64,
        maximum: f64,
        label: LocalizedText,
    ) -> Field {
        Field::new(name, Shape::Number { minimum, maximum }, label)
    }

    /// A whole number between two bounds.
    pub const fn integer(
        name: &'static str,
        minimum: i64,
        maximum: i64,
        label: LocalizedText,
    ) -> Field {
        Field::new(name, Shape::Integer { minimum, maximum }, label)
    }

    /// A whole number that counts something.
    pub const fn count(name: &'static str, label: LocalizedText) -> Field {
        Field::integer(name, 0, MAX_INTEGER, label)
    }

    /// True or false.
    pub const fn boolean(name: &'static str, label: LocalizedText) -> Field {
        Field::new(name, Shape::Boolean, label)
    }

    /// The same field, with help.
    pub const fn help(self, en: &'static str, ko: &'static str) -> Field {
        let help = LocalizedText { en, ko };
        Field { help, ..self }
    }

    /// The same field, sent under the provider's name.
    pub const fn sent_as(self, wire: &'static str) -> Field {
        let wire = Some(wire);
        Field { wire, ..self }
    }

    /// The same field, with other keys.
    pub const fn also(self, aliases: &'static [&'static str]) -> Field {
        Field { aliases, ..self }
    }

    /// The same field, with a value when it is left out.
    pub const fn or(self, default: Literal) -> Field {
        let default = Some(default);
        Field { default, ..self }
    }

    /// The same field, which an execution needs.
    pub const fn required(self) -> Field {
        let required = true;
        Field { required, ..self }
    }

    /// The same field, shown at once.
    pub const fn basic(self) -> Field {
        let advanced = false;
        Field { advanced, ..self }
    }

    /// The same field, of another class.
    pub const fn class(self, class: Class) -> Field {
        Field { class, ..self }
    }

    /// The same field, with the value that says what its absence says.
    pub const fn neutral(self, neutral: Literal) -> Field {
        let neutral = Some(neutral);
        Field { neutral, ..self }
    }

    /// Every key for it, its name first.
    pub fn spellings(&self) -> impl Iterator<Item = &'static str> {
        let wire = self.wire.filter(|wire| *wire != self.name);
        std::iter::once(self.name)
            .chain(self.aliases.iter().copied())
            .chain(wire.filter(|wire| !self.aliases.contains(wire)))
    }
}

/// A text in English and Korean, for declarations.
pub const fn words(en: &'static str, ko: &'static str) -> LocalizedText {
    LocalizedText { en, ko }
}
