//! A response body that plays steps in real time and reports the outcome to the
//! ledger. The HTTP server polls it and drops it.

pub(crate) mod chunk;
pub(crate) mod extras;
pub(crate) mod headers;
pub(crate) mod performance;
pub(crate) mod reply;
pub(crate) mod shape;
pub(crate) mod step;
pub(crate) mod timeline;
pub(crate) mod unstreamed;

use std::{collections::VecDeque, io, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::Instant;

use crate::{
    ledger::Call,
    playback::step::{Step, Write},
};

/// The delay before a connection is cut, so that written bytes leave: hyper
/// drops the contents of its buffers.
const SETTLE: Duration = Duration::from_millis(10);

/// Returns the body. If the client leaves, the server drops it, and with it the
/// [`Call`], which counts the call as aborted.
pub(crate) fn body(steps: VecDeque<Step>, call: Call) -> Body {
    let playback = Playback { steps, call, due: None };
    Body::from_stream(stream::unfold(playback, |mut playback| async move {
        let item = playback.next().await?;
        Some((item, playback))
    }))
}

struct Playback {
    steps: VecDeque<Step>,
    call: Call,
    /// The scheduled end of the last wait. Waits count from there, not from
    /// now: a timer is a millisecond late, and deltas are closer together than
    /// that.
    due: Option<Instant>,
}

impl Playback {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let Some(step) = self.steps.pop_front() else {
                self.call.completed();
                return None;
            };
            match step {
                Step::Wait(time) => self.wait(time).await,
                Step::Write(write) => return Some(Ok(self.write(write))),
                Step::Flush => tokio::task::yield_now().await,
                Step::Stall(lasting) => self.stall(lasting).await,
                Step::Repeat(write) => {
                    // Endless, but yields to other tasks each time.
                    tokio::task::yield_now().await;
                    self.steps.push_front(Step::Repeat(write.clone()));
                    return Some(Ok(self.write(write)));
                }
                Step::Cut => {
                    tokio::time::sleep(SETTLE).await;
                    self.call.cut();
                    self.steps.clear();
                    return Some(Err(io::Error::other("cut by a fault")));
                }
            }
        }
    }

    async fn wait(&mut self, time: Duration) {
        let due = self.due.unwrap_or_else(Instant::now) + time;
        self.due = Some(due);
        tokio::time::sleep_until(due).await;
    }

    fn write(&mut self, write: Write) -> Bytes {
        self.call.wrote(write.deltas, write.tokens);
        write.bytes
    }

    async fn stall(&mut self, lasting: Option<Duration>) {
        let _stalling = self.call.stall();
        self.due = None;
        match lasting {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    }
}
