//! The values of a configuration, read and in their one spelling: what a node
//! makes its typed configuration from.

use serde_json::Value;

use super::{field::Field, form::Form};

/// The values of a configuration. Every value has its field's shape.
#[derive(Debug)]
pub struct Values<'a> {
    form: &'a Form,
    /// Few of many fields, so a list that is searched, not a slot per field.
    given: Vec<Given>,
}

#[derive(Debug)]
struct Given {
    position: usize,
    /// Absent where what was given is wrong.
    value: Option<Value>,
}

impl<'a> Values<'a> {
    pub(super) fn new(form: &'a Form) -> Values<'a> {
        Values { form, given: Vec::new() }
    }

    pub(super) fn give(&mut self, position: usize, value: Option<Value>) {
        self.given.push(Given { position, value });
    }

    pub(super) fn is_given_at(&self, position: usize) -> bool {
        self.given.iter().any(|given| given.position == position)
    }

    /// Whether a field was given, rightly or wrongly, or has a default.
    pub fn is_given(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Takes a text, where it was given.
    pub fn take_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Takes a bool, where it was given.
    pub fn take_boolean(&mut self, name: &str) -> Option<bool> {
        self.take(name)?.as_bool()
    }

    /// A number, where it was given.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// A whole number, where it was given.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    /// A bool, where it was given.
    pub fn boolean(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.given[self.index(name)?].value.as_ref()
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.index(name)?;
        self.given.swap_remove(index).value
    }

    /// Puts a value in a field's place, whatever was there.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.take(name);
        let position = self.form.position(name);
        debug_assert!(position.is_some(), "no field is called {name}");
        if let Some(position) = position {
            self.give(position, Some(value));
        }
    }

    /// What is left, in the order of the form, so that neither the order nor the
    /// spelling of a configuration is seen any more.
    pub(super) fn into_fields(mut self) -> impl Iterator<Item = (&'static Field, Value)> {
        self.given.sort_unstable_by_key(|given| given.position);
        let form = self.form;
        self.given
            .into_iter()
            .filter_map(move |given| Some((form.fields()[given.position], given.value?)))
    }

    fn index(&self, name: &str) -> Option<usize> {
        let named = |given: &Given| self.form.fields()[given.position].name == name;
        self.given.iter().position(named)
    }
}
