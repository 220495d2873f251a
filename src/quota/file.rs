//! The operator's quota file: each tenant's quota per day, with all of its problems
//! reported together.

use std::collections::HashMap;

use serde::Deserialize;

use crate::{
    error::Limit,
    file_watcher::Contents,
    price::{self, Nanodollars},
};

/// The daily quotas of all tenants.
#[derive(Debug, Default)]
pub struct QuotaFile {
    usual: Quota,
    tenants: HashMap<String, Quota>,
}

/// A tenant's quota per day; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Quota {
    pub(super) tokens: Option<u64>,
    pub(super) money: Option<Nanodollars>,
}

/// Tokens and money spent in one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spend {
    /// Prompt and completion tokens.
    pub tokens: u64,
    /// Cost in nano-dollars, as far as prices are known.
    pub money: Nanodollars,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaTable {
    default: Option<QuotaEntry>,
    #[serde(default)]
    tenants: HashMap<String, QuotaEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuotaEntry {
    tokens_per_day: Option<u64>,
    dollars_per_day: Option<f64>,
}

impl QuotaFile {
    /// Returns a tenant's quota: its own entry, which replaces the default as a whole.
    pub(super) fn quota(&self, tenant: &str) -> Quota {
        self.tenants.get(tenant).copied().unwrap_or(self.usual)
    }
}

impl Quota {
    pub(super) fn is_unbounded(self) -> bool {
        self == Quota::default()
    }

    /// Returns the limit that the spend has reached, if any.
    pub(super) fn met(self, tenant: &str, spent: Spend) -> Option<Limit> {
        let tenant = || tenant.to_owned();
        match self {
            Quota { tokens: Some(tokens), .. } if spent.tokens >= tokens => {
                Some(Limit::TokensPerDay { tenant: tenant(), tokens })
            }
            Quota { money: Some(nanodollars), .. } if spent.money >= nanodollars => {
                Some(Limit::DollarsPerDay { tenant: tenant(), nanodollars })
            }
            _ => None,
        }
    }
}

/// Parses a quota file.
///
/// # Errors
///
/// A message with every problem in the file.
pub(super) fn parse(contents: &[Contents]) -> Result<QuotaFile, String> {
    let file: QuotaTable = serde_json::from_slice(&contents[0]).map_err(|error| {
        format!(
            "the limits file is not valid: {error}; it is {{\"default\": {{\"tokens_per_day\", \
             \"dollars_per_day\"}}, \"tenants\": {{NAME: …}}}}, all of it optional"
        )
    })?;
    let mut problems = Vec::new();
    let mut read = |whose: &str, entry: QuotaEntry| {
        entry.quota().unwrap_or_else(|problem| {
            problems.push(format!("{whose} of the limits file {problem}"));
            Quota::default()
        })
    };
    let usual = file.default.map_or_else(Quota::default, |entry| read("the default", entry));
    let entry = |(name, entry)| {
        let quota = read(&format!("the tenant {name:?}"), entry);
        (name, quota)
    };
    let tenants = file.tenants.into_iter().map(entry).collect();
    if problems.is_empty() { Ok(QuotaFile { usual, tenants }) } else { Err(problems.join("; ")) }
}

impl QuotaEntry {
    fn quota(self) -> Result<Quota, String> {
        let QuotaEntry { tokens_per_day: tokens, dollars_per_day } = self;
        let Some(dollars) = dollars_per_day else {
            return Ok(Quota { tokens, money: None });
        };
        let money = price::nanodollars(dollars).and_then(|money| i64::try_from(money).ok());
        let money = money.ok_or_else(|| {
            format!("has dollars_per_day {dollars}, which is no sum in US dollars")
        })?;
        Ok(Quota { tokens, money: Some(money) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<QuotaFile, String> {
        parse(&[text.as_bytes().to_vec().into()])
    }

    #[test]
    fn an_entry_replaces_the_default() {
        let quota_file = read(
            r#"{"default": {"tokens_per_day": 1000, "dollars_per_day": 2.5},
                "tenants": {"acme": {"tokens_per_day": 7}, "globex": {}}}"#,
        )
        .expect("limits");
        let usual = Quota { tokens: Some(1000), money: Some(2_500_000_000) };
        assert_eq!(quota_file.quota("anybody"), usual);
        assert_eq!(quota_file.quota(""), usual);
        assert_eq!(quota_file.quota("acme"), Quota { tokens: Some(7), money: None });
        assert!(quota_file.quota("globex").is_unbounded());
        assert!(read("{}").expect("limits").quota("acme").is_unbounded());
    }

    #[test]
    fn a_limit_is_met_when_all_of_it_is_spent() {
        let quota = Quota { tokens: Some(10), money: Some(5) };
        let met = |tokens, money| quota.met("acme", Spend { tokens, money });
        assert_eq!(met(9, 4), None);
        let tenant = "acme".to_owned();
        assert_eq!(met(10, 9), Some(Limit::TokensPerDay { tenant: tenant.clone(), tokens: 10 }));
        assert_eq!(met(0, 5), Some(Limit::DollarsPerDay { tenant, nanodollars: 5 }));
        let nothing = Quota { tokens: Some(0), money: None };
        assert!(nothing.met("acme", Spend::default()).is_some(), "0 is nothing at all");
    }

    #[test]
    fn every_problem_is_reported() {
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
