//! A bounded set of tasks of one port: beyond the bound the oldest is aborted. A
//! genuine caller finishes in milliseconds; the slowest task is the least likely to
//! be one.

use std::collections::VecDeque;

use tokio::task::{AbortHandle, JoinError, JoinSet};

/// A bounded set of tasks. They end when it is dropped.
pub(super) struct BoundedTasks<T> {
    most: usize,
    tasks: JoinSet<T>,
    oldest_first: VecDeque<AbortHandle>,
}

impl<T: Send + 'static> BoundedTasks<T> {
    pub(super) fn new(most: usize) -> BoundedTasks<T> {
        BoundedTasks { most, tasks: JoinSet::new(), oldest_first: VecDeque::new() }
    }

    /// Starts a task; the oldest is aborted if the set is full.
    #[expect(clippy::disallowed_methods, reason = "aborted with the set")]
    pub(super) fn begin(&mut self, task: impl Future<Output = T> + Send + 'static) {
        while self.oldest_first.front().is_some_and(AbortHandle::is_finished) {
            self.oldest_first.pop_front();
        }
        // Tasks that ended behind one that lasts.
        if self.oldest_first.len() > 2 * self.most {
            self.oldest_first.retain(|task| !task.is_finished());
        }
        if self.tasks.len() >= self.most
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            oldest.abort();
        }
        self.oldest_first.push_back(self.tasks.spawn(task));
    }

    /// Returns the next task that has ended; an error is a task that was aborted or
    /// panicked. `None` while there are none. Cancel safe.
    pub(super) async fn ended(&mut self) -> Option<Result<T, JoinError>> {
        self.tasks.join_next().await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn the_oldest_gives_way_and_no_other() {
        let mut tasks = BoundedTasks::new(2);
        tasks.begin(pending());
        tasks.begin(pending());
        tasks.begin(ready(3));
        let ended = [tasks.ended().await, tasks.ended().await].map(|ended| ended.expect("one"));
        assert_eq!(ended.iter().filter(|ended| matches!(ended, Ok(3))).count(), 1);
        assert!(ended.iter().any(|ended| ended.as_ref().is_err_and(JoinError::is_cancelled)));
        assert_eq!(tasks.tasks.len(), 1);
    }

    #[tokio::test]
    async fn those_that_ended_are_forgotten_behind_one_that_lasts() {
        let mut tasks = BoundedTasks::new(4);
        tasks.begin(pending());
        for number in 0..1000 {
            tasks.begin(ready(number));
            tasks.ended().await.expect("one").expect("it ends");
        }
        assert!(tasks.oldest_first.len() <= 10, "{}", tasks.oldest_first.len());
    }
}
