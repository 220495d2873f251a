//! How far a text is on its way to the provider.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

/// Set once a text is on its way to the provider, and so paid for: alone, or with texts of
/// other executions.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<AtomicU8>);

impl Begun {
    const ALONE: u8 = 1;
    const GATHERED: u8 = 2;

    /// Returns true if it is on its way.
    pub(super) fn has(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Returns true if its request has texts of other executions.
    pub(super) fn is_gathered(&self) -> bool {
        self.0.load(Ordering::Acquire) == Begun::GATHERED
    }

    /// Notes that its request begins.
    pub(super) fn begin(&self, is_gathered: bool) {
        let how = if is_gathered { Begun::GATHERED } else { Begun::ALONE };
        self.0.store(how, Ordering::Release);
    }
}
