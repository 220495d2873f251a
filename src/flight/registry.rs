//! Finds flights: by what they execute, by idempotency key, by their name.

use std::{fmt, hash::Hash, mem, sync::Arc, time::Duration};

use dashmap::{DashMap, mapref::entry::Entry};
use moka::{policy::EvictionPolicy, sync::Cache};

use super::{Flight, MirroredFlight, Publisher, SubscribeOptions, Subscriber};
use crate::{
    error::Error,
    recording::{FlightId, Key, Recording, Subject},
};

/// Bounds of the registry.
#[derive(Debug, Clone, Copy)]
pub struct FlightsConfig {
    /// How long a landed flight can be attached to, or replayed for its key.
    pub retention: Duration,
    /// How much memory all that may take together, in bytes.
    pub retention_bytes: u64,
    /// How large an answer may become, in bytes.
    pub max_answer_bytes: usize,
}

/// What an execution is, and what it can be found by.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// What is executed, should it lead.
    pub subject: Arc<Subject>,
    /// Identical executions share a flight under this; absent where the caller
    /// wants no merging.
    pub shared: Option<Key>,
    /// The idempotency key within its scope, and what is executed under it.
    pub idempotency: Option<Idempotency>,
    /// Whether its leader looks for its place in the fleet first: until then
    /// the flight has no name.
    pub in_fleet: bool,
}

/// An idempotency key, and the request it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// The key within its scope.
    pub key: Key,
    /// The request.
    pub request: Key,
}

/// How an execution takes part in a flight.
#[derive(Debug)]
pub enum Join {
    /// It runs the flight, and listens like everybody else.
    Leader(Publisher, Subscriber),
    /// Somebody else runs it.
    Follower(Subscriber),
}

/// The flights of this worker: those under way, and for a while those that
/// have landed.
pub struct Flights {
    under_way: DashMap<FlightId, Arc<Flight>>,
    shared: DashMap<Key, Arc<Flight>>,
    idempotent: DashMap<Key, Replay>,
    completed: Cache<FlightId, Arc<Flight>>,
    replays: Cache<Key, Replayable>,
    config: FlightsConfig,
}

/// What an idempotency key stands for while it is executed.
#[derive(Clone)]
struct Replay {
    request: Key,
    flight: Arc<Flight>,
}

/// The same afterwards: the flight itself is kept once, under its name.
#[derive(Clone, Copy)]
struct Replayable {
    request: Key,
    flight: FlightId,
}

impl Flights {
    /// The part of the memory for what is kept that idempotency keys may take.
    const PART_FOR_KEYS: u64 = 16;

    /// An empty registry.
    pub fn new(config: FlightsConfig) -> Arc<Flights> {
        let FlightsConfig { retention, retention_bytes, .. } = config;
        let for_keys = retention_bytes / Flights::PART_FOR_KEYS;
        Arc::new(Flights {
            under_way: DashMap::new(),
            shared: DashMap::new(),
            idempotent: DashMap::new(),
            completed: kept(retention, retention_bytes - for_keys, |flight: &Arc<Flight>| {
                flight.bytes()
            }),
            replays: kept(retention, for_keys, |_| Replayable::BYTES),
            config,
        })
    }

    /// Flights under way.
    pub fn count(&self) -> usize {
        self.under_way.len()
    }

    /// Joins the flight of an identical execution, or begins one. Synchronous:
    /// no map guard crosses an await. Where both keys are given, the guard of
    /// `idempotent` is always taken before that of `shared`.
    pub fn join(
        self: &Arc<Flights>,
        request: &JoinRequest,
        options: SubscribeOptions,
    ) -> Result<Join, Error> {
        let Some(idempotency) = request.idempotency else {
            return Ok(self.join_shared(request, options).0);
        };
        match self.idempotent.entry(idempotency.key) {
            Entry::Occupied(mut known) => match known.get().join(idempotency, options)? {
                Some(subscriber) => Ok(Join::Follower(subscriber)),
                None => {
                    let (join, flight) = self.join_shared(request, options);
                    if self.registered_for(idempotency, &flight) {
                        known.insert(Replay { request: idempotency.request, flight });
                    } else {
                        known.remove();
                    }
                    Ok(join)
                }
            },
            Entry::Vacant(vacant) => {
                // It may have landed since the caller looked.
                if let Some(subscriber) = self.completed_replay(idempotency, options)? {
                    return Ok(Join::Follower(subscriber));
                }
                let (join, flight) = self.join_shared(request, options);
                if self.registered_for(idempotency, &flight) {
                    vacant.insert(Replay { request: idempotency.request, flight });
                }
                Ok(join)
            }
        }
    }

