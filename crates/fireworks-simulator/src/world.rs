//! The state shared by the calls of one simulator.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use tokio::time::Instant;

use crate::{
    answer::replicas::Replicas,
    ledger::Ledger,
    model::{Availability, Model},
    options::Options,
    refusal::Refusal,
    script::Script,
};

/// The shared state.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) ledger: Ledger,
    pub(crate) script: Script,
    pub(crate) replicas: Replicas,
    /// The day, from 0 at the start: models end by it.
    day: AtomicI64,
    /// Models that are scaling up: the time of the first call, and the number
    /// of calls refused.
    waking: Mutex<HashMap<String, (Instant, u32)>>,
}

impl World {
    pub(crate) fn new(options: Options) -> World {
        let script = Script::default();
        script.arm(options.rules.iter().cloned());
        World {
            ledger: Ledger::new(options.kept_requests),
            script,
            replicas: Replicas::new(&options),
            day: AtomicI64::default(),
            waking: Mutex::default(),
            options,
        }
    }

    pub(crate) fn reset(&self) {
        self.ledger.reset();
        self.script.clear();
        self.script.arm(self.options.rules.iter().cloned());
        self.replicas.clear();
        self.set_day(0);
        self.waking.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the simulator's day.
    pub(crate) fn day(&self) -> i64 {
        self.day.load(Ordering::Relaxed)
    }

    pub(crate) fn set_day(&self, day: i64) {
        self.day.store(day, Ordering::Relaxed);
    }

    /// Returns the model of that name, if it is available now.
    pub(crate) fn model(&self, name: &str) -> Result<&Model, Refusal> {
        let model = self.options.models.iter().find(|model| model.is_named(name));
        let model = model.filter(|model| !model.has_ended(self.day()));
        let model = model.ok_or_else(Refusal::model_not_found)?;
        match model.availability {
            Availability::Ready => Ok(model),
            Availability::Forbidden => {
                Err(Refusal::forbidden("The API key is not allowed to use this model."))
            }
            Availability::ScalingUp { calls, lasting } => {
                let mut waking = self.waking.lock().unwrap_or_else(PoisonError::into_inner);
                let (since, refused) =
                    waking.entry(model.name.clone()).or_insert_with(|| (Instant::now(), 0));
                let awake = calls.is_some_and(|calls| *refused >= calls)
                    || lasting.is_some_and(|lasting| since.elapsed() >= lasting);
                if awake {
                    return Ok(model);
                }
                *refused += 1;
                Err(Refusal::scaling_up())
            }
        }
    }
}
