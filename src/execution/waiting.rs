//! A call in line for its place: called in time, or told why not.

use tokio::time::Instant;

use super::{
    Executor,
    clock::{Alarm, Clock},
    order::Limits,
    outcome::{Output, OutputEvent},
};
use crate::{
    admission::{Permit, Waiting},
    error::{Deadline, Error},
    event::Phase,
    lifecycle::{Lifecycle, Stage},
};

/// A call in line. Dropping it leaves the line.
#[derive(Debug)]
pub struct InLine {
    waiting: Waiting,
    clock: Clock,
    lifecycle: Lifecycle,
}

/// What a call in line is told.
#[derive(Debug)]
pub enum News {
    /// It has its place.
    Seated(Permit),
    /// It waits on, and has done so for a while.
    Progress(Output),
}

impl Executor {
    /// A call that waits for its place no longer than its own deadlines, which
    /// count from its arrival.
    pub fn in_line(&self, waiting: Waiting, arrived: Instant, limits: &Limits) -> InLine {
        let clock = self.clock(arrived, limits);
        InLine { waiting, clock, lifecycle: self.lifecycle.clone() }
    }
}

impl InLine {
    /// What happens next; to be asked until there is a place or an error.
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<News, Error> {
        let alarm = tokio::select! {
            biased;
            seated = self.waiting.seated() => return seated.map(News::Seated),
            () = self.lifecycle.reached(Stage::Draining) => return Err(Executor::draining()),
            alarm = self.clock.alarm() => alarm,
        };
        match alarm {
            Alarm::Deadline(deadline, limit) => {
                Err(Error::Deadline { deadline, limit, phase: Phase::Queued })
            }
            // It is no session yet, and waits for a short while only.
            Alarm::Aged => Err(Executor::draining()),
            Alarm::Progress => Ok(News::Progress(self.progress())),
        }
    }

    /// Waits for the place in silence. Cancel safe.
    pub async fn seated(&mut self) -> Result<Permit, Error> {
        loop {
            if let News::Seated(permit) = self.next().await? {
                return Ok(permit);
            }
        }
    }

    /// When the whole call ends at the latest, and why it then does.
    pub fn deadline(&self) -> (Instant, Error) {
        let (at, limit) = self.clock.end();
        (at, Error::Deadline { deadline: Deadline::Total, limit, phase: Phase::Queued })
    }

    fn progress(&mut self) -> Output {
        self.clock.event();
        let elapsed = self.clock.elapsed();
        Output { sequence: 0, event: OutputEvent::Progress { phase: Phase::Queued, elapsed } }
    }
}
