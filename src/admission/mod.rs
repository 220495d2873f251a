//! Admission control: one slot per execution, held until both its caller's stream and the
//! flight it leads have ended.
//!
//! Limits of the gRPC stack end at the response head; this one does not. A call without a
//! free slot waits in a short queue that tenants share fairly; if the queue is full too,
//! the call is refused at once, before any work. `execution` decides which tenant a call
//! belongs to.

mod fair_queue;
mod memory;
mod pacing;
mod request_body;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

pub(crate) use self::request_body::RequestBodyCharge;
use self::{
    fair_queue::{Enqueued, FairQueue, Ticket},
    memory::Charge,
    pacing::Pacing,
};
use crate::{
    changes::Changes,
    error::{Error, Limit},
};

/// Limits of admission and of the queue.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionConfig {
    /// Maximum concurrent executions.
    pub executions: usize,
    /// The same per tenant; calls without a tenant count as one tenant.
    pub executions_per_tenant: usize,
    /// Reserves a tenth of the slots from any one tenant, so that another tenant's call
    /// need not wait for an execution to end.
    pub keeps_for_others: bool,
    /// Maximum number of queued calls; 0 refuses calls without a free slot.
    pub queue_length: usize,
    /// Maximum time in the queue.
    pub queue_timeout: Duration,
    /// Memory for executions and queued calls, in bytes: their requests, answers and
    /// connections.
    pub bytes: u64,
}

impl Default for AdmissionConfig {
    fn default() -> AdmissionConfig {
        AdmissionConfig {
            executions: 10_000,
            executions_per_tenant: 10_000,
            keeps_for_others: true,
            queue_length: 1000,
            queue_timeout: Duration::from_secs(10),
            bytes: 1 << 30,
        }
    }
}

impl AdmissionConfig {
    /// Returns the number of slots that one tenant may hold. Calls without a tenant
    /// belong to all callers that have none, so the reserve does not apply to them.
    pub(super) fn slots(&self, tenant: &str) -> usize {
        let own = self.executions_per_tenant;
        if !self.keeps_for_others || tenant.is_empty() {
            return own;
        }
        own.min(self.executions - self.executions / 10)
    }
}

/// A worker's slots. Clones share one state.
#[derive(Debug, Clone)]
pub struct Admission(Arc<AdmissionState>);

#[derive(Debug)]
struct AdmissionState {
    config: AdmissionConfig,
    queue: Mutex<FairQueue<SlotSender>>,
    pacing: Mutex<Pacing>,
    /// Notified when the last slot has been released and the queue is empty.
    changes: Changes,
}

/// The sender that admits or refuses a queued call. A slot that the call does not take is
/// released by its drop.
type SlotSender = oneshot::Sender<Result<Slot, Limit>>;

/// The result of a call's admission.
#[derive(Debug)]
pub enum Entry {
    /// The call has a slot.
    Admitted(Permit),
    /// The call is queued.
    Queued(Waiting),
}

/// A slot and the memory charged with it, released when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Permit {
    slot: Arc<(Slot, Charge)>,
    waited: Option<Duration>,
}

/// A position in the queue, given up when dropped.
#[derive(Debug)]
pub struct Waiting {
    admission: Admission,
    tenant: Arc<str>,
    ticket: Ticket,
    called: oneshot::Receiver<Result<Slot, Limit>>,
    charge: Option<Charge>,
    since: Instant,
}

#[derive(Debug)]
struct Slot {
    admission: Admission,
    tenant: Arc<str>,
    since: Instant,
}

impl Admission {
    /// Creates an idle worker's admission.
    pub fn new(config: AdmissionConfig) -> Admission {
        let queue = Mutex::new(FairQueue::new(config));
        let pacing = Mutex::default();
        Admission(Arc::new(AdmissionState { config, queue, pacing, changes: Changes::default() }))
    }

    /// Takes a slot for a tenant's call whose decoded request has `request_bytes`, or queues the
    /// call.
    ///
    /// # Errors
    ///
    /// [`Error::Saturated`] if there is neither a slot nor room in the queue, or not
    /// enough memory.
    pub fn admit(&self, tenant: &str, request_bytes: usize) -> Result<Entry, Error> {
        let mut queue = self.queue();
        let bytes = memory::of_request(request_bytes);
        let name = queue.charge(tenant, bytes).map_err(refusal)?;
        let charge = Charge::new(self.clone(), name.clone(), bytes);
        if let Some(tenant) = queue.try_acquire(tenant) {
            return Ok(Entry::Admitted(self.slot(tenant).permit(charge, None)));
        }
        let (caller, called) = oneshot::channel();
        let enqueued = queue.enqueue(tenant, caller);
        drop(queue);
        let Enqueued { tenant, ticket, pushed_out } =
            enqueued.map_err(|limit| self.refusal_of(&name, limit))?;
        if let Some(pushed_out) = pushed_out {
            let _ = pushed_out.send(Err(Limit::Executions));
        }
        let (admission, since) = (self.clone(), Instant::now());
        let charge = Some(charge);
        Ok(Entry::Queued(Waiting { admission, tenant, ticket, called, charge, since }))
    }

