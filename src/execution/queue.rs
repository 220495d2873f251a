//! A call in the queue: admitted in time, or refused with a reason.

use tokio::time::Instant;

use crate::execution::{
    Services,
    observe::refusal::count_refusal,
    request::Limits,
    response::{Output, ResponseEvent},
    session::clock::{Alarm, Clock},
};
use crate::{
    admission::{Permit, Waiting},
    error::{Deadline, Error},
    event::Phase,
    lifecycle::{Lifecycle, Stage},
    metrics::Metrics,
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

impl Queued {
    /// Queues a call. It waits no longer than its own deadlines, which count from
    /// its arrival.
    pub(super) fn new(
        services: &Services,
        waiting: Waiting,
        arrived: Instant,
        limits: &Limits,
    ) -> Queued {
        let clock = Clock::new(arrived, &services.settings, limits);
        let (lifecycle, metrics) = (services.lifecycle.clone(), services.metrics.clone());
        Queued { waiting, clock, lifecycle, metrics }
    }

    /// Returns the next event; called until it admits the call or fails. Cancel safe.
    pub async fn next(&mut self) -> Result<QueueEvent, Error> {
        let alarm = tokio::select! {
            biased;
            admitted = self.waiting.admitted() => return self.called(admitted),
            () = self.lifecycle.reached(Stage::Draining) => return Err(Error::DRAINING),
            alarm = self.clock.alarm() => alarm,
        };
        match alarm {
            Alarm::Deadline(deadline, limit) => {
                Err(Error::Deadline { deadline, limit, phase: Phase::Queued })
            }
            // A queued call has no session to resume, and waits only briefly.
            Alarm::Aged => Err(Error::DRAINING),
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
