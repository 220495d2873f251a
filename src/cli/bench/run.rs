//! Runs a plan: warms up, then measures every scenario in each round.
//!
//! All requests of a batch are polled by one task, so that dropping the run, as Ctrl-C
//! does, cancels them at once; what was measured until then stays.

use std::time::{Duration, Instant, SystemTime};

use anyhow::anyhow;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::{
    super::failure::CommandError,
    arguments::Via,
    budget::Budget,
    plan::{BenchPlan, Scenario, Turn},
    progress::ProgressLine,
    sample::Sample,
    target::{BenchFailure, Direct, Measured, Remote},
};

/// The parties that requests are sent to, as far as the plan needs them.
pub(super) struct Targets {
    pub(super) direct: Option<Direct>,
    pub(super) worker: Option<Remote>,
}

/// The measurements of a benchmark so far.
#[derive(Debug)]
pub(super) struct Measurements {
    pub(super) started_at: SystemTime,
    /// Every request that ended, the warm-up included.
    pub(super) samples: Vec<Sample>,
    pub(super) budget: Budget,
    pub(super) end: BenchEnd,
}

/// The end of a benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BenchEnd {
    /// All of the plan was measured.
    Completed,
    /// The budget does not cover the dearest that the next request can cost.
    BudgetReached,
    /// Interrupted by Ctrl-C.
    Interrupted,
}

impl BenchEnd {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            BenchEnd::Completed => "completed",
            BenchEnd::BudgetReached => "budget_reached",
            BenchEnd::Interrupted => "interrupted",
        }
    }
}

impl Measurements {
    pub(super) fn new(budget: Budget) -> Measurements {
        Measurements {
            started_at: SystemTime::now(),
            samples: Vec::new(),
            budget,
            end: BenchEnd::Completed,
        }
    }
}

/// A run of a plan.
pub(super) struct Runner<'a> {
    plan: &'a BenchPlan,
    targets: &'a Targets,
    measurements: &'a mut Measurements,
    progress: ProgressLine<'a>,
    begun: Instant,
    /// Requests sent so far, which makes each nonce unlike the others.
    sent: u64,
    /// Makes the nonces of this run unlike those of every other.
    run_id: u32,
}

impl<'a> Runner<'a> {
    pub(super) fn new(
        plan: &'a BenchPlan,
        targets: &'a Targets,
        measurements: &'a mut Measurements,
        progress: ProgressLine<'a>,
    ) -> Runner<'a> {
        let begun = Instant::now();
        Runner { plan, targets, measurements, progress, begun, sent: 0, run_id: fastrand::u32(..) }
    }

    /// Measures the plan to its end, or to that of the budget. Dropping the future
    /// cancels what is in flight; its reservations stay in the budget.
    pub(super) async fn run(mut self) -> Result<(), CommandError> {
        for turn in turns(self.plan) {
            self.turn(turn).await?;
            if self.measurements.end != BenchEnd::Completed {
                break;
            }
        }
        Ok(())
    }

    async fn turn(&mut self, turn: Turn) -> Result<(), CommandError> {
        let (plan, targets) = (self.plan, self.targets);
        let scenario = &plan.scenarios[turn.scenario];
        let dearest = plan.dearest(turn.scenario);
        let begun = Instant::now();
        let mut requests = FuturesUnordered::new();
        let mut sent = 0;
        let mut last = turn.requests;
        self.progress.begin(turn);
        while sent < last || !requests.is_empty() {
            let has_room = sent < last && requests.len() < scenario.load.max_in_flight();
            let due = has_room.then(|| scenario.load.due(sent).map_or(begun, |due| begun + due));
            if due.is_some_and(|due| due <= Instant::now()) {
                if !self.measurements.budget.reserve(dearest) {
                    self.measurements.end = BenchEnd::BudgetReached;
                    last = sent;
                    continue;
                }
                let prompt = scenario.prompt.prompt(sent, self.nonce().as_deref());
                let due = scenario.load.due(sent).map(|due| begun + due);
                requests.push(call(targets, plan, scenario, prompt, due));
                sent += 1;
                continue;
            }
            let next = async {
                tokio::select! {
                    Some(ended) = requests.next(), if !requests.is_empty() => Some(ended),
                    () = until(due), if due.is_some() => None,
                }
            };
            if let Some(ended) = self.progress.during(next, &self.measurements.budget).await {
                self.measurements.take(plan, self.begun, turn, dearest, &ended);
                self.progress.ended();
                ended.check_warm_up(scenario, turn)?;
            }
        }
        self.progress.end(turn, begun.elapsed());
        Ok(())
    }

    fn nonce(&mut self) -> Option<String> {
        self.sent += 1;
        self.plan.unique.then(|| format!("{:08x}-{}", self.run_id, self.sent))
    }
}

