//! The progress of a benchmark, on a terminal: what is measured, how much is done and
//! spent, and about how long the rest takes.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use super::{
    super::{execute::waterfall, terminal::PhaseLine, units},
    budget::Budget,
    plan::{BenchPlan, Turn},
};

/// The columns left for the spinner and the time so far.
const REST_OF_LINE: usize = 12;

/// The progress line, and what its estimate rests on.
#[derive(Debug)]
pub(super) struct ProgressLine<'a> {
    plan: &'a BenchPlan,
    line: PhaseLine,
    turn: Turn,
    begun: Instant,
    done: u64,
    /// The time of each scenario's latest turn.
    lasted: Vec<Option<Duration>>,
}

impl<'a> ProgressLine<'a> {
    pub(super) fn new(plan: &'a BenchPlan, wanted: bool) -> ProgressLine<'a> {
        ProgressLine {
            plan,
            line: PhaseLine::new("starting", wanted),
            turn: Turn { scenario: 0, round: 0, requests: 0 },
            begun: Instant::now(),
            done: 0,
            lasted: vec![None; plan.scenarios.len()],
        }
    }

    /// Begins a turn.
    pub(super) fn begin(&mut self, turn: Turn) {
        self.turn = turn;
        self.begun = Instant::now();
    }

    /// Awaits `future` and shows the progress meanwhile.
    pub(super) async fn during<T>(
        &mut self,
        future: impl Future<Output = T>,
        budget: &Budget,
    ) -> T {
        let text = self.text(budget);
        let width = waterfall::width().saturating_sub(REST_OF_LINE);
        self.line.set(text.chars().take(width).collect::<String>());
        self.line.during(future).await
    }

    /// Counts a request that ended.
    pub(super) fn ended(&mut self) {
        self.done += u64::from(self.turn.round > 0);
    }

    /// Ends a turn.
    pub(super) fn end(&mut self, turn: Turn, elapsed: Duration) {
        if turn.round > 0 {
            self.lasted[turn.scenario] = Some(elapsed);
        }
    }

    fn text(&self, budget: &Budget) -> String {
        let Turn { scenario, round, .. } = self.turn;
        let round: Cow<'_, str> = match round {
            0 => "warm-up".into(),
            round => format!("round {round} of {}", self.plan.rounds).into(),
        };
        let left = self.left().map_or_else(String::new, |left| {
            format!(" · about {} left", units::span(Duration::from_secs(left.as_secs().max(1))))
        });
        format!(
            "{round}{left} · {} of {} requests · {} · {} ·",
            self.done,
            self.plan.total(),
            units::dollars(budget.spent()),
            self.plan.scenarios[scenario].name(),
        )
    }

    /// Estimates the time left: each scenario takes as long as its latest turn, and an
    /// unmeasured one as long as the others on average.
    fn left(&self) -> Option<Duration> {
        let known: Vec<Duration> = self.lasted.iter().flatten().copied().collect();
        let average = known.iter().sum::<Duration>() / u32::try_from(known.len()).ok()?.max(1);
        if known.is_empty() {
            return None;
        }
        let round: Duration = self.lasted.iter().map(|lasted| lasted.unwrap_or(average)).sum();
        let share = self.plan.scenarios.len() as u64 * u64::from(self.plan.requests);
        let rounds_left = self.plan.rounds as f64 - self.done as f64 / share as f64;
        Some(round.mul_f64(rounds_left.max(0.0)))
    }
}
