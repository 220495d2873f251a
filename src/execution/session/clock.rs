//! One subscriber's time: its deadlines, its keepalive and its measurements.
//!
//! Deadlines are our own and cover the whole stream: those of the gRPC stack stop
//! at the response head. One timer serves them all. It is reset only when it fires
//! or would fire too late, never for each token.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::Deadline;
use crate::execution::{
    request::Limits,
    response::Timing,
    settings::{Deadlines, Settings},
};

/// A subscriber's clock.
#[derive(Debug)]
pub(crate) struct Clock {
    arrived: Instant,
    deadlines: Deadlines,
    progress_interval: Duration,
    until: Option<Instant>,
    queued: Option<Duration>,
    looked_up: Option<Duration>,
    first_output: Option<Instant>,
    last_output: Instant,
    last_event: Instant,
    /// Created when an alarm is first awaited: an answer at hand needs none.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The reason an alarm fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A deadline has passed; holds its length.
    Deadline(Deadline, Duration),
    /// The connection has reached its maximum age.
    Aged,
    /// Nothing was sent for the progress interval.
    Progress,
}

impl Clock {
    /// Starts the clock of a call that arrived at `arrived`.
    pub(crate) fn new(arrived: Instant, settings: &Settings, limits: &Limits) -> Clock {
        Clock::with(arrived, settings.deadlines(limits), settings.progress_interval)
    }

    fn with(arrived: Instant, deadlines: Deadlines, progress_interval: Duration) -> Clock {
        Clock {
            arrived,
            deadlines,
            progress_interval,
            until: None,
            queued: None,
            looked_up: None,
            first_output: None,
            last_output: arrived,
            last_event: arrived,
            timer: None,
        }
    }

    /// Sets the end of the connection.
    pub(crate) fn end_before(&mut self, until: Instant) {
        self.until = Some(until);
    }

    /// Returns the end of the connection, if it has one.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Records the time spent in the queue.
    pub(crate) fn queued(&mut self, waited: Option<Duration>) {
        self.queued = waited;
    }

    /// Records the duration of the look-up.
    pub(crate) fn looked_up(&mut self, took: Duration) {
        self.looked_up = Some(took);
    }

    /// Records output that arrived from `first` to `last`; before the call, it counts as
    /// arriving with the call.
    pub(crate) fn output(&mut self, (first, last): (Instant, Instant)) {
        self.first_output.get_or_insert(first.max(self.arrived));
        self.last_output = last.max(self.arrived);
    }

    /// Records that an event was sent.
    pub(crate) fn event(&mut self) {
        self.last_event = Instant::now();
    }

    /// Returns the overall deadline, as an instant and as a length.
    pub(crate) fn end(&self) -> (Instant, Duration) {
        let total = self.deadlines.total;
        (self.arrived + total, total)
    }

    /// Returns the time since the call arrived.
    pub(crate) fn elapsed(&self) -> Duration {
        self.arrived.elapsed()
    }

    /// Returns the measurements so far.
    pub(crate) fn timing(&self, connect: Option<Duration>) -> Timing {
        Timing {
            queue: self.queued,
            cache: self.looked_up,
            connect,
            first_token: self.first_output.map(|at| at.duration_since(self.arrived)),
            total: self.elapsed(),
        }
    }

    /// Resolves when an alarm is due. Cancel safe.
    pub(crate) async fn alarm(&mut self) -> Alarm {
        loop {
            let (at, alarm) = self.next_alarm();
            if at <= Instant::now() {
                return alarm;
            }
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if at < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(at);
            }
            timer.as_mut().await;
        }
    }

    /// Returns the alarm that is due first. At the same instant a deadline takes
    /// precedence over a keepalive, and the overall deadline over a partial one.
    fn next_alarm(&self) -> (Instant, Alarm) {
        let Deadlines { first_token, idle, total, connect: _ } = self.deadlines;
        let part = match self.first_output {
            None => (self.arrived + first_token, Deadline::FirstToken, first_token),
            Some(_) => (self.last_output + idle, Deadline::Idle, idle),
        };
        let whole = (self.arrived + total, Deadline::Total, total);
        let (at, deadline, limit) = if part.0 < whole.0 { part } else { whole };
        let (at, alarm) = match self.until {
            Some(until) if until < at => (until, Alarm::Aged),
            _ => (at, Alarm::Deadline(deadline, limit)),
        };
        let progress = self.last_event + self.progress_interval;
        if progress < at { (progress, Alarm::Progress) } else { (at, alarm) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clock(first_token: u32, idle: u32, total: u32, progress: u32) -> Clock {
        let deadlines = Deadlines {
            connect: SECOND,
            first_token: SECOND * first_token,
            idle: SECOND * idle,
            total: SECOND * total,
        };
        Clock::with(Instant::now(), deadlines, SECOND * progress)
    }

    fn now() -> (Instant, Instant) {
        (Instant::now(), Instant::now())
    }

    async fn fire(clock: &mut Clock) -> (u64, Alarm) {
        let alarm = clock.alarm().await;
        (clock.elapsed().as_secs(), alarm)
    }

    #[tokio::test(start_paused = true)]
    async fn each_deadline_fires_at_its_time() {
        let first_token = Alarm::Deadline(Deadline::FirstToken, SECOND * 5);
        assert_eq!(fire(&mut clock(5, 3, 60, 100)).await, (5, first_token));
        let total = Alarm::Deadline(Deadline::Total, SECOND * 4);
        assert_eq!(fire(&mut clock(5, 3, 4, 100)).await, (4, total));

        let mut streaming = clock(50, 3, 60, 100);
        tokio::time::advance(SECOND * 2).await;
        streaming.output(now());
        let idle = Alarm::Deadline(Deadline::Idle, SECOND * 3);
        assert_eq!(fire(&mut streaming).await, (5, idle));
    }

    #[tokio::test(start_paused = true)]
    async fn output_moves_the_idle_deadline() {
        let mut clock = clock(50, 3, 60, 100);
        clock.output(now());
        for _ in 0..5 {
            tokio::select! {
                _ = clock.alarm() => panic!("there was output in time"),
                () = tokio::time::sleep(SECOND * 2) => {}
            }
            clock.output(now());
        }
        assert_eq!(fire(&mut clock).await.0, 13);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_progress() {
        let mut clock = clock(50, 3, 60, 10);
        assert_eq!(fire(&mut clock).await, (10, Alarm::Progress));
        clock.event();
        assert_eq!(fire(&mut clock).await, (20, Alarm::Progress));
    }
}
