//! A tenant's spend as far as this worker knows it: pure arithmetic, without clock or
//! lock.
//!
//! A worker always reports its total spend of the day, never a difference, so that a
//! report may be repeated and a fleet that lost its memory gets it again.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::file::Spend;

/// A day in UTC, counted from 1970.
pub(super) type Day = u64;

/// A tenant's spend on each of the last days. A changed clock, or an answer after
/// midnight, selects another day and erases none.
#[derive(Debug, Default)]
pub(super) struct TenantSpends(VecDeque<TenantSpend>);

impl TenantSpends {
    /// Days to remember: yesterday, today, and one more in case a clock was wrong.
    const MOST_DAYS: usize = 3;

    /// Returns the spend of a day, and forgets the days that were not used for longest.
    pub(super) fn on(&mut self, day: Day) -> &mut TenantSpend {
        let known = self.0.iter().position(|spend| spend.day == day);
        let spend = known.and_then(|at| self.0.remove(at));
        self.0.truncate(TenantSpends::MOST_DAYS - 1);
        self.0.push_front(spend.unwrap_or_else(|| TenantSpend { day, ..TenantSpend::default() }));
        &mut self.0[0]
    }
}

/// A tenant's spend on one day.
#[derive(Debug, Default)]
pub(super) struct TenantSpend {
    day: Day,
    /// Spend on this worker.
    own: Spend,
    /// The part of `own` that the fleet has recorded.
    reported: Spend,
    /// Spend on all workers, as last read from the fleet.
    fleet: Spend,
    /// The time of the last report to the fleet.
    asked: Option<Instant>,
}

impl TenantSpend {
    /// Adds spend on this worker.
    pub(super) fn spend(&mut self, more: Spend) {
        self.own.tokens = self.own.tokens.saturating_add(more.tokens);
        self.own.money = self.own.money.saturating_add(more.money);
    }

    /// Returns the spend on this worker.
    pub(super) fn own(&self) -> Spend {
        self.own
    }

    /// Returns true if the fleet has recorded all spend on this worker.
    pub(super) fn is_reported(&self) -> bool {
        self.own == self.reported
    }

    /// Returns the spend on all workers, as far as known.
    pub(super) fn known(&self) -> Spend {
        let TenantSpend { own, reported, fleet, .. } = self;
        Spend {
            tokens: fleet.tokens.saturating_add(own.tokens - reported.tokens).max(own.tokens),
            money: fleet.money.saturating_add(own.money - reported.money).max(own.money),
        }
    }

    /// Returns the time of the last report to the fleet, successful or not.
    pub(super) fn asked(&mut self) -> &mut Option<Instant> {
        &mut self.asked
    }

    /// Applies the answer to a report: the fleet's spend, with `reported` recorded.
    /// Answers may arrive out of order, so the larger values win: a day's sums only grow.
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
        assert_eq!(spend.known(), sum(105, 11), "the fleet has no report of it yet");
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
        let mut spends = TenantSpends::default();
        spends.on(1).spend(sum(10, 1));
        assert_eq!(spends.on(1).known(), sum(10, 1));
        assert_eq!(spends.on(2).known(), Spend::default());
        assert!(spends.on(2).asked().is_none());
    }

    #[test]
    fn a_late_answer_or_a_clock_step_wipes_no_day() {
        let mut spends = TenantSpends::default();
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
        let mut spends = TenantSpends::default();
        for day in 0..100 {
            spends.on(day).spend(sum(1, 0));
        }
        assert_eq!(spends.0.len(), TenantSpends::MOST_DAYS);
    }
}
