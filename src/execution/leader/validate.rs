//! Compiles schemas and checks answers where it holds nobody up: off the executing
//! threads, a few at a time, and few of a tenant.
//!
//! Each is bounded before it begins (`output` counts what it would take), so each
//! ends by itself and gives its slot back. A tenant waits for its own share first,
//! and so holds at most that share of the line for the slots.
//!
//! Called by the service, for schemas, and by the leader, for answers.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
    thread::available_parallelism,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    task::spawn_blocking,
    time::timeout,
};

use crate::execution::Executor;
use crate::{
    callers::Caller,
    error::{Error, Limit},
    output::{OutputFormat, Schema},
};

/// How long a schema waits for a slot. An answer, which is paid for, waits as
/// long as its callers do.
const WAIT: Duration = Duration::from_secs(5);
/// Tenants are forgotten beyond that, where they have nothing under way.
const TENANTS: usize = 1024;

/// The slots: of the process, as its processors are.
static CHECKERS: LazyLock<Checkers> = LazyLock::new(Checkers::new);

struct Checkers {
    slots: Semaphore,
    share: usize,
    shares: Mutex<HashMap<Arc<str>, Weak<Semaphore>>>,
}

impl Checkers {
    /// Half of the processors: the others go on with streams.
    fn new() -> Checkers {
        let slots = (available_parallelism().map_or(1, usize::from) / 2).clamp(1, 8);
        let share = slots.div_ceil(2);
        Checkers { slots: Semaphore::new(slots), share, shares: Mutex::default() }
    }

    fn share(&self, tenant: &str) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(tenant).and_then(Weak::upgrade) {
            return share;
        }
        if shares.len() >= TENANTS {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(tenant.into(), Arc::downgrade(&share));
        share
    }

    async fn slot(&'static self, tenant: &str) -> Slot {
        // Neither is ever closed.
        let share = self.share(tenant).acquire_owned().await.ok();
        let slot = self.slots.acquire().await.ok();
        Slot { _slot: slot, _share: share }
    }
}

/// Held by the work itself, which goes on where nobody waits for it any more.
struct Slot {
    _slot: Option<SemaphorePermit<'static>>,
    _share: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl Executor {
    /// Compiles the schema of a call, or tells why it cannot be one. Fails where no
    /// slot was free in time, which is not the schema's fault.
    pub async fn compile(
        &self,
        caller: &Caller,
        named_tenant: &str,
        text: String,
    ) -> Result<Result<Schema, String>, Error> {
        let tenant = self.tenant(caller.tenant.as_deref(), named_tenant).unwrap_or_default();
        let Ok(slot) = timeout(WAIT, CHECKERS.slot(tenant)).await else {
            let retry_after = WAIT.mul_f64(0.5 + fastrand::f64());
            let error = Error::Saturated { limit: Limit::Checkers, retry_after };
            self.count_refusal(&error);
            return Err(error);
        };
        let compiling = spawn_blocking(move || {
            let _slot = slot;
            Schema::parse(&text)
        });
        compiling.await.map_err(|_| Error::Internal("the reading of a schema panicked"))
    }
}

/// Whether an answer has the form. Dropped, it leaves a check that goes on for
/// nobody, and soon ends.
pub(crate) async fn inspect(
    output: &OutputFormat,
    text: String,
    tenant: &str,
) -> Result<(), Error> {
    let slot = CHECKERS.slot(tenant).await;
    let output = output.clone();
    let checking = spawn_blocking(move || {
        let _slot = slot;
        output.check(&text)
    });
    checking.await.unwrap_or(Err(Error::Internal("the check of an answer panicked")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tenant_waits_for_its_own_share_only() {
        let slots = Semaphore::new(2);
        let checkers = Checkers { slots, share: 1, shares: Mutex::default() };
        let checkers: &'static Checkers = Box::leak(Box::new(checkers));
        let greedy = checkers.slot("greedy").await;
        let short = Duration::from_millis(20);
        assert!(timeout(short, checkers.slot("greedy")).await.is_err());
        let modest = timeout(short, checkers.slot("modest")).await.expect("a slot");
        drop((greedy, modest));
        timeout(short, checkers.slot("greedy")).await.expect("a slot again");
    }
}
