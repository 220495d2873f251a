//! Who gets a place: one an execution, held until both its caller's stream and
//! the flight it leads have ended.
//!
//! Limits of the gRPC stack end at the response head; this one does not. Who
//! finds no place waits in a short line, which is shared alike by the tenants;
//! who finds no room there either is refused at once, before any work.
//!
//! Called by `execution`, which asks it before anything else; who is whose
//! tenant is decided there.

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
    sync::{Notify, oneshot},
    time::{Instant, timeout_at},
};

pub use self::request_body::RequestBodyCharge;
use self::{
    fair_queue::{Enqueued, FairQueue, Ticket},
    memory::Charge,
    pacing::Pacing,
};
use crate::error::{Error, Limit};

/// How many may execute, and wait.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionConfig {
    /// Executions at a time.
    pub executions: usize,
    /// The same of one tenant; those without one count as one.
    pub executions_per_tenant: usize,
    /// Whether a tenth of the places is not for a tenant that has all the others:
    /// who comes then need not wait for the end of an execution.
    pub keeps_for_others: bool,
    /// Calls in line, in all; without any, who finds no place is refused.
    pub queue_length: usize,
    /// How long a call waits in line at most.
    pub queue_timeout: Duration,
    /// Memory for executions, and for calls in line: their requests, answers
    /// and connections, in bytes.
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
    /// The places that one tenant may have. Calls without a tenant are those of
    /// all who have none, and may have them all.
    pub(super) fn places(&self, tenant: &str) -> usize {
        let own = self.executions_per_tenant;
        if !self.keeps_for_others || tenant.is_empty() {
            return own;
        }
        own.min(self.executions - self.executions / 10)
    }
}

/// The places of a worker. Clones are one.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: AdmissionConfig,
    queue: Mutex<FairQueue<Caller>>,
    pacing: Mutex<Pacing>,
    /// Rung when the last place was given back and nobody is in line.
    empty: Notify,
}

/// Where a call in line is told. A place that it does not take comes back by
/// its drop.
type Caller = oneshot::Sender<Result<Place, Limit>>;

/// What came of a call that wants in.
#[derive(Debug)]
pub enum Entry {
    /// It has a place.
    Admitted(Permit),
    /// It is in line for one.
    Queued(Waiting),
}

/// A place and the memory that goes with it, given back when the last clone is
/// dropped.
#[derive(Debug, Clone)]
pub struct Permit {
    slot: Arc<(Place, Charge)>,
    waited: Option<Duration>,
}

/// A place in line, given up when dropped.
#[derive(Debug)]
pub struct Waiting {
    admission: Admission,
    tenant: Arc<str>,
    ticket: Ticket,
    called: oneshot::Receiver<Result<Place, Limit>>,
    charge: Option<Charge>,
    since: Instant,
}

#[derive(Debug)]
struct Place {
    admission: Admission,
    tenant: Arc<str>,
    since: Instant,
}

impl Admission {
    /// A worker with nobody in it.
    pub fn new(config: AdmissionConfig) -> Admission {
        let queue = Mutex::new(FairQueue::new(config));
        let pacing = Mutex::default();
        Admission(Arc::new(Shared { config, queue, pacing, empty: Notify::new() }))
    }