/// Returns every turn in order. Odd rounds go forward and even ones backward, so that
/// a provider that slows down with time does so to all alike.
fn turns(plan: &BenchPlan) -> impl Iterator<Item = Turn> {
    let count = plan.scenarios.len();
    (0..=plan.rounds).flat_map(move |round| {
        (0..count).map(move |index| Turn {
            scenario: if round > 0 && round % 2 == 0 { count - 1 - index } else { index },
            round,
            requests: if round == 0 { plan.warm_up } else { plan.requests },
        })
    })
}

async fn until(due: Option<Instant>) {
    if let Some(due) = due {
        tokio::time::sleep_until(due.into()).await;
    }
}

/// A request that ended, with its times.
#[derive(Debug)]
struct EndedRequest {
    start: Instant,
    end: Instant,
    measured: Measured,
}

/// Makes one request. Its time counts from when it was due.
async fn call(
    targets: &Targets,
    plan: &BenchPlan,
    scenario: &Scenario,
    prompt: String,
    due: Option<Instant>,
) -> EndedRequest {
    let start = due.unwrap_or_else(Instant::now);
    let measured = match (scenario.via, &targets.direct, &targets.worker) {
        (Via::Direct, Some(direct), _) => {
            direct.call(scenario.fields.clone(), prompt, plan.options).await
        }
        (Via::Worker, _, Some(worker)) => {
            worker.call(scenario.config.clone(), prompt, plan.options).await
        }
        (Via::Direct | Via::Worker, _, _) => unreachable!("the plan names the targets it needs"),
    };
    EndedRequest { start, end: Instant::now(), measured }
}

impl EndedRequest {
    /// Ends the benchmark where its first request shows that all others would fail.
    fn check_warm_up(&self, scenario: &Scenario, turn: Turn) -> Result<(), CommandError> {
        match &self.measured.failure {
            Some(BenchFailure { reason, message, is_lasting: true }) if turn.round == 0 => {
                Err(CommandError::Other(anyhow!("{}: {reason}: {message}", scenario.name())))
            }
            _ => Ok(()),
        }
    }

    fn since_start(&self, moment: Option<Instant>) -> Option<Duration> {
        moment.map(|moment| moment.duration_since(self.start))
    }
}

impl Measurements {
    /// Settles a request with the budget and keeps its sample.
    fn take(
        &mut self,
        plan: &BenchPlan,
        begun: Instant,
        turn: Turn,
        reserved: i64,
        ended: &EndedRequest,
    ) {
        let scenario = &plan.scenarios[turn.scenario];
        let measured = &ended.measured;
        let cost = cost(plan, scenario, measured);
        let unknown = scenario.dearest.unwrap_or(0).saturating_mul(measured.unaccounted.into());
        self.budget.settle(reserved, cost.unwrap_or(0).saturating_add(unknown));
        let watch = measured.watch;
        self.samples.push(Sample {
            scenario: turn.scenario,
            round: turn.round,
            start: ended.start.duration_since(begun),
            latency: ended.end.duration_since(ended.start),
            first_token: ended.since_start(watch.first),
            streaming: watch.first.zip(watch.last).map(|(first, last)| last - first),
            usage: measured.usage,
            attempts: measured.attempts,
            is_reused: measured.is_reused,
            cost,
            failure: measured.failure.as_ref().map(|failure| failure.reason.clone()),
        });
    }
}

/// Returns the cost of a request if it is known; the worker's figure if it is higher,
/// because it includes attempts that failed. A failed request has a cost of 0 or an
/// unknown one.
fn cost(plan: &BenchPlan, scenario: &Scenario, measured: &Measured) -> Option<i64> {
    if measured.is_reused || measured.failure.is_some() {
        return (measured.unaccounted == 0).then_some(0);
    }
    let usage = measured.usage.as_ref();
    let priced = usage.and_then(|usage| plan.prices.cost(&scenario.model, &scenario.tier, usage));
    priced.map(|priced| priced.cost).max(measured.reported_cost)
}
