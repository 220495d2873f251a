//! An experiment: what is answered, who answers, what is asked, what is read
//! off it; and running one, in turns.

use std::time::{Duration, Instant};

use crate::{
    answer::Answer,
    contestant::{self, Contestant},
    plan::{Call, Measured, Plan, Stage},
    process::{Child, Output},
    scene::{Place, Protocol, Scene},
};

/// One experiment.
#[derive(Debug)]
pub(crate) struct Experiment {
    pub(crate) title: String,
    pub(crate) answer: Answer,
    pub(crate) call: Call,
    pub(crate) protocol: Protocol,
    pub(crate) threads: usize,
    pub(crate) connections: usize,
    pub(crate) warm_up: Stage,
    pub(crate) measured: Stage,
    pub(crate) scatter: Duration,
    pub(crate) rounds: usize,
    /// In the order of their turns.
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) figures: Vec<Figure>,
}

/// What is read off an experiment, and what Sparkler is to reach.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) metric: Metric,
    /// Whose figure the others are divided by.
    pub(crate) reference: Option<Contestant>,
    /// Who is to reach what.
    pub(crate) aims: Vec<(Contestant, Aim)>,
}

/// What is read off a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Metric {
    CpuPerAnswer,
    CpuPerToken,
    /// Where as much goes through as can.
    TimePerAnswer,
    /// The most memory under load less that of the idle process, a caller.
    MemoryPerStream,
    /// Than without a worker, in the median.
    FirstTokenLater,
    /// Than without a worker, of 100 the second slowest.
    FirstTokenLaterP99,
    Lost,
}

/// What is good enough.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// In the metric's own unit.
    AtMost(f64),
    /// Of the reference's figure.
    Times(f64),
}

impl Metric {
    /// `None` where there is no process to look at, or nothing to compare with.
    pub(crate) fn of(
        self,
        measured: &Measured,
        direct: Option<&Measured>,
        callers: usize,
    ) -> Option<f64> {
        let microseconds = measured.cpu.as_secs_f64() * 1e6;
        let has_process = measured.idle_kib > 0;
        match self {
            Self::CpuPerAnswer => has_process.then(|| microseconds / measured.answers as f64),
            Self::CpuPerToken => has_process.then(|| microseconds / measured.tokens as f64),
            Self::TimePerAnswer => {
                Some(measured.elapsed.as_secs_f64() * 1e6 / measured.answers as f64)
            }
            Self::MemoryPerStream => {
                let more = measured.peak_kib.saturating_sub(measured.idle_kib);
                has_process.then(|| more as f64 / callers as f64)
            }
            Self::FirstTokenLater => Some(measured.first_token.p50 - direct?.first_token.p50),
            Self::FirstTokenLaterP99 => Some(measured.first_token.p99 - direct?.first_token.p99),
            Self::Lost => Some(measured.failures as f64),
        }
    }
}

/// What became of a contestant: a measurement a round, or why there is none.
pub(crate) type Outcome = Result<Vec<Measured>, String>;

impl Experiment {
    /// Runs the rounds; in each, every contestant has its turn, so that a
    /// machine that changes its mood changes it for all of them.
    pub(crate) fn run(&self, place: &Place) -> Vec<(Contestant, Outcome)> {
        let mut outcomes: Vec<(Contestant, Outcome)> =
            self.contestants.iter().map(|contestant| (*contestant, Ok(Vec::new()))).collect();
        for round in 1..=self.rounds {
            for (contestant, outcome) in &mut outcomes {
                let Ok(rounds) = outcome else { continue };
                let start = Instant::now();
                let turn = self.turn(*contestant, place);
                let words = turn.as_ref().map_or_else(|error| format!("{error:#}"), summary);
                eprintln!(
                    "{}, round {round} of {}, {}: {words} [{:.1?}]",
                    self.title,
                    self.rounds,
                    contestant.name(),
                    start.elapsed()
                );
                match turn {
                    Ok(measured) => rounds.push(measured),
                    Err(error) => *outcome = Err(format!("{error:#}")),
                }
            }
        }
        outcomes
    }

    fn turn(&self, contestant: Contestant, place: &Place) -> anyhow::Result<Measured> {
        let (_upstream, upstream) = contestant::start_upstream(self.answer, &place.directory)?;
        let Self { protocol, threads, .. } = *self;
        let scene = Scene { upstream, protocol, threads, place };
        let running = contestant.start(&scene)?;
        let plan = Plan {
            address: running.address,
            face: running.face.clone(),
            call: self.call,
            tokens: self.answer.tokens,
            connections: self.connections,
            warm_up: self.warm_up,
            measured: self.measured,
            scatter: self.scatter,
            watched: running.process(),
        };
        let command = contestant::role("load", &plan)?;
        let mut load = Child::start("load", &command, &place.directory, Output::Read)?;
        // The load gives up on its stages by itself.
        let limit = plan.warm_up.limit + plan.measured.limit + Duration::from_secs(10);
        Ok(serde_json::from_str(&load.finish(limit)?)?)
    }
}

fn summary(measured: &Measured) -> String {
    let per = |count: u64| measured.cpu.as_secs_f64() * 1e6 / count as f64;
    let failure = measured.first_failure.as_deref().unwrap_or("none");
    format!(
        "{} answers in {:.1?}, {:.1} µs CPU each, {:.2} µs a token, first token {:.2} ms, {} to {} \
         KiB, {} failures, the first: {failure}",
        measured.answers,
        measured.elapsed,
        per(measured.answers),
        per(measured.tokens),
        measured.first_token.p50,
        measured.idle_kib,
        measured.peak_kib,
        measured.failures,
    )
}
