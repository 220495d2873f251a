//! Looks an execution's answer up: by its idempotency key, then in memory.

use std::sync::Arc;

use tokio::time::Instant;

use crate::execution::{
    CallRecord, Services,
    leader::look_in_memory,
    prepare::PreparedExecution,
    response::CacheStatus,
    session::{Lookup, clock::Clock},
};
use crate::{
    cache::Hit,
    error::Error,
    fleet::FlightKey,
    flight::{Flight, Idempotency, Subscriber},
    metrics::{LookupResult, Role, Tier},
    recording::Recording,
    telemetry::{Kind, names},
};

impl PreparedExecution {
    /// Looks the answer up if the mode allows it, and records how long that took.
    pub(super) fn look_up(
        &self,
        services: &Services,
        record: &CallRecord,
        clock: &mut Clock,
    ) -> Result<Option<(Subscriber, Lookup)>, Error> {
        if !self.sharing.looks_up() {
            return Ok(None);
        }
        let looking = Instant::now();
        let span = record.span().child(Kind::Internal, names::span::LOOKUP);
        let found = self.find(services);
        span.record(|span| {
            let hit = matches!(found, Ok(Some(_)));
            span.set(names::sparkler::CACHE_RESULT, if hit { "hit" } else { "miss" });
        });
        span.end();
        clock.looked_up(looking.elapsed());
        found
    }

    /// Returns the flight of an earlier call with the same idempotency key, or a
    /// cached answer.
    fn find(&self, services: &Services) -> Result<Option<(Subscriber, Lookup)>, Error> {
        if let Some(subscriber) = self.replay(services)? {
            let done = subscriber.recording().is_some();
            let status = if done { CacheStatus::Hit } else { CacheStatus::Joined };
            if !done {
                services.metrics.joined(Role::Follower);
            }
            return Ok(Some((subscriber, self.found(status))));
        }
        let hit = self.hit(services);
        if let (Some(idempotency), Some((subscriber, _))) = (self.sharing.idempotency, &hit)
            && let Some(recording) = subscriber.recording()
        {
            self.remember(services, idempotency, recording);
        }
        Ok(hit)
    }

    /// Returns the flight of the same idempotency key.
    fn replay(&self, services: &Services) -> Result<Option<Subscriber>, Error> {
        let Some(idempotency) = self.sharing.idempotency else {
            return Ok(None);
        };
        let replayed = services.flights.replay(idempotency, self.subscribe_options)?;
        services.metrics.looked_up(Tier::Idempotency, LookupResult::found(replayed.is_some()));
        Ok(replayed)
    }

    /// Returns the answer in memory, if the mode permits reading it.
    fn hit(&self, services: &Services) -> Option<(Subscriber, Lookup)> {
        let Hit { recording, age } =
            look_in_memory(services, self.sharing.storage, self.sharing.mode)?;
        let subscriber = Flight::replay(recording).subscribe(0, self.subscribe_options)?;
        Some((subscriber, Lookup { age: Some(age), ..self.found(CacheStatus::Hit) }))
    }

    /// Binds an idempotency key to a cache hit, here and on every worker of the
    /// fleet.
    fn remember(&self, services: &Services, idempotency: Idempotency, recording: Arc<Recording>) {
        services.flights.remember(idempotency, recording);
        if let (Some(fleet), Some(storage)) = (services.fleet.clone(), self.sharing.storage) {
            let Idempotency { key, request } = idempotency;
            let flight_key = FlightKey(storage.key);
            services.lifecycle.spawn(async move { fleet.remember(key, request, flight_key).await });
        }
    }
}
