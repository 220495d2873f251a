//! Estimates the worker's memory that executions use from the size of their texts, since
//! an allocator cannot attribute memory to executions.
//!
//! A request is charged before it is parsed, an answer as it grows. The estimates are
//! meant to be too high rather than too low.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::Admission;

/// Memory of a call beside its texts, in bytes: its streams, tasks and table entries, and
/// the beginning of its answer.
pub(super) const CALL_BYTES: u64 = 64 << 10;
/// The bytes of an answer that `CALL_BYTES` covers.
const FIRST_OF_ANSWER_BYTES: usize = 8 << 10;
/// A request exists as received, as sent upstream, and in transit.
const REQUEST_COPIES: u64 = 3;
/// An answer exists as published, joined, and in transit.
const ANSWER_COPIES: u64 = 3;
/// Answers are charged in steps of this many bytes, not by the token.
const STEP_BYTES: u64 = 64 << 10;

/// Returns the charge for a call whose request has `bytes`.
pub(super) fn of_request(bytes: usize) -> u64 {
    CALL_BYTES.saturating_add((bytes as u64).saturating_mul(REQUEST_COPIES))
}

/// Memory charged for one call, released when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    admission: Admission,
    tenant: Arc<str>,
    request: u64,
    /// The part for the answer so far. Grows only while the queue is locked.
    answer: AtomicU64,
}

impl Charge {
    pub(super) fn new(admission: Admission, tenant: Arc<str>, request: u64) -> Charge {
        Charge { admission, tenant, request, answer: AtomicU64::new(0) }
    }

    /// Charges the growth of an answer to `answer_bytes`; returns false if not enough
    /// memory is left.
    pub(super) fn afford(&self, answer_bytes: usize) -> bool {
        let needs = of_answer(answer_bytes);
        if needs <= self.answer.load(Ordering::Relaxed) {
            return true;
        }
        let mut queue = self.admission.queue();
        let has = self.answer.load(Ordering::Relaxed);
        if needs > has {
            if !queue.grow(&self.tenant, needs - has) {
                return false;
            }
            self.answer.store(needs, Ordering::Relaxed);
        }
        true
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let bytes = self.request + self.answer.load(Ordering::Relaxed);
        self.admission.queue().discharge(&self.tenant, bytes);
    }
}

fn of_answer(bytes: usize) -> u64 {
    let beyond = bytes.saturating_sub(FIRST_OF_ANSWER_BYTES) as u64;
    beyond.saturating_mul(ANSWER_COPIES).next_multiple_of(STEP_BYTES)
}
