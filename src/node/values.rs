//! The values of a configuration, validated and normalised: the source of a
//! node's typed configuration.

use serde_json::{Map, Value};

use super::{
    field::Field,
    form::Form,
    problems::{Path, Problems, Reported, did_you_mean},
};

/// The values of a configuration. Every value has its field's shape.
#[derive(Debug)]
pub struct Values<'a> {
    form: &'a Form,
    /// Few of many fields are given, so a list that is searched, not a slot per field.
    given: Vec<Given>,
}

#[derive(Debug)]
struct Given {
    position: usize,
    /// Absent if the given value is invalid.
    value: Option<Value>,
}

impl<'a> Values<'a> {
    /// Reads a configuration. Invalid values are reported and left out.
    pub(super) fn read(
        form: &'a Form,
        config: Map<String, Value>,
        problems: &mut Problems,
    ) -> Values<'a> {
        let mut values = Values { form, given: Vec::new() };
        let root = Path::Root("config");
        for (key, value) in config {
            let path = root.member(&key);
            let Some(position) = form.position(&key) else {
                refuse(form, &key, path, problems);
                continue;
            };
            let field = form.fields()[position];
            let value = match field.shape.read_form(value, path, problems) {
                Ok(None) => continue,
                Ok(Some(value)) => Some(value),
                Err(Reported) => None,
            };
            if values.is_given_at(position) {
                let name = field.name;
                problems.add(path, format!("is given in two spellings; give {name} only"));
            } else {
                values.give(position, value);
            }
        }
        values.complete(problems);
        values
    }

    /// Adds defaults and reports missing fields.
    fn complete(&mut self, problems: &mut Problems) {
        for (position, field) in self.form.fields().iter().enumerate() {
            if self.is_given_at(position) {
                continue;
            }
            if let Some(default) = field.default {
                self.give(position, Some(default.value()));
            } else if field.required {
                let path = Path::Root("config");
                problems.add(path.member(field.name), "is required");
            }
        }
    }

    fn give(&mut self, position: usize, value: Option<Value>) {
        self.given.push(Given { position, value });
    }

    fn is_given_at(&self, position: usize) -> bool {
        self.given.iter().any(|given| given.position == position)
    }

    /// Returns true if a field was given, validly or not, or has a default.
    pub fn is_given(&self, name: &str) -> bool {
        self.index(name).is_some()
    }

    /// Takes a text, if given.
    pub fn take_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// Takes a boolean, if given.
    pub fn take_boolean(&mut self, name: &str) -> Option<bool> {
        self.take(name)?.as_bool()
    }

    /// Returns a number, if given.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// Returns an integer, if given.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    /// Returns a boolean, if given.
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

    /// Sets a field's value, replacing any other.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.take(name);
        let position = self.form.position(name);
        debug_assert!(position.is_some(), "no field is called {name}");
        if let Some(position) = position {
            self.give(position, Some(value));
        }
    }

    /// Returns the remaining values in the order of the form, so that neither
    /// the order nor the spelling of a configuration matters from here on.
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

/// Reports a key that is not a field of the form.
fn refuse(form: &Form, key: &str, path: Path<'_>, problems: &mut Problems) {
    let name = form.name();
    let not_fields = form.declaration().not_fields;
    let description = match not_fields.iter().find(|(not, _)| *not == key) {
        Some((_, why)) => format!("is not a field of {name}: {why}"),
        // Finding a similar name costs more than the rest of the reading.
        None if problems.is_full() => String::new(),
        None => {
            let known = form.fields().iter().flat_map(|field| field.spellings());
            format!("is not a field of {name}{}", did_you_mean(key, known))
        }
    };
    problems.add(path, description);
}
