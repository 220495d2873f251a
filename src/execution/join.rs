//! Joins the flight of an identical execution in progress, or leads one.

use std::sync::Arc;

use crate::execution::{
    CallRecord, Services, leader::recorded, prepare::PreparedExecution, response::CacheStatus,
    session::Lookup,
};
use crate::{
    admission::Permit,
    cache::Hit,
    error::Error,
    flight::{Join, Publisher, Subscriber},
    metrics::Role,
    telemetry::{Kind, names},
};

impl PreparedExecution {
    /// Joins the flight of an identical execution in progress, or starts one.
    pub(super) fn join_or_lead(
        self,
        services: &Arc<Services>,
        permit: &Permit,
        record: &CallRecord,
    ) -> Result<(Subscriber, Lookup), Error> {
        match services.flights.join(&self.join, self.subscribe_options)? {
            Join::Follower(subscriber) => {
                services.metrics.joined(Role::Follower);
                Ok((subscriber, self.found(CacheStatus::Joined)))
            }
            Join::Leader(publisher, subscriber) => {
                let found = self.lead(services, publisher, permit, record);
                Ok((subscriber, found))
            }
        }
    }

    /// Starts the leader's job, unless the answer is in memory by now.
    fn lead(
        self,
        services: &Arc<Services>,
        publisher: Publisher,
        permit: &Permit,
        record: &CallRecord,
    ) -> Lookup {
        // Another flight may have completed since the look-up.
        if let Some(Hit { recording, age }) =
            recorded(&services.memory, self.sharing.storage, self.sharing.mode)
        {
            publisher.complete_with(recording, age);
            return self.found(self.led_status());
        }
        services.metrics.joined(Role::Leader);
        let prefix = self.follow(&services.prefixes, services.cache_secret.prompt_hasher());
        let found = Lookup { prefix, ..self.found(self.led_status()) };
        let span = record.span().child(Kind::Internal, names::span::FLIGHT);
        if let Some(name) = span.name() {
            publisher.traced_as(name);
        }
        let spans = record.spans(&span, services.telemetry.content_bytes());
        let job = Box::new(self.into_job(permit.clone(), spans));
        services.lifecycle.spawn(span.scope(job.run(services.clone(), publisher)));
        found
    }
}