    /// The flight that an idempotency key stands for, if it runs or has
    /// completed within the retention time.
    pub fn replay(
        &self,
        idempotency: Idempotency,
        options: SubscribeOptions,
    ) -> Result<Option<Subscriber>, Error> {
        let under_way = self.idempotent.get(&idempotency.key).map(|known| known.value().clone());
        match under_way {
            Some(known) => known.join(idempotency, options),
            None => self.completed_replay(idempotency, options),
        }
    }

    /// Keeps what an idempotency key was answered with, where no flight ran.
    pub fn remember(&self, idempotency: Idempotency, recording: Arc<Recording>) {
        let flight = Flight::replay(recording);
        self.completed.insert(flight.id(), flight.clone());
        self.keep_replay(idempotency, &flight);
    }

    /// Listens again to a flight that runs or has landed within the retention
    /// time.
    pub fn attach(
        &self,
        id: FlightId,
        after: u64,
        options: SubscribeOptions,
    ) -> Option<Subscriber> {
        let under_way = self.under_way.get(&id).map(|known| known.value().clone());
        under_way.or_else(|| self.completed.get(&id))?.subscribe(after, options)
    }

    /// Begins to hear a flight of another worker, which is found by no name until
    /// its publisher has [boarded](Publisher::board).
    pub fn subscribe_remote(
        self: &Arc<Flights>,
        subject: Arc<Subject>,
        after: u64,
        options: SubscribeOptions,
    ) -> (Publisher, Subscriber) {
        let flight = Flight::new(subject, None, false);
        let subscriber = flight.subscribe(after, options).expect("a new flight is not abandoned");
        let publisher = Publisher::new(flight, self.clone(), self.config.max_answer_bytes);
        (publisher, subscriber)
    }

    /// Stops every flight: the worker's drain limit is over.
    pub fn abandon_all(&self) {
        for known in &self.under_way {
            known.value().abandon();
        }
    }

    /// Has identical executions join this flight from now on; or, where they have
    /// another already, gives an ear on that.
    pub(super) fn share(&self, key: Key, flight: &Arc<Flight>) -> Option<MirroredFlight> {
        let drains = flight.state().drains;
        match self.shared.entry(key) {
            Entry::Occupied(mut known) => {
                if let Some(original) = MirroredFlight::of(known.get(), drains) {
                    return Some(original);
                }
                known.insert(flight.clone());
            }
            Entry::Vacant(vacant) => {
                vacant.insert(flight.clone());
            }
        }
        flight.state().shared = Some(key);
        None
    }

    /// Lets a flight go by the name of the one that it echoes, which is found by
    /// that name.
    pub(super) fn mirror(&self, flight: &Arc<Flight>, id: FlightId) {
        self.under_way.remove(&flight.id());
        let mut state = flight.state();
        (state.id, state.mirrors) = (id, true);
    }

    /// Lets a flight be found by another name from now on. Under the new one
    /// first, so that it is never missed.
    pub(super) fn rename(&self, flight: &Arc<Flight>, id: FlightId) {
        let former = flight.id();
        if former != id {
            self.under_way.insert(id, flight.clone());
            flight.state().id = id;
            self.under_way.remove_if(&former, |_, known| Arc::ptr_eq(known, flight));
        }
    }

