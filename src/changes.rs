//! Notify and look: the way a task waits for a state that another one brings about.
//!
//! The waiting task registers before it looks, and looks again after every
//! notification; the other one changes the state before it notifies. So no change is
//! missed, whatever the order. The tests try every order.

use std::pin::pin;

use tokio::sync::Notify;

/// The changes of a state that is kept elsewhere, behind a lock.
#[derive(Debug, Default)]
pub(crate) struct Changes(Notify);

impl Changes {
    /// Wakes every waiting task. To be called after the state has changed.
    pub(crate) fn notify(&self) {
        self.0.notify_waiters();
    }

    /// Resolves with what `look` finds, now or after a change. Dropped while it waits,
    /// it has taken nothing.
    pub(crate) async fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.0.notified());
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shuttle::{check_dfs, future::block_on, sync::Mutex, thread};

    use super::*;

    /// A log of which only the length is kept. Its lock is where tasks change turns.
    #[derive(Default)]
    struct CountedLog {
        length: Mutex<u64>,
        changes: Changes,
    }

    impl CountedLog {
        fn append(&self) {
            *self.length.lock().expect("not poisoned") += 1;
            self.changes.notify();
        }

        fn past(&self, length: u64) -> Option<u64> {
            Some(*self.length.lock().expect("not poisoned")).filter(|now| *now > length)
        }

        async fn read(&self, until: u64) {
            let mut read = 0;
            while read < until {
                read = self.changes.wait_for(|| self.past(read)).await;
            }
        }

        /// Does what `wait_for` must not do: looks, and only then registers.
        async fn read_carelessly(&self) {
            while self.past(0).is_none() {
                thread::yield_now();
                self.changes.0.notified().await;
            }
        }
    }

    /// Tries every order of one task that appends and one that reads. A reader that
    /// misses the last event waits forever, which is reported.
    fn in_every_order(events: u64, read: fn(Arc<CountedLog>)) {
        let run = move || {
            let log = Arc::new(CountedLog::default());
            let appended = log.clone();
            let writer = thread::spawn(move || (0..events).for_each(|_| appended.append()));
            read(log);
            writer.join().expect("it appends");
        };
        check_dfs(run, None);
    }

    #[test]
    fn a_reader_misses_no_event_in_any_order() {
        in_every_order(3, |log| block_on(log.read(3)));
    }

    #[test]
    fn two_readers_both_see_the_event_in_any_order() {
        in_every_order(1, |log| {
            let other = log.clone();
            let reader = thread::spawn(move || block_on(other.read(1)));
            block_on(log.read(1));
            reader.join().expect("it reads");
        });
    }

    #[test]
    fn a_reader_that_left_does_not_disturb_the_other() {
        in_every_order(2, |log| {
            let mut left = Box::pin(log.read(2));
            let waker = std::task::Waker::noop();
            let _ = left.as_mut().poll(&mut std::task::Context::from_waker(waker));
            drop(left);
            block_on(log.read(2));
        });
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn a_reader_that_looks_before_it_registers_is_found() {
        in_every_order(1, |log| block_on(log.read_carelessly()));
    }
}