    /// Returns the maximum number of concurrent executions.
    pub fn limit(&self) -> usize {
        self.0.config.executions
    }

    /// Returns the number of slots in use.
    pub fn taken(&self) -> usize {
        self.queue().admitted()
    }

    /// Returns the number of queued calls.
    pub fn queued(&self) -> usize {
        self.queue().queued()
    }

    /// Returns the memory in use, in bytes.
    pub fn bytes(&self) -> u64 {
        self.queue().bytes()
    }

    /// Resolves when no slot is in use and no call is queued. Cancel safe.
    pub async fn idle(&self) {
        self.0.changes.wait_for(|| self.queue().is_empty().then_some(())).await;
    }

    fn slot(&self, tenant: Arc<str>) -> Slot {
        Slot { admission: self.clone(), tenant, since: Instant::now() }
    }

    /// Returns the refusal of a call without a slot, with a retry delay after which one
    /// should be free.
    fn refusal_of(&self, tenant: &Arc<str>, limit: Limit) -> Error {
        let slots = self.0.config.slots(tenant).min(self.0.config.executions);
        saturated(limit, self.pacing().wait(tenant, slots, Instant::now()))
    }

    /// Locks the pacing, for a few instructions, which do not panic.
    fn pacing(&self) -> MutexGuard<'_, Pacing> {
        self.0.pacing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, tenant: &Arc<str>) {
        let (next, is_empty) = {
            let mut queue = self.queue();
            (queue.release(tenant), queue.is_empty())
        };
        if let Some((tenant, caller)) = next {
            // A call that has just left the queue drops the slot, and so admits the next
            // call.
            let _ = caller.send(Ok(self.slot(tenant)));
        } else if is_empty {
            self.0.changes.notify();
        }
    }

    fn leave(&self, tenant: &Arc<str>, ticket: Ticket) {
        let is_empty = {
            let mut queue = self.queue();
            queue.leave(tenant, ticket);
            queue.is_empty()
        };
        if is_empty {
            self.0.changes.notify();
        }
    }

    /// Locks the queue, for a few instructions, which do not panic.
    fn queue(&self) -> MutexGuard<'_, FairQueue<SlotSender>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Resolves when the call is admitted or refused. Cancel safe: a slot for a dropped
    /// call goes to the next one.
    ///
    /// # Errors
    ///
    /// [`Error::Saturated`] if no slot was free within the queue timeout, or another
    /// tenant's call displaced this one.
    pub async fn admitted(&mut self) -> Result<Permit, Error> {
        let limit = self.admission.0.config.queue_timeout;
        match timeout_at(self.since + limit, &mut self.called).await {
            Ok(Ok(Ok(slot))) => match self.charge.take() {
                Some(charge) => Ok(slot.permit(charge, Some(self.since.elapsed()))),
                None => Err(Error::Internal("a call in line was called twice")),
            },
            Ok(Ok(Err(limit))) => Err(self.admission.refusal_of(&self.tenant, limit)),
            Ok(Err(_)) => Err(Error::Internal("a call in line was forgotten")),
            Err(_) => {
                let limit = Limit::Queue { waited: limit };
                Err(self.admission.refusal_of(&self.tenant, limit))
            }
        }
    }
}

impl Drop for Waiting {
    /// Leaves the queue first: a slot sent at this moment then finds no receiver, and is
    /// released.
    fn drop(&mut self) {
        self.admission.leave(&self.tenant, self.ticket);
    }
}

impl Permit {
    /// Returns the call's tenant; empty if it has none.
    pub fn tenant(&self) -> &str {
        &self.slot.0.tenant
    }

    /// Returns the time spent in the queue; `None` if the call was admitted at once.
    pub fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// Charges memory for an answer that has grown to `answer_bytes`. Repeated calls
    /// charge only the growth.
    ///
    /// # Errors
    ///
    /// [`Error::Saturated`] if there is not enough memory left.
    pub fn afford(&self, answer_bytes: usize) -> Result<(), Error> {
        if self.slot.1.afford(answer_bytes) { Ok(()) } else { Err(refusal(Limit::Bytes)) }
    }
}

impl Slot {
    fn permit(self, charge: Charge, waited: Option<Duration>) -> Permit {
        Permit { slot: Arc::new((self, charge)), waited }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.admission.pacing().stayed(self.since.elapsed());
        self.admission.release(&self.tenant);
    }
}

/// Returns the refusal for a resource that is soon free again, such as memory. The retry
/// delay is jittered up to twice the minimum, so that callers do not retry in lockstep.
pub(crate) fn saturated_for_a_moment(limit: Limit) -> Error {
    refusal(limit)
}

fn refusal(limit: Limit) -> Error {
    saturated(limit, Pacing::SHORTEST.mul_f64(1.0 + fastrand::f64()))
}

fn saturated(limit: Limit, wait: Duration) -> Error {
    // Whole milliseconds, as in the gRPC pushback.
    let retry_after = Duration::from_millis(wait.as_millis() as u64);
    Error::Saturated { limit, retry_after }
}
