//! The span of the current work: set while a future is polled or a closure runs,
//! and read by whatever adds to it.

use std::future::Future;

use super::Span;

tokio::task_local! {
    static CURRENT: Span;
}

/// Returns the span of the current work, or one that records nothing.
pub(crate) fn current() -> Span {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

impl Span {
    /// Runs a future with this span as the current one.
    pub(crate) fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }

    /// Runs a closure with this span as the current one.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Ids;

    #[tokio::test]
    async fn work_finds_its_span_also_after_it_has_waited() {
        let ids = Ids { trace: 1.into(), span: 2.into() };
        let span = Span::with_ids(ids);
        assert_eq!(current().ids(), None);
        let found = span.clone().scope(async {
            tokio::task::yield_now().await;
            current().ids()
        });
        assert_eq!(found.await, Some(ids));
        assert_eq!(span.within(|| current().ids()), Some(ids));
        assert_eq!(current().ids(), None);
    }
}
