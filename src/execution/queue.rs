//! A call in the queue: admitted in time, or refused with a reason.

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

/// A queued call. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Queued {
    waiting: Waiting,
    clock: Clock,
    lifecycle: Lifecycle,
    metrics: Metrics,
}

/// An event of a queued call.
#[derive(Debug)]
pub enum QueueEvent {
    /// Admitted: it now holds a slot.
    Admitted(Permit),
    /// Still queued after the progress interval.
    Progress(Output),
}

impl Executor {
    /// Queues a call. It waits no longer than its own deadlines, which count from
    /// its arrival.
    pub fn enqueue(&self, waiting: Waiting, arrived: Instant, limits: &Limits) -> Queued {
        let clock = self.clock(arrived, limits);
        let (lifecycle, metrics) = (self.lifecycle.clone(), self.metrics.clone());
        Queued { waiting, clock, lifecycle, metrics }
    }
}

impl Queued {
    /// Returns the next event; called until it admits the call or fails. Cancel safe.
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
            // A queued call has no session to resume, and waits only briefly.
            Alarm::Aged => Err(Executor::draining()),
            Alarm::Progress => Ok(QueueEvent::Progress(self.progress())),
        }
    }

    /// Waits for a slot without reporting progress. Cancel safe.
    pub async fn admitted(&mut self) -> Result<Permit, Error> {
        loop {
            if let QueueEvent::Admitted(permit) = self.next().await? {
                return Ok(permit);
            }
        }
    }

    /// Returns the call's overall deadline, and the error to report once it has
    /// passed.
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
    /// Counts a call refused by an admission limit.
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
