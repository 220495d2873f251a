//! The model names that metrics show. Callers choose model names, so the set is
//! bounded: a model appears under its own name only if it is in the price table or
//! the provider has answered for it, and only up to a limit.

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use crate::telemetry::names::otel::OTHER;

/// The model names with a series of their own.
#[derive(Debug)]
pub(super) struct Models {
    known: RwLock<HashSet<Arc<str>>>,
    other: Arc<str>,
}

impl Models {
    /// The limit of names; further ones are recorded as `_OTHER`.
    pub(super) const MOST: usize = 100;

    pub(super) fn new() -> Models {
        Models { known: RwLock::default(), other: OTHER.into() }
    }

    /// Returns the name to record for a model; `_OTHER` if it has no series of its
    /// own.
    pub(super) fn name(&self, model: &str) -> Arc<str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(model).unwrap_or(&self.other).clone()
    }

    /// Returns the name to record for a model known to exist, which gets a series
    /// while there is room.
    pub(super) fn name_of_real(&self, model: &str) -> Arc<str> {
        let name = self.name(model);
        if *name != *OTHER {
            return name;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < Models::MOST {
            known.insert(model.into());
        }
        known.get(model).unwrap_or(&self.other).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_has_its_name_once_it_is_known_to_be_real() {
        let models = Models::new();
        assert_eq!(&*models.name("a"), OTHER);
        assert_eq!(&*models.name_of_real("a"), "a");
        assert_eq!(&*models.name("a"), "a");
    }

    #[test]
    fn beyond_the_bound_all_names_are_one() {
        let models = Models::new();
        for number in 0..Models::MOST * 3 {
            models.name_of_real(&number.to_string());
        }
        assert_eq!(models.known.read().expect("whole").len(), Models::MOST);
        assert_eq!(&*models.name_of_real("one more"), OTHER);
        assert_eq!(&*models.name_of_real("0"), "0");
    }
}
