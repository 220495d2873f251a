//! Token prices: a dated table that the operator can replace.
//!
//! A model that is not in the table has no price, and an execution of it has no
//! cost, as opposed to a cost of 0. Money is in whole nano-dollars, so that a
//! fleet's sums are exact.

mod list;
mod tier;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::Deserialize;

pub use self::{list::PriceList, tier::Tier};
use crate::event::Usage;

/// Whole nano-dollars: 1,000,000,000 is one US dollar.
pub(crate) type Nanodollars = i64;

/// Prices by model, as of a date.
#[derive(Debug, Clone)]
pub struct Prices {
    date: Arc<str>,
    models: HashMap<String, Price>,
}

/// The rates of a model: the standard one, and those of other tiers by their word.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Price {
    standard: Rate,
    tiers: BTreeMap<String, Rate>,
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

/// A cost, and the tier whose rate it is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priced {
    /// The cost.
    pub cost: Nanodollars,
    /// True if the tier that was asked for has no rate in the table: the cost is by the
    /// standard one.
    pub is_fallback: bool,
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
    #[serde(default)]
    tiers: BTreeMap<String, TierRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierRow {
    input: f64,
    cached_input: Option<f64>,
    output: f64,
}

impl Prices {
    /// Returns the table that was current at the time of this release.
    pub fn built_in() -> Prices {
        Prices::parse(include_bytes!("table.json")).expect("the built-in table is well-formed")
    }

    /// Parses a table from JSON text, in the form of the built-in one: `date`
    /// (`YYYY-MM-DD`) and `models`, each with `model`, `input`, `output` and
    /// optionally `cached_input`, `priority_input` and `priority_output` in US
    /// dollars per million tokens, and `tiers` with the rates of further service tiers
    /// by their word. The error says what is wrong with it.
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

    /// Returns the rates of a model with the tiers they are for, the standard one first;
    /// none if its price is unknown.
    pub fn rates(&self, model: &str) -> Vec<(&str, Rate)> {
        let Some(price) = self.models.get(model) else { return Vec::new() };
        let tiers = price.tiers.iter().map(|(tier, rate)| (tier.as_str(), *rate));
        std::iter::once(("default", price.standard)).chain(tiers).collect()
    }

    /// Returns the cost of an execution; `None` if the model's price or the
    /// token counts are unknown. A tier without a rate costs the standard one.
    pub fn cost(&self, model: &str, tier: &Tier, usage: &Usage) -> Option<Priced> {
        let price = self.models.get(model)?;
        let named = match tier {
            Tier::Standard => Some(price.standard),
            Tier::Named(word) => price.tiers.get(&**word).copied(),
        };
        let cost = named.unwrap_or(price.standard).cost(usage)?;
        Some(Priced { cost, is_fallback: named.is_none() })
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
        let mut tiers = BTreeMap::new();
        match (row.priority_input, row.priority_output) {
            (Some(input), Some(output)) => {
                let priority = Rate {
                    input: money("priority_input", input)?,
                    cached_input: standard.cached_input,
                    output: money("priority_output", output)?,
                };
                tiers.insert(Tier::PRIORITY.to_owned(), priority);
            }
            (None, None) => {}
            _ => return Err(format!("{:?} has one priority price of two", row.model)),
        }
        for (word, tier) in &row.tiers {
            let named = |part: &str| format!("{part} of the tier {word:?}");
            let cached = tier.cached_input.map(|cached| money(&named("cached_input"), cached));
            let rate = Rate {
                input: money(&named("input"), tier.input)?,
                cached_input: cached.unwrap_or(Ok(standard.cached_input))?,
                output: money(&named("output"), tier.output)?,
            };
            if Tier::named(word) == Tier::Standard || tiers.insert(word.clone(), rate).is_some() {
                return Err(format!("{:?} has two prices for the tier {word:?}", row.model));
            }
        }
        Ok(Price { standard, tiers })
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
        let priced = Prices::built_in().cost(KIMI, &Tier::Standard, &usage(1000, 400, 100));
        let cost = 600 * 3_000 + 400 * 300 + 100 * 15_000;
        assert_eq!(priced, Some(Priced { cost, is_fallback: false }));
    }

    #[test]
    fn a_tier_without_a_rate_costs_the_standard_one() {
        let prices = Prices::built_in();
        let priced = |model, tier: &str| {
            prices.cost(model, &Tier::named(tier), &usage(10, 0, 10)).expect("a price")
        };
        assert!(priced(KIMI, "priority").cost > priced(KIMI, "default").cost);
        let glm = "accounts/fireworks/models/glm-4p7";
        for (model, tier) in [(glm, "priority"), (KIMI, "flex")] {
            let standard = priced(model, "default");
            assert_eq!(priced(model, tier), Priced { is_fallback: true, ..standard });
        }
    }

    #[test]
    fn a_table_may_name_any_tier() {
        let table = r#"{"date":"2026-11-22","models":[{"model":"m","input":2,"cached_input":0.2,
            "output":4,"tiers":{"flex":{"input":1,"output":2},
            "spot":{"input":0.5,"cached_input":0.1,"output":1}}}]}"#;
        let prices = Prices::parse(table.as_bytes()).expect("well-formed");
        let cost = |tier: &str| {
            prices.cost("m", &Tier::named(tier), &usage(2, 1, 1)).expect("a price").cost
        };
        assert_eq!(cost("auto"), 2_000 + 200 + 4_000);
        assert_eq!(cost("flex"), 1_000 + 200 + 2_000);
        assert_eq!(cost("spot"), 500 + 100 + 1_000);
        assert_eq!(prices.rates("m").len(), 3);
    }

    #[test]
    fn embeddings_cost_their_prompt_alone() {
        let prompt = Usage { prompt_tokens: Some(1000), ..Usage::default() };
        let model = "accounts/fireworks/models/qwen3-embedding-8b";
        let priced = Prices::built_in().cost(model, &Tier::Standard, &prompt);
        assert_eq!(priced.map(|priced| priced.cost), Some(1000 * 100));
    }

    #[test]
    fn what_is_unknown_has_no_cost() {
        let prices = Prices::built_in();
        assert_eq!(prices.cost("accounts/me/models/mine", &Tier::Standard, &usage(1, 0, 1)), None);
        assert_eq!(prices.cost(KIMI, &Tier::Standard, &Usage::default()), None);
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
            (
                r#"{"date":"2026-11-22","models":[{"model":"m","input":1,"output":1,"tiers":{"flex":{"input":-1,"output":1}}}]}"#,
                "input of the tier \"flex\"",
            ),
            (
                r#"{"date":"2026-11-22","models":[{"model":"m","input":1,"output":1,"tiers":{"default":{"input":1,"output":1}}}]}"#,
                "two prices",
            ),
        ] {
            let problem = Prices::parse(json.as_bytes()).expect_err(json);
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