    /// Takes a landed flight off the maps; keeps it for those who come back.
    /// A flight that failed is not replayed for its idempotency keys: the
    /// retry shall run.
    ///
    /// It is kept first, so that nobody who looks at the maps and then at what
    /// is kept misses it.
    pub(super) fn remove(&self, flight: &Arc<Flight>) {
        let (id, shared, mirrors, keys) = {
            let mut state = flight.state();
            (state.id, state.shared, state.mirrors, mem::take(&mut state.replayed_for))
        };
        // The one that it echoes may run on without it.
        if !mirrors || flight.has_completed() {
            self.completed.insert(id, flight.clone());
        }
        self.under_way.remove_if(&id, |_, known| Arc::ptr_eq(known, flight));
        if let Some(key) = shared {
            self.shared.remove_if(&key, |_, known| Arc::ptr_eq(known, flight));
        }
        for idempotency in keys {
            self.keep_replay(idempotency, flight);
            let own = |_: &Key, known: &Replay| Arc::ptr_eq(&known.flight, flight);
            self.idempotent.remove_if(&idempotency.key, own);
        }
    }

    /// Notes that a flight answers for an idempotency key. False when it has
    /// landed in the meantime: then nothing would take the key off the map.
    fn registered_for(&self, idempotency: Idempotency, flight: &Arc<Flight>) -> bool {
        let mut state = flight.state();
        if state.outcome.is_none() {
            state.replayed_for.push(idempotency);
            return true;
        }
        drop(state);
        self.keep_replay(idempotency, flight);
        false
    }

    fn keep_replay(&self, idempotency: Idempotency, flight: &Arc<Flight>) {
        if flight.has_completed() {
            let Idempotency { key, request } = idempotency;
            self.replays.insert(key, Replayable { request, flight: flight.id() });
        }
    }

    fn completed_replay(
        &self,
        idempotency: Idempotency,
        options: SubscribeOptions,
    ) -> Result<Option<Subscriber>, Error> {
        let Some(Replayable { request, flight }) = self.replays.get(&idempotency.key) else {
            return Ok(None);
        };
        if request != idempotency.request {
            return Err(Error::IdempotencyMismatch);
        }
        Ok(self.completed.get(&flight).and_then(|flight| flight.join(options)))
    }

    fn join_shared(
        self: &Arc<Flights>,
        request: &JoinRequest,
        options: SubscribeOptions,
    ) -> (Join, Arc<Flight>) {
        let Some(key) = request.shared else {
            return self.lead(request, options);
        };
        match self.shared.entry(key) {
            Entry::Occupied(mut known) => {
                let flight = known.get().clone();
                if let Some(subscriber) = flight.join(options) {
                    return (Join::Follower(subscriber), flight);
                }
                let (join, flight) = self.lead(request, options);
                known.insert(flight.clone());
                (join, flight)
            }
            Entry::Vacant(vacant) => {
                let (join, flight) = self.lead(request, options);
                vacant.insert(flight.clone());
                (join, flight)
            }
        }
    }

    fn lead(
        self: &Arc<Flights>,
        request: &JoinRequest,
        options: SubscribeOptions,
    ) -> (Join, Arc<Flight>) {
        let flight = Flight::new(request.subject.clone(), request.shared, !request.in_fleet);
        let subscriber = flight.subscribe(0, options).expect("a new flight is not abandoned");
        self.under_way.insert(flight.id(), flight.clone());
        let publisher = Publisher::new(flight.clone(), self.clone(), self.config.max_answer_bytes);
        (Join::Leader(publisher, subscriber), flight)
    }
}

impl Replay {
    fn join(
        &self,
        idempotency: Idempotency,
        options: SubscribeOptions,
    ) -> Result<Option<Subscriber>, Error> {
        if self.request == idempotency.request {
            Ok(self.flight.join(options))
        } else {
            Err(Error::IdempotencyMismatch)
        }
    }
}

impl fmt::Debug for Flights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Flights").field("count", &self.count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Flights {
    /// Lets what there is no room for go now.
    pub(super) fn settle_what_is_kept(&self) {
        self.completed.run_pending_tasks();
        self.replays.run_pending_tasks();
    }
}

impl Replayable {
    /// What one takes in memory with its key and its place in the cache, roughly.
    const BYTES: usize = 256;
}

/// What is kept for the retention time. When there is no room, the oldest goes:
/// those who come back come back soon.
fn kept<K, V>(retention: Duration, bytes: u64, weight: fn(&V) -> usize) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(bytes)
        .eviction_policy(EvictionPolicy::lru())
        .weigher(move |_, value| u32::try_from(weight(value)).unwrap_or(u32::MAX))
        .time_to_live(retention)
        .build()
}
