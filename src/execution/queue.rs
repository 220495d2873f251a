//! A call in line for its place: called in time, or told why not.

use tokio::time::Instant;

use crate::execution::{
    Executor,
    request::Limits,
    response::{Output, ResponseEvent},
    session::clock::{Alarm, Clock},
};
use crate::{
    admission::{Permit, Waiting},
    error::{Deadline, Error, Limit},
    event::Phase,
    lifecycle::{Lifecycle, Stage},
    metrics::{self, Metrics},
};

/// A call in line. Dropping it leaves the line.
#[derive(Debug)]
pub struct Queued {
    waiting: Waiting,
    clock: Clock,
    lifecycle: Lifecycle,
    metrics: Metrics,
}

/// What a call in line is told.
#[derive(Debug)]
pub enum QueueEvent {
    /// It has its place.
    Admitted(Permit),
    /// It waits on, and has done so for a while.
    Progress(Output),
}

impl Executor {
    /// A call that waits for its place no longer than its own deadlines, which
    /// count from its arrival.
    pub fn enqueue(&self, waiting: Waiting, arrived: Instant, limits: &Limits) -> Queued {
        let clock = self.clock(arrived, limits);
        let (lifecycle, metrics) = (self.lifecycle.clone(), self.metrics.clone());
        Queued { waiting, clock, lifecycle, metrics }
    }
}

impl Queued {
    /// What happens next; to be asked until there is a place or an error.
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<QueueEvent, Error> {
        let alarm = tokio::select! {
            biased;
            admitted = self.waiting.admitted() => return self.called(admitted),
            () = self.lifecycle.reached(Stage::Draining) => return Err(Executor::draining()),
            alarm = self.clock.alarm() => alarm,
        };
        match alarm {
            Alarm::Deadline(deadline, limit) => {
                Err(Error::Deadline { deadline, limit, phase: Phase::Queued })
            }
            // It is no session yet, and waits for a short while only.
            Alarm::Aged => Err(Executor::draining()),
            Alarm::Progress => Ok(QueueEvent::Progress(self.progress())),
        }
    }

    /// Waits for the place in silence. Cancel safe.
    pub async fn admitted(&mut self) -> Result<Permit, Error> {
        loop {
            if let QueueEvent::Admitted(permit) = self.next().await? {
                return Ok(permit);
            }
        }
    }

    /// When the whole call ends at the latest, and why it then does.
    pub fn deadline(&self) -> (Instant, Error) {
        let (at, limit) = self.clock.end();
        (at, Error::Deadline { deadline: Deadline::Total, limit, phase: Phase::Queued })
    }

    fn called(&self, admitted: Result<Permit, Error>) -> Result<QueueEvent, Error> {
        match &admitted {
            Ok(permit) => self.metrics.waited(permit.waited().unwrap_or_default()),
            Err(error) => count_refusal(&self.metrics, error),
        }
        admitted.map(QueueEvent::Admitted)
    }

    fn progress(&mut self) -> Output {
        self.clock.event();
        let elapsed = self.clock.elapsed();
        Output { sequence: 0, event: ResponseEvent::Progress { phase: Phase::Queued, elapsed } }
    }
}

impl Executor {
    /// Counts a call that met a limit of admission.
    pub fn count_refusal(&self, error: &Error) {
        count_refusal(&self.metrics, error);
    }
}

fn count_refusal(metrics: &Metrics, error: &Error) {
    let Error::Saturated { limit, .. } = error else {
        return;
    };
    metrics.refused(match limit {
        Limit::Executions => metrics::Limit::Executions,
        Limit::Tenant { .. } => metrics::Limit::Tenant,
        Limit::Watches => metrics::Limit::Watches,
        Limit::Descriptors => metrics::Limit::Descriptors,
        Limit::Queue { .. } => metrics::Limit::Queue,
        Limit::Bytes => metrics::Limit::Bytes,
        Limit::Checkers => metrics::Limit::Checkers,
        Limit::TokensPerDay { .. } => metrics::Limit::TokensPerDay,
        Limit::DollarsPerDay { .. } => metrics::Limit::DollarsPerDay,
    });
}
