//! Finds flights by their content, by idempotency key, or by id.

use std::{fmt, hash::Hash, mem, sync::Arc, time::Duration};

use dashmap::{DashMap, mapref::entry::Entry};
use moka::{policy::EvictionPolicy, sync::Cache};

use super::{Flight, MirroredFlight, Publisher, SubscribeOptions, Subscriber};
use crate::{
    error::Error,
    recording::{FlightId, Key, Recording, Subject},
};

/// Limits of the registry.
#[derive(Debug, Clone, Copy)]
pub struct FlightsConfig {
    /// Time for which a completed flight can be attached to, or replayed for its key.
    pub retention: Duration,
    /// Memory for all retained flights together, in bytes.
    pub retention_bytes: u64,
    /// Maximum size of an answer, in bytes.
    pub max_answer_bytes: usize,
}

/// An execution and the keys that identify its flight.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// The request to execute if this execution leads.
    pub subject: Arc<Subject>,
    /// The key under which identical executions share a flight; `None` if the caller
    /// asked for no sharing.
    pub shared: Option<Key>,
    /// The scoped idempotency key with the request it stands for.
    pub idempotency: Option<Idempotency>,
    /// True if the leader first acquires a flight key in the fleet: until then the
    /// flight's id is provisional.
    pub in_fleet: bool,
    /// True if the flight can be attached to once it has ended.
    pub attachable: bool,
}

/// An idempotency key and the request it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idempotency {
    /// Digest of the key within its scope.
    pub key: Key,
    /// Digest of the request.
    pub request: Key,
}

/// An execution's role in a flight.
#[derive(Debug)]
pub enum Join {
    /// It runs the flight, and subscribes like every other execution.
    Leader(Publisher, Subscriber),
    /// Another execution runs the flight.
    Follower(Subscriber),
}

/// This worker's flights: those in progress, and those that ended within the retention
/// time.
pub struct Flights {
    under_way: DashMap<FlightId, Arc<Flight>>,
    shared: DashMap<Key, Arc<Flight>>,
    idempotent: DashMap<Key, Replay>,
    completed: Cache<FlightId, Arc<Flight>>,
    replays: Cache<Key, Replayable>,
    config: FlightsConfig,
}

/// An idempotency key's request and flight while the flight runs.
#[derive(Clone)]
struct Replay {
    request: Key,
    flight: Arc<Flight>,
}

/// The same after the flight has completed; the flight itself is retained by its id.
#[derive(Clone, Copy)]
struct Replayable {
    request: Key,
    flight: FlightId,
}

impl Flights {
    /// Idempotency keys get one part in this many of the retention memory.
    const PART_FOR_KEYS: u64 = 16;

    /// Creates an empty registry.
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

    /// Returns the number of flights in progress.
    pub fn count(&self) -> usize {
        self.under_way.len()
    }

    /// Joins the flight of an identical execution, or starts one. Synchronous, so that no
    /// map guard is held across an await. If both keys are given, the guard of
    /// `idempotent` is always taken before that of `shared`.
    ///
    /// # Errors
    ///
    /// [`Error::IdempotencyMismatch`] if the key stands for another request.
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
                // It may have completed since the caller looked.
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

    /// Subscribes to the flight of an idempotency key, if it runs or has completed within
    /// the retention time.
    ///
    /// # Errors
    ///
    /// [`Error::IdempotencyMismatch`] if the key stands for another request.
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

    /// Retains a cached answer for its idempotency key, if no flight ran.
    pub fn remember(&self, idempotency: Idempotency, recording: Arc<Recording>) {
        let flight = Flight::replay(recording);
        self.completed.insert(flight.id(), flight.clone());
        self.keep_replay(idempotency, &flight);
    }

    /// Subscribes again to a flight that runs or ended within the retention time.
    pub fn attach(
        &self,
        id: FlightId,
        after: u64,
        options: SubscribeOptions,
    ) -> Option<Subscriber> {
        let under_way = self.under_way.get(&id).map(|known| known.value().clone());
        under_way.or_else(|| self.completed.get(&id))?.subscribe(after, options)
    }

    /// Subscribes to a flight of another worker. The registry does not find it until its
    /// publisher has been [identified](Publisher::identify).
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

    /// Stops every flight, because the worker's drain limit has passed.
    pub fn abandon_all(&self) {
        for known in &self.under_way {
            known.value().abandon();
        }
    }

    /// Lets identical executions join this flight from now on; if they already have
    /// another flight, returns a mirror of that one.
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

    /// Gives a flight the id of the flight it mirrors. Lookups by that id keep finding
    /// the original.
    pub(super) fn mirror(&self, flight: &Arc<Flight>, id: FlightId) {
        self.under_way.remove(&flight.id());
        let mut state = flight.state();
        (state.id, state.mirrors) = (id, true);
    }

    /// Changes a flight's id. Inserts the new id before it removes the old one, so that
    /// the flight can always be found.
    pub(super) fn rename(&self, flight: &Arc<Flight>, id: FlightId) {
        let former = flight.id();
        if former != id {
            self.under_way.insert(id, flight.clone());
            flight.state().id = id;
            self.under_way.remove_if(&former, |_, known| Arc::ptr_eq(known, flight));
        }
    }

    /// Removes an ended flight from the maps and retains it for later subscribers. A
    /// failed flight is not replayed for its idempotency keys: a retry runs again.
    ///
    /// The flight is retained before it is removed, so that a lookup in the maps and then
    /// among the retained flights cannot miss it.
    pub(super) fn remove(&self, flight: &Arc<Flight>) {
        let (id, shared, is_retained, keys) = {
            let mut state = flight.state();
            // The flight it mirrors may still be running.
            let has_ended = !state.mirrors || state.has_completed();
            let is_retained = state.attachable && has_ended;
            (state.id, state.shared, is_retained, mem::take(&mut state.replayed_for))
        };
        if is_retained {
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

    /// Registers a flight for an idempotency key. Returns false if the flight has ended
    /// in the meantime: nothing would remove the key from the map again.
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
        flight.state().attachable = request.attachable;
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
    /// Evicts whatever exceeds the limits now.
    pub(super) fn settle_what_is_kept(&self) {
        self.completed.run_pending_tasks();
        self.replays.run_pending_tasks();
    }
}

impl Replayable {
    /// Approximate memory of one entry with its key and the cache's overhead.
    const BYTES: usize = 256;
}

/// Builds a cache that retains values for the retention time. The least recently used
/// goes first when the cache is full: callers that return do so soon.
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
