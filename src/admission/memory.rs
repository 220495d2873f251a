//! What executions take of the worker's memory: reckoned from their texts, since
//! nobody can ask an allocator whose a page is.
//!
//! A request is charged before it is looked at, an answer as it grows. The
//! figures are estimates, meant to be too high rather than too low.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::Admission;

/// What a call takes beside its texts: its streams, its tasks, its place in
/// tables; and the first of its answer.
pub(super) const CALL_BYTES: u64 = 64 << 10;
/// So much of an answer is in it.
const FIRST_OF_ANSWER_BYTES: usize = 8 << 10;
/// A request is there as it came, as it is sent, and on its way.
const REQUEST_COPIES: u64 = 3;
/// An answer is there as it was told, joined, and on its way.
const ANSWER_COPIES: u64 = 3;
/// Answers are charged in steps, not by the token.
const STEP_BYTES: u64 = 64 << 10;

/// What a call with a request of so many bytes is charged.
pub(super) fn of_request(bytes: usize) -> u64 {
    CALL_BYTES.saturating_add((bytes as u64).saturating_mul(REQUEST_COPIES))
}

/// Memory that was taken for one call, given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    admission: Admission,
    tenant: Arc<str>,
    request: u64,
    /// For the answer so far. Grows with the floor locked.
    answer: AtomicU64,
}

impl Charge {
    pub(super) fn new(admission: Admission, tenant: Arc<str>, request: u64) -> Charge {
        Charge { admission, tenant, request, answer: AtomicU64::new(0) }
    }

    /// Takes what an answer of so many bytes needs beyond what it has; false
    /// where there is not so much.
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
