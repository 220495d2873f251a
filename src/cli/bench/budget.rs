//! The budget: money is reserved at a request's dearest before it is sent, and settled
//! when its cost is known. What is spent and what is in flight never exceed the limit
//! together.

use crate::price::{Nanodollars, nanodollars};

/// A limit on money, and what it already holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Budget {
    limit: Option<Nanodollars>,
    spent: Nanodollars,
    reserved: Nanodollars,
}

impl Budget {
    /// Creates a budget of which nothing is spent; `None` is without a limit.
    pub(super) fn new(limit: Option<Nanodollars>) -> Budget {
        Budget { limit, ..Budget::default() }
    }

    pub(super) fn limit(&self) -> Option<Nanodollars> {
        self.limit
    }

    /// Returns what is spent: the most that it can be, where the cost is not known.
    pub(super) fn spent(&self) -> Nanodollars {
        self.spent
    }

    /// Returns the most that the requests in flight can still cost.
    pub(super) fn reserved(&self) -> Nanodollars {
        self.reserved
    }

    /// Reserves an amount, or returns false if the limit does not cover it.
    #[must_use]
    pub(super) fn reserve(&mut self, amount: Nanodollars) -> bool {
        let total = self.spent.saturating_add(self.reserved).saturating_add(amount);
        let fits = self.limit.is_none_or(|limit| total <= limit);
        if fits {
            self.reserved = self.reserved.saturating_add(amount);
        }
        fits
    }

    /// Replaces a reservation by what was spent.
    pub(super) fn settle(&mut self, reserved: Nanodollars, spent: Nanodollars) {
        self.reserved = self.reserved.saturating_sub(reserved);
        self.spent = self.spent.saturating_add(spent);
    }
}

/// Parses `0.50` or `none`.
pub(super) fn parse(text: &str) -> Result<Budget, String> {
    if text == "none" {
        return Ok(Budget::default());
    }
    let dollars: Option<f64> = text.trim_start_matches('$').parse().ok();
    dollars
        .and_then(nanodollars)
        .and_then(|limit| Nanodollars::try_from(limit).ok())
        .map(|limit| Budget::new(Some(limit)))
        .ok_or_else(|| "is not an amount in US dollars such as 0.50, nor `none`".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_in_flight_counts_at_its_dearest() {
        let mut budget = Budget::new(Some(10));
        assert!(budget.reserve(6));
        assert!(!budget.reserve(5));
        budget.settle(6, 1);
        assert!(budget.reserve(9));
        assert!(!budget.reserve(1));
        assert_eq!((budget.spent(), budget.reserved()), (1, 9));
    }

    #[test]
    fn a_budget_is_dollars_or_none() {
        assert_eq!(parse("0.5"), Ok(Budget::new(Some(500_000_000))));
        assert_eq!(parse("$2"), Ok(Budget::new(Some(2_000_000_000))));
        assert_eq!(parse("none"), Ok(Budget::new(None)));
        for text in ["", "-1", "NaN", "inf", "1e300", "one"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_order_of_starts_and_ends_passes_the_limit(
            limit in 0i64..1000,
            steps in prop::collection::vec((0i64..100, 0i64..=100, any::<bool>()), 0..200),
        ) {
            let mut budget = Budget::new(Some(limit));
            let mut flying = Vec::new();
            for (dearest, share, ends) in steps {
                if budget.reserve(dearest) {
                    flying.push((dearest, dearest * share / 100));
                }
                if ends && let Some((dearest, cost)) = flying.pop() {
                    budget.settle(dearest, cost);
                }
                prop_assert!(budget.spent() + budget.reserved() <= limit);
            }
        }
    }
}
