//! Token prices: a dated table that the operator can replace.
//!
//! A model that is not in the table has no price, and an execution of it has no
//! cost, as opposed to a cost of 0. Money is in whole nano-dollars, so that a
//! fleet's sums are exact.

mod list;

use std::{collections::HashMap, sync::Arc};

use serde::Deserialize;

pub use self::list::PriceList;
use crate::event::Usage;

/// Whole nano-dollars: 1,000,000,000 is one US dollar.
pub(crate) type Nanodollars = i64;

/// Prices by model, as of a date.
#[derive(Debug, Clone)]
pub struct Prices {
    date: Arc<str>,
    models: HashMap<String, Price>,
}

/// Nano-dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Price {
    standard: Rate,
    priority: Option<Rate>,
}

/// The rate of one tier, in nano-dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the prompt that were read from the provider's cache.
    pub cached_input: u64,
    /// Tokens of the answer.
    pub output: u64,
}

/// The price tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tier {
    /// The standard price.
    #[default]
    Standard,
    /// The price if `serviceTier` is `priority`.
    Priority,
}

/// The file: US dollars per million tokens.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceTable {
    date: String,
    models: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    model: String,
    input: f64,
    cached_input: Option<f64>,
    output: f64,
    priority_input: Option<f64>,
    priority_output: Option<f64>,
}

impl Prices {
    /// Returns the table that was current at the time of this release.
    pub fn built_in() -> Prices {
        Prices::parse(include_bytes!("table.json")).expect("the built-in table is well-formed")
    }

    /// Parses a table from JSON text, in the form of the built-in one: `date`
    /// (`YYYY-MM-DD`) and `models`, each with `model`, `input`, `output` and
    /// optionally `cached_input`, `priority_input`, `priority_output` in US
    /// dollars per million tokens. The error says what is wrong with it.
    pub fn parse(json: &[u8]) -> Result<Prices, String> {
        let table: PriceTable = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if !is_date(&table.date) {
            return Err(format!("date {:?} is not of the form YYYY-MM-DD", table.date));
        }
        let mut models = HashMap::with_capacity(table.models.len());
        for row in table.models {
            let price = Price::try_from(&row)?;
            if models.insert(row.model.clone(), price).is_some() {
                return Err(format!("model {:?} is listed twice", row.model));
            }
        }
        Ok(Prices { date: table.date.into(), models })
    }

    /// Returns the table's date, `YYYY-MM-DD`.
    pub fn date(&self) -> &Arc<str> {
        &self.date
    }

    /// Iterates over the models that have a price, in no particular order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// Returns the rates of a model with the tiers they are for; none if its price is
    /// unknown.
    pub fn rates(&self, model: &str) -> Vec<(&'static str, Rate)> {
        let Some(price) = self.models.get(model) else { return Vec::new() };
        let priority = price.priority.map(|rate| ("priority", rate));
        [Some(("default", price.standard)), priority].into_iter().flatten().collect()
    }

    /// Returns the cost of an execution; `None` if the model's price or the
    /// token counts are unknown.
    pub fn cost(&self, model: &str, tier: Tier, usage: &Usage) -> Option<Nanodollars> {
        let price = self.models.get(model)?;
        let rate = match tier {
            Tier::Standard => price.standard,
            Tier::Priority => price.priority?,
        };
        rate.cost(usage)
    }
}

impl Rate {
    fn cost(self, usage: &Usage) -> Option<Nanodollars> {
        let prompt = u128::from(usage.prompt_tokens?);
        // Embeddings have no answer to count the tokens of, and none to pay for.
        let completion = match self.output {
            0 => 0,
            _ => u128::from(usage.completion_tokens?),
        };
        let cached = u128::from(usage.cached_tokens.unwrap_or(0)).min(prompt);
        let millionths = (prompt - cached) * u128::from(self.input)
            + cached * u128::from(self.cached_input)
            + completion * u128::from(self.output);
        i64::try_from((millionths + 500_000) / 1_000_000).ok()
    }
}

impl TryFrom<&Row> for Price {
    type Error = String;

    fn try_from(row: &Row) -> Result<Price, String> {
        let money = |name: &str, dollars: f64| {
            nanodollars(dollars).ok_or_else(|| {
                format!("{name} of {:?} is {dollars}: not a price in US dollars", row.model)
            })
        };
        let input = money("input", row.input)?;
        let standard = Rate {
            input,
            cached_input: row
                .cached_input
                .map_or(Ok(input), |cached| money("cached_input", cached))?,
            output: money("output", row.output)?,
        };
        let priority = match (row.priority_input, row.priority_output) {
            (Some(input), Some(output)) => Some(Rate {
                input: money("priority_input", input)?,
                cached_input: standard.cached_input,
                output: money("priority_output", output)?,
            }),
            (None, None) => None,
            _ => return Err(format!("{:?} has one priority price of two", row.model)),
        };
        Ok(Price { standard, priority })
    }
}

/// Converts US dollars to nano-dollars, if the amount is plausible: at most a
/// million dollars.
pub(crate) fn nanodollars(dollars: f64) -> Option<u64> {
    let plausible = (0.0..=1e6).contains(&dollars);
    plausible.then(|| (dollars * 1e9).round() as u64)
}

fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIMI: &str = "accounts/fireworks/models/kimi-k3";

    fn usage(prompt: u64, cached: u64, completion: u64) -> Usage {
        Usage {
            prompt_tokens: Some(prompt),
            completion_tokens: Some(completion),
            cached_tokens: Some(cached),
            ..Usage::default()
        }
    }

    #[test]
    fn tokens_are_charged_by_kind() {
        // 3, 0.30 and 15 dollars per million.
        let cost = Prices::built_in().cost(KIMI, Tier::Standard, &usage(1000, 400, 100));
        assert_eq!(cost, Some(600 * 3_000 + 400 * 300 + 100 * 15_000));
    }

    #[test]
    fn priority_is_dearer_and_absent_where_it_is_not_listed() {
        let prices = Prices::built_in();
        let cost = |model, tier| prices.cost(model, tier, &usage(10, 0, 10));
        assert!(cost(KIMI, Tier::Priority) > cost(KIMI, Tier::Standard));
        assert_eq!(cost("accounts/fireworks/models/glm-4p7", Tier::Priority), None);
    }

    #[test]
    fn embeddings_cost_their_prompt_alone() {
        let prompt = Usage { prompt_tokens: Some(1000), ..Usage::default() };
        let model = "accounts/fireworks/models/qwen3-embedding-8b";
        let cost = Prices::built_in().cost(model, Tier::Standard, &prompt);
        assert_eq!(cost, Some(1000 * 100));
    }

    #[test]
    fn what_is_unknown_has_no_cost() {
        let prices = Prices::built_in();
        assert_eq!(prices.cost("accounts/me/models/mine", Tier::Standard, &usage(1, 0, 1)), None);
        assert_eq!(prices.cost(KIMI, Tier::Standard, &Usage::default()), None);
    }

    #[test]
    fn a_bad_table_is_refused_in_a_sentence() {
        for (json, expected) in [
            ("{", "EOF"),
            (r#"{"date":"today","models":[]}"#, "YYYY-MM-DD"),
            (r#"{"date":"2026-11-22","models":[{"model":"m","input":-1,"output":1}]}"#, "input"),
            (
                r#"{"date":"2026-11-22","models":[{"model":"m","input":1,"output":1,"priority_input":1}]}"#,
                "one priority price",
            ),
        ] {
            let problem = Prices::parse(json.as_bytes()).expect_err(json);
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
