//! The execution that the texts of a batch come from.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::execution::{Services, leader::LeaderJob};
use crate::{
    cache::key::Fingerprint,
    node::{Identity, Texts},
    telemetry::{self, Span},
};

/// Maximum requests to the provider that one execution has in progress.
const MOST_UNDER_WAY: usize = 8;

/// An execution whose texts are requested in batches.
pub(super) struct BatchSource {
    pub(super) services: Arc<Services>,
    /// A job from which those of the batches are made.
    pub(super) job: LeaderJob,
    pub(super) texts: Texts,
    /// The span of the execution's flight.
    pub(super) span: Span,
    /// Turns of the batches that have texts of this execution alone.
    pub(super) under_way: Semaphore,
    attempts: AtomicU32,
}

/// The terms that executions must have in common for their texts to go in one request: they
/// decide the vectors, who pays, and how the request is made.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct BatchTerms {
    /// The identity of a request without any text.
    identity: Identity,
    credential: Fingerprint,
    tenant: String,
    batch: usize,
    connect: Duration,
    max_attempts: u32,
    total: Option<Duration>,
}

impl BatchSource {
    pub(super) fn new(services: &Arc<Services>, job: &LeaderJob, texts: Texts) -> BatchSource {
        BatchSource {
            services: services.clone(),
            job: job.another(),
            texts,
            span: telemetry::current(),
            under_way: Semaphore::new(MOST_UNDER_WAY),
            attempts: AtomicU32::new(0),
        }
    }

    /// Returns the terms on which other executions may share a request; `None` if none
    /// may.
    pub(super) fn terms(&self) -> Option<BatchTerms> {
        let LeaderJob { plan, fingerprint, permit, connect, retry, .. } = &self.job;
        Some(BatchTerms {
            identity: plan.with_texts(Arc::from([]))?.identity,
            credential: *fingerprint,
            tenant: permit.tenant().to_owned(),
            batch: self.texts.batch,
            connect: *connect,
            max_attempts: retry.max_attempts,
            total: retry.total,
        })
    }

    /// Adds requests to the provider that were made for this execution.
    pub(super) fn took(&self, attempts: u32) {
        self.attempts.fetch_add(attempts, Ordering::Relaxed);
    }

    /// Returns the provider requests so far.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }
}
