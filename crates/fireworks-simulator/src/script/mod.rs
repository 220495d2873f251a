//! The armed rules, and how far each is used up. Each call takes its faults
//! here; `Handle` and `control` arm and clear rules.

pub(crate) mod dialect;
pub(crate) mod effects;
pub(crate) mod fault;
pub(crate) mod preset;
pub(crate) mod rule;
pub(crate) mod time;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::{
    endpoint::Endpoint,
    script::{fault::Fault, rule::Rule},
};

/// The rules in the order they were armed.
#[derive(Debug, Default)]
pub(crate) struct Script(Mutex<Vec<Armed>>);

#[derive(Debug)]
struct Armed {
    rule: Rule,
    hits: u32,
    first_hit: Option<Instant>,
}

/// The properties of a call that a rule matches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) endpoint: Endpoint,
    pub(crate) model: &'a str,
    pub(crate) prompt: &'a str,
}

impl Script {
    pub(crate) fn arm(&self, rules: impl IntoIterator<Item = Rule>) {
        self.lock().extend(rules.into_iter().map(|rule| Armed { rule, hits: 0, first_hit: None }));
    }

    /// Returns true if no rule has been armed since the last clear.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Returns the rules that can still match, with `times` reduced to what is left.
    pub(crate) fn armed(&self) -> Vec<Rule> {
        let rules = self.lock();
        rules.iter().filter(|armed| !armed.used_up()).map(Armed::remainder).collect()
    }

    /// Takes the faults of this call: those of the first rule that matches.
    pub(crate) fn take(&self, subject: Subject<'_>) -> Vec<Fault> {
        let mut rules = self.lock();
        let Some(armed) =
            rules.iter_mut().find(|armed| !armed.used_up() && fits(&armed.rule, subject))
        else {
            return Vec::new();
        };
        armed.hits += 1;
        armed.first_hit.get_or_insert_with(Instant::now);
        armed.rule.faults.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        // No holder of this lock can panic half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn used_up(&self) -> bool {
        let called_enough = self.rule.times.is_some_and(|times| self.hits >= times);
        let lasted = match (self.rule.lasting, self.first_hit) {
            (Some(lasting), Some(first_hit)) => first_hit.elapsed() >= lasting,
            _ => false,
        };
        called_enough || lasted
    }

    fn remainder(&self) -> Rule {
        let mut rule = self.rule.clone();
        rule.times = rule.times.map(|times| times - self.hits);
        rule
    }
}

fn fits(rule: &Rule, subject: Subject<'_>) -> bool {
    let endpoint = match rule.endpoint {
        Some(endpoint) => endpoint == subject.endpoint,
        None => subject.endpoint.runs_a_model(),
    };
    endpoint
        && rule.model.as_ref().is_none_or(|model| model == subject.model)
        && rule.prompt.as_ref().is_none_or(|text| subject.prompt.contains(text.as_str()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const CALL: Subject<'_> = Subject {
        endpoint: Endpoint::ChatCompletions,
        model: "accounts/fireworks/models/glm-5p3",
        prompt: "user\nhello there",
    };

    #[test]
    fn rules_one_after_the_other_are_a_sequence() {
        let script = Script::default();
        script.arm([Rule::once(Fault::HangUp).times(2), Rule::once(Fault::NoDone)]);
        let taken: Vec<_> = (0..4).map(|_| script.take(CALL)).collect();
        assert_eq!(taken, [vec![Fault::HangUp], vec![Fault::HangUp], vec![Fault::NoDone], vec![]]);
        assert!(script.armed().is_empty());
    }

    #[test]
    fn a_rule_hits_only_the_calls_it_is_for() {
        for (rule, hits) in [
            (Rule::always(Fault::HangUp), true),
            (Rule::always(Fault::HangUp).prompt("hello"), true),
            (Rule::always(Fault::HangUp).prompt("goodbye"), false),
            (Rule::always(Fault::HangUp).model(CALL.model), true),
            (Rule::always(Fault::HangUp).model("glm-5p3"), false),
            (Rule::always(Fault::HangUp).endpoint(Endpoint::ChatCompletions), true),
            (Rule::always(Fault::HangUp).endpoint(Endpoint::Models), false),
            (Rule::always(Fault::HangUp).times(0), false),
        ] {
            let script = Script::default();
            script.arm([rule.clone()]);
            assert_eq!(!script.take(CALL).is_empty(), hits, "{rule:?}");
        }
    }

    #[test]
    fn listing_models_is_hit_only_by_rules_that_name_it() {
        let script = Script::default();
        script.arm([Rule::always(Fault::HangUp)]);
        let models = Subject { endpoint: Endpoint::Models, ..CALL };
        assert!(script.take(models).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_for_a_time_counts_from_its_first_hit() {
        let script = Script::default();
        script.arm([Rule::always(Fault::HangUp).lasting(Duration::from_secs(5))]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!script.take(CALL).is_empty());
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(!script.take(CALL).is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(script.take(CALL).is_empty());
    }
}
