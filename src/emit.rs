//! The way from a running node to the flight that keeps its events.

use std::task::{Context, Poll};

use crate::{
    error::Error,
    event::{Delta, Phase, Usage},
};

/// The receiver of a run's events, as they happen.
///
/// The flight's publisher implements it; tests collect into a vector. Nothing
/// is visible to subscribers before [`flush`](Emit::flush), so that the output
/// of one network read goes out together.
pub trait Emit: Send {
    /// Records that the run now waits for something else.
    fn phase(&mut self, phase: Phase);

    /// Emits a piece of output.
    ///
    /// # Errors
    /// [`Error::OutputTooLarge`] beyond the worker's limit; the run must then
    /// end with that error.
    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error>;

    /// Publishes everything emitted since the last flush.
    fn flush(&mut self);

    /// Records the usage that the provider reports; the last report counts. It
    /// is sent as it arrives, since a run may be dropped at any time.
    fn used(&mut self, _usage: &Usage) {}

    /// Resolves as soon as somebody wants each piece of output when it arrives.
    /// While it is pending, output may be read and flushed in batches.
    fn poll_watched(&mut self, _context: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
