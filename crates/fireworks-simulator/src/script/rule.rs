//! One line of a script: the calls that a fault applies to, and how often.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    endpoint::Endpoint,
    script::{fault::Fault, preset::Preset, time},
};

/// Faults that happen together, the calls they apply to, and how often.
///
/// A call takes the first rule that matches and is not used up. So consecutive
/// rules form a sequence: `429` twice, then a stall, then normal service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The faults, all applied to the same call.
    pub faults: Vec<Fault>,
    /// Number of calls it applies to; left out, all.
    #[serde(default)]
    pub times: Option<u32>,
    /// Duration from the first call it matches; left out, forever.
    #[serde(default, with = "time::optional")]
    pub lasting: Option<Duration>,
    /// Only calls to this endpoint; left out, all that generate.
    #[serde(default)]
    pub endpoint: Option<Endpoint>,
    /// Only calls to this model, by its full name.
    #[serde(default)]
    pub model: Option<String>,
    /// Only calls with this text somewhere in their messages or prompt.
    #[serde(default)]
    pub prompt: Option<String>,
}

impl Rule {
    /// Creates a rule for every call.
    pub fn always(fault: impl Into<Fault>) -> Rule {
        Rule {
            faults: vec![fault.into()],
            times: None,
            lasting: None,
            endpoint: None,
            model: None,
            prompt: None,
        }
    }

    /// Creates a rule for the next call.
    pub fn once(fault: impl Into<Fault>) -> Rule {
        Rule::always(fault).times(1)
    }

    /// Limits the rule to the next `calls` calls.
    #[must_use]
    pub fn times(mut self, calls: u32) -> Rule {
        self.times = Some(calls);
        self
    }

    /// Limits the rule to a duration from the first call it matches.
    #[must_use]
    pub fn lasting(mut self, lasting: Duration) -> Rule {
        self.lasting = Some(lasting);
        self
    }

    /// Adds a fault in the same call.
    #[must_use]
    pub fn and(mut self, fault: impl Into<Fault>) -> Rule {
        self.faults.push(fault.into());
        self
    }

    /// Limits the rule to an endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Rule {
        self.endpoint = Some(endpoint);
        self
    }

    /// Limits the rule to a model, by its full name.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Rule {
        self.model = Some(model.into());
        self
    }

    /// Limits the rule to calls that have this text in their messages or prompt.
    #[must_use]
    pub fn prompt(mut self, text: impl Into<String>) -> Rule {
        self.prompt = Some(text.into());
        self
    }
}

impl FromStr for Rule {
    type Err = String;

    /// Parses a [`Preset`]'s name, `NAME:TIMES`, a rule as JSON, or a fault as
    /// JSON. Without a number it applies to every call.
    fn from_str(text: &str) -> Result<Rule, String> {
        match text.trim_start().chars().next() {
            Some('{' | '"' | '[') => from_json(text),
            _ => from_name(text),
        }
    }
}

fn from_name(text: &str) -> Result<Rule, String> {
    let (name, times) = match text.split_once(':') {
        Some((name, times)) => {
            let times = times.parse().map_err(|_| format!("has no number after {name:?}"))?;
            (name, Some(times))
        }
        None => (text, None),
    };
    let preset = Preset::find(name).ok_or_else(|| {
        let known: Vec<&str> = Preset::ALL.iter().map(|preset| preset.name).collect();
        format!("is none of {}", known.join(", "))
    })?;
    Ok(Rule { times, ..Rule::always(preset.fault()) })
}

fn from_json(text: &str) -> Result<Rule, String> {
    let value: Value =
        serde_json::from_str(text).map_err(|problem| format!("is not JSON: {problem}"))?;
    if value.get("faults").is_some() {
        return serde_json::from_value(value).map_err(|problem| problem.to_string());
    }
    let fault = serde_json::from_value::<Fault>(value);
    fault.map(Rule::always).map_err(|problem| problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Refusal;

    #[test]
    fn faults_read_as_people_write_them() {
        for (text, rule) in [
            ("hang-up", Rule::always(Fault::HangUp)),
            ("rate-limited:2", Rule::always(Fault::status(429)).times(2)),
            (r#""hang_up""#, Rule::always(Fault::HangUp)),
            (r#"{"stall":{"after_deltas":3}}"#, Rule::always(Fault::stall(3))),
            (
                r#"{"slow_head":{"delay":"1m 30s"}}"#,
                Rule::always(Fault::SlowHead { delay: Duration::from_secs(90) }),
            ),
            (
                r#"{"faults":[{"refuse":{"status":503}}],"lasting":"2s"}"#,
                Rule::always(Refusal::status(503)).lasting(Duration::from_secs(2)),
            ),
        ] {
            assert_eq!(text.parse::<Rule>(), Ok(rule), "{text}");
        }
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        for wrong in [
            "",
            "hangup",
            "stall:often",
            "{",
            r#""hangup""#,
            r#"{"stall":{"after":3}}"#,
            r#"{"faults":[],"x":1}"#,
        ] {
            assert!(wrong.parse::<Rule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rules_survive_json() {
        for preset in Preset::ALL {
            let rule = Rule::once(preset.fault()).lasting(Duration::from_millis(1500)).model("m");
            let text = serde_json::to_string(&rule).expect("JSON");
            assert_eq!(text.parse::<Rule>(), Ok(rule), "{text}");
        }
    }
}
