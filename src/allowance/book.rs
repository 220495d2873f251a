//! The operator's file of limits: what each tenant may spend a day, and everything
//! that is wrong with it.

use std::collections::HashMap;

use serde::Deserialize;

use crate::{
    error::Limit,
    price::{self, Nanodollars},
    watched::Contents,
};

/// What tenants may spend a day.
#[derive(Debug, Default)]
pub struct Book {
    usual: Allowance,
    tenants: HashMap<String, Allowance>,
}

/// What one tenant may spend a day; `None` is without bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Allowance {
    pub(super) tokens: Option<u64>,
    pub(super) money: Option<Nanodollars>,
}

/// Tokens and money, of one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Of prompts and answers.
    pub tokens: u64,
    /// In nano-dollars, as far as prices are known.
    pub money: Nanodollars,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: Option<Entry>,
    #[serde(default)]
    tenants: HashMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    tokens_per_day: Option<u64>,
    dollars_per_day: Option<f64>,
}

impl Book {
    /// What a tenant may spend: an entry of its own stands in place of the
    /// default.
    pub(super) fn allowance(&self, tenant: &str) -> Allowance {
        self.tenants.get(tenant).copied().unwrap_or(self.usual)
    }
}

impl Allowance {
    pub(super) fn is_unbounded(self) -> bool {
        self == Allowance::default()
    }

    /// The limit that is met by what was spent, if one is.
    pub(super) fn met(self, tenant: &str, spent: Spent) -> Option<Limit> {
        let tenant = || tenant.to_owned();
        match self {
            Allowance { tokens: Some(tokens), .. } if spent.tokens >= tokens => {
                Some(Limit::TokensPerDay { tenant: tenant(), tokens })
            }
            Allowance { money: Some(nanodollars), .. } if spent.money >= nanodollars => {
                Some(Limit::DollarsPerDay { tenant: tenant(), nanodollars })
            }
            _ => None,
        }
    }
}

/// The limits of a file, or everything that is wrong with them.
pub(super) fn understand(contents: &[Contents]) -> Result<Book, String> {
    let file: File = serde_json::from_slice(&contents[0]).map_err(|error| {
        format!(
            "the limits file is not of its format: {error}; it is {{\"default\": {{\"tokens_per_day\", \
             \"dollars_per_day\"}}, \"tenants\": {{NAME: …}}}}, all of it optional"
        )
    })?;
    let mut problems = Vec::new();
    let mut read = |whose: &str, entry: Entry| {
        entry.allowance().unwrap_or_else(|problem| {
            problems.push(format!("{whose} of the limits file {problem}"));
            Allowance::default()
        })
    };
    let usual = file.default.map_or_else(Allowance::default, |entry| read("the default", entry));
    let entry = |(name, entry)| {
        let allowance = read(&format!("the tenant {name:?}"), entry);
        (name, allowance)
    };
    let tenants = file.tenants.into_iter().map(entry).collect();
    if problems.is_empty() { Ok(Book { usual, tenants }) } else { Err(problems.join("; ")) }
}

impl Entry {
    fn allowance(self) -> Result<Allowance, String> {
        let Entry { tokens_per_day: tokens, dollars_per_day } = self;
        let Some(dollars) = dollars_per_day else {
            return Ok(Allowance { tokens, money: None });
        };
        let money = price::nanodollars(dollars).and_then(|money| i64::try_from(money).ok());
        let money = money.ok_or_else(|| {
            format!("has dollars_per_day {dollars}, which is no sum in US dollars")
        })?;
        Ok(Allowance { tokens, money: Some(money) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Book, String> {
        understand(&[text.as_bytes().to_vec().into()])
    }

    #[test]
    fn an_entry_stands_in_place_of_the_default() {
        let book = read(
            r#"{"default": {"tokens_per_day": 1000, "dollars_per_day": 2.5},
                "tenants": {"acme": {"tokens_per_day": 7}, "globex": {}}}"#,
        )
        .expect("limits");
        let usual = Allowance { tokens: Some(1000), money: Some(2_500_000_000) };
        assert_eq!(book.allowance("anybody"), usual);
        assert_eq!(book.allowance(""), usual);
        assert_eq!(book.allowance("acme"), Allowance { tokens: Some(7), money: None });
        assert!(book.allowance("globex").is_unbounded());
        assert!(read("{}").expect("limits").allowance("acme").is_unbounded());
    }

    #[test]
    fn a_limit_is_met_when_all_of_it_is_spent() {
        let allowance = Allowance { tokens: Some(10), money: Some(5) };
        let met = |tokens, money| allowance.met("acme", Spent { tokens, money });
        assert_eq!(met(9, 4), None);
        let tenant = "acme".to_owned();
        assert_eq!(met(10, 9), Some(Limit::TokensPerDay { tenant: tenant.clone(), tokens: 10 }));
        assert_eq!(met(0, 5), Some(Limit::DollarsPerDay { tenant, nanodollars: 5 }));
        let nothing = Allowance { tokens: Some(0), money: None };
        assert!(nothing.met("acme", Spent::default()).is_some(), "0 is nothing at all");
    }

    #[test]
    fn everything_that_is_wrong_is_said() {
        let problem = read(
            r#"{"default": {"dollars_per_day": -1},
                "tenants": {"acme": {"dollars_per_day": 1e300}}}"#,
        )
        .expect_err("wrong");
        assert!(problem.contains("default") && problem.contains("\"acme\""), "{problem}");
        let problem = read(r#"{"tenants": {"acme": {"token_per_day": 1}}}"#).expect_err("wrong");
        assert!(problem.contains("token_per_day"), "{problem}");
    }
}
