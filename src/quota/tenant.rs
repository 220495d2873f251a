//! What one tenant has spent today, as far as this worker knows: the arithmetic,
//! without clock or lock.
//!
//! A worker tells the fleet all that it has spent itself, never only what is new:
//! so it may tell that again, and a fleet that has lost its memory learns it anew.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::file::Spend;

/// A day, counted from 1970 in UTC.
pub(super) type Day = u64;

/// What a tenant has spent on each of the last days. A clock that is set, or an
/// answer that comes after midnight, leads to another day and wipes none.
#[derive(Debug, Default)]
pub(super) struct Purses(VecDeque<TenantSpend>);

impl Purses {
    /// Days that are remembered: yesterday, today, and one that a clock was wrong by.
    const MOST_DAYS: usize = 3;

    /// The purse of a day; those that were not asked for longest are forgotten.
    pub(super) fn on(&mut self, day: Day) -> &mut TenantSpend {
        let known = self.0.iter().position(|spend| spend.day == day);
        let spend = known.and_then(|at| self.0.remove(at));
        self.0.truncate(Purses::MOST_DAYS - 1);
        self.0.push_front(spend.unwrap_or_else(|| TenantSpend { day, ..TenantSpend::default() }));
        &mut self.0[0]
    }
}

/// What a tenant has spent on a day.
#[derive(Debug, Default)]
pub(super) struct TenantSpend {
    day: Day,
    /// Here.
    own: Spend,
    /// What of that the fleet has heard.
    reported: Spend,
    /// Everywhere, as last heard of the fleet.
    fleet: Spend,
    /// When the fleet was last asked.
    asked: Option<Instant>,
}

impl TenantSpend {
    /// Something was spent here.
    pub(super) fn spend(&mut self, more: Spend) {
        self.own.tokens = self.own.tokens.saturating_add(more.tokens);
        self.own.money = self.own.money.saturating_add(more.money);
    }

    /// What was spent here.
    pub(super) fn own(&self) -> Spend {
        self.own
    }

    /// Whether the fleet has heard of all that.
    pub(super) fn is_reported(&self) -> bool {
        self.own == self.reported
    }

    /// What was spent everywhere, as far as is known.
    pub(super) fn known(&self) -> Spend {
        let TenantSpend { own, reported, fleet, .. } = self;
        Spend {
            tokens: fleet.tokens.saturating_add(own.tokens - reported.tokens).max(own.tokens),
            money: fleet.money.saturating_add(own.money - reported.money).max(own.money),
        }
    }

    /// When the fleet was last asked, whatever came of it.
    pub(super) fn asked(&mut self) -> &mut Option<Instant> {
        &mut self.asked
    }

    /// The fleet has heard what was spent here, and says what was spent in all.
    /// Answers may overtake each other: a day's sums only grow.
    pub(super) fn received(&mut self, reported: Spend, fleet: Spend) {
        let later = |one: Spend, other: Spend| Spend {
            tokens: one.tokens.max(other.tokens),
            money: one.money.max(other.money),
        };
        self.reported = later(self.reported, reported);
        self.fleet = later(self.fleet, fleet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(tokens: u64, money: i64) -> Spend {
        Spend { tokens, money }
    }

    #[test]
    fn what_others_spend_counts_and_what_is_own_counts_once() {
        let mut spend = TenantSpend::default();
        spend.spend(sum(10, 1));
        assert_eq!(spend.known(), sum(10, 1));
        spend.received(sum(10, 1), sum(100, 10));
        assert_eq!(spend.known(), sum(100, 10));
        spend.spend(sum(5, 1));
        assert_eq!(spend.known(), sum(105, 11), "the fleet has not heard of it yet");
        spend.received(sum(15, 2), sum(105, 11));
        spend.received(sum(10, 1), sum(100, 10));
        assert_eq!(spend.known(), sum(105, 11), "an answer that was overtaken changes nothing");
    }

    #[test]
    fn a_fleet_that_forgets_does_not_make_this_worker_forget() {
        let mut spend = TenantSpend::default();
        spend.spend(sum(10, 1));
        spend.received(sum(10, 1), sum(100, 10));
        spend.received(sum(10, 1), sum(10, 1));
        assert_eq!(spend.known(), sum(100, 10));
    }

    #[test]
    fn a_new_day_begins_with_nothing() {
        let mut spends = Purses::default();
        spends.on(1).spend(sum(10, 1));
        assert_eq!(spends.on(1).known(), sum(10, 1));
        assert_eq!(spends.on(2).known(), Spend::default());
        assert!(spends.on(2).asked().is_none());
    }

    #[test]
    fn a_late_answer_or_a_clock_step_wipes_no_day() {
        let mut spends = Purses::default();
        spends.on(1).spend(sum(10, 1));
        spends.on(2).spend(sum(5, 1));
        spends.on(1).received(sum(10, 1), sum(70, 7));
        assert_eq!(spends.on(2).known(), sum(5, 1), "yesterday's answer came late");
        spends.on(900).spend(sum(1, 0));
        assert_eq!(spends.on(2).known(), sum(5, 1), "the clock was wrong for a while");
        assert_eq!(spends.on(1).known(), sum(70, 7));
    }

    #[test]
    fn days_are_remembered_to_a_bound() {
        let mut spends = Purses::default();
        for day in 0..100 {
            spends.on(day).spend(sum(1, 0));
        }
        assert_eq!(spends.0.len(), Purses::MOST_DAYS);
    }
}
