//! Which calls a fault is for, and how often: one line of a script.

use std::{str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    endpoint::Endpoint,
    script::{fault::Fault, preset::Preset, time},
};

/// Faults that happen together, to which calls, and how often.
///
/// A call takes the first rule that matches and is not used up. So two rules
/// one after the other are a sequence: `429` twice, then a stall, then well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What goes wrong, all in the same call.
    pub faults: Vec<Fault>,
    /// How many calls it is for; left out, all.
    #[serde(default)]
    pub times: Option<u32>,
    /// For how long from the first call it hits; left out, for ever.
    #[serde(default, with = "time::optional")]
    pub lasting: Option<Duration>,
    /// Only calls to this endpoint; left out, those that generate.
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
    /// For every call.
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

    /// For the next call.
    pub fn once(fault: impl Into<Fault>) -> Rule {
        Rule::always(fault).times(1)
    }

    /// For the next so many calls.
    #[must_use]
    pub fn times(mut self, calls: u32) -> Rule {
        self.times = Some(calls);
        self
    }

    /// For so long, counted from the first call it hits.
    #[must_use]
    pub fn lasting(mut self, lasting: Duration) -> Rule {
        self.lasting = Some(lasting);
        self
    }

    /// And this in the same call.
    #[must_use]
    pub fn and(mut self, fault: impl Into<Fault>) -> Rule {
        self.faults.push(fault.into());
        self
    }

    /// Only for that endpoint.
    #[must_use]
    pub fn endpoint(mut self, endpoint: Endpoint) -> Rule {
        self.endpoint = Some(endpoint);
        self
    }

    /// Only for that model, by its full name.
    #[must_use]
    pub fn model(mut self, model: impl Into<String>) -> Rule {
        self.model = Some(model.into());
        self
    }

    /// Only for calls that have this text in their messages or prompt.
    #[must_use]
    pub fn prompt(mut self, text: impl Into<String>) -> Rule {
        self.prompt = Some(text.into());
        self
    }
}

impl FromStr for Rule {
    type Err = String;

    /// Reads a [`Preset`]'s name, `NAME:TIMES`, a rule as JSON, or a fault as
    /// JSON. Without a number it holds for every call.
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