    /// Takes a place for a tenant's call with a request of so many bytes, or
    /// lines up for one, or says that there is room for neither.
    pub fn admit(&self, tenant: &str, request_bytes: usize) -> Result<Entry, Error> {
        let mut queue = self.queue();
        let bytes = memory::of_request(request_bytes);
        let name = queue.charge(tenant, bytes).map_err(refusal)?;
        let charge = Charge::new(self.clone(), name.clone(), bytes);
        if let Some(tenant) = queue.try_acquire(tenant) {
            return Ok(Entry::Admitted(self.place(tenant).permit(charge, None)));
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

    /// The places there are.
    pub fn limit(&self) -> usize {
        self.0.config.executions
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.queue().admitted()
    }

    /// Calls in line.
    pub fn queued(&self) -> usize {
        self.queue().queued()
    }

    /// Memory taken, in bytes.
    pub fn bytes(&self) -> u64 {
        self.queue().bytes()
    }

    /// Resolves when no place is taken and nobody is in line. Cancel safe.
    pub async fn idle(&self) {
        loop {
            let empty = self.0.empty.notified();
            tokio::pin!(empty);
            // Registered before the look, so that what comes between is not
            // missed.
            empty.as_mut().enable();
            if self.queue().is_empty() {
                return;
            }
            empty.await;
        }
    }

    fn place(&self, tenant: Arc<str>) -> Place {
        Place { admission: self.clone(), tenant, since: Instant::now() }
    }

    /// Sends one away who found no place, for as long as it may take until there
    /// is one.
    fn refusal_of(&self, tenant: &Arc<str>, limit: Limit) -> Error {
        let places = self.0.config.places(tenant).min(self.0.config.executions);
        saturated(limit, self.pacing().wait(tenant, places, Instant::now()))
    }

    /// Held for a few instructions, which do not panic.
    fn pacing(&self) -> MutexGuard<'_, Pacing> {
        self.0.pacing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, tenant: &Arc<str>) {
        let (next, is_empty) = {
            let mut queue = self.queue();
            (queue.release(tenant), queue.is_empty())
        };
        if let Some((tenant, caller)) = next {
            // One who has just left the line drops the place, and so calls the
            // next.
            let _ = caller.send(Ok(self.place(tenant)));
        } else if is_empty {
            self.0.empty.notify_waiters();
        }
    }

    fn leave(&self, tenant: &Arc<str>, ticket: Ticket) {
        let is_empty = {
            let mut queue = self.queue();
            queue.leave(tenant, ticket);
            queue.is_empty()
        };
        if is_empty {
            self.0.empty.notify_waiters();
        }
    }

    /// Held for a few instructions, which do not panic.
    fn queue(&self) -> MutexGuard<'_, FairQueue<Caller>> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Resolves when there is a place, or when there is none in time. Cancel
    /// safe: a place that nobody waits for goes to the next.
    pub async fn admitted(&mut self) -> Result<Permit, Error> {
        let limit = self.admission.0.config.queue_timeout;
        match timeout_at(self.since + limit, &mut self.called).await {
            Ok(Ok(Ok(place))) => match self.charge.take() {
                Some(charge) => Ok(place.permit(charge, Some(self.since.elapsed()))),
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
    /// Leaves the line first: a place that is sent in this moment then finds
    /// nobody, and comes back.
    fn drop(&mut self) {
        self.admission.leave(&self.tenant, self.ticket);
    }
}

impl Permit {
    /// Whose it is; empty without a tenant.
    pub fn tenant(&self) -> &str {
        &self.slot.0.tenant
    }

    /// How long it was waited for; `None` when it was there at once.
    pub fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// Takes memory for an answer that has grown to so many bytes; fails where
    /// there is none left. To be asked again as it grows: what was taken counts.
    pub fn afford(&self, answer_bytes: usize) -> Result<(), Error> {
        if self.slot.1.afford(answer_bytes) { Ok(()) } else { Err(refusal(Limit::Bytes)) }
    }
}

impl Place {
    fn permit(self, charge: Charge, waited: Option<Duration>) -> Permit {
        Permit { slot: Arc::new((self, charge)), waited }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.pacing().stayed(self.since.elapsed());
        self.admission.release(&self.tenant);
    }
}

/// Returns the refusal of what is free again in a moment, such as memory: up to
/// twice the shortest wait, so that they do not all come back together.
pub fn saturated_for_a_moment(limit: Limit) -> Error {
    refusal(limit)
}

fn refusal(limit: Limit) -> Error {
    saturated(limit, Pacing::SHORTEST.mul_f64(1.0 + fastrand::f64()))
}

fn saturated(limit: Limit, wait: Duration) -> Error {
    // In whole milliseconds, as the pushback has it.
    let retry_after = Duration::from_millis(wait.as_millis() as u64);
    Error::Saturated { limit, retry_after }
}
