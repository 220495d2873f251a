//! Long-lived streams without an execution: reflection, and health watches. They
//! are open to everyone, so each is small, charged and limited in time, and their
//! number is bounded per connection, per address and in all.
//!
//! The response is on [`Loan`]: a reader that stalls holds it no longer than one
//! that reads.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep_until},
};
use tonic::{Status, body::Body};

use super::connection::Peer;
use crate::{
    admission::{RequestBodyCharge, saturated_for_a_moment},
    config::ConnectionAge,
    error::{Error, Limit},
    execution::Services,
    grpc::{Loan, status},
    lifecycle::Lifecycle,
};

/// Limit on health watches of all connections: one for each client whose load
/// balancer checks health.
const MOST_WATCHES: usize = 1024;
/// Limit on them of one address, so that no peer takes the places of the others.
const MOST_WATCHES_OF_ADDRESS: usize = MOST_WATCHES / 4;
/// Limit on reflection streams of all connections: used by people exploring the
/// API.
const MOST_REFLECTIONS: usize = 32;
/// Charge for reflection: an answer is the whole description, and a few are in
/// progress.
const DESCRIPTION_BYTES: usize = 128 << 10;
/// Lifetime of a watch if connections have no maximum age.
const LONGEST_WATCH: Duration = Duration::from_secs(3600);
/// Time after the end by which a reading caller has received it.
const GRACE: Duration = Duration::from_secs(1);

const REFLECTION: &str = "/grpc.reflection.";
const HEALTH: &str = "/grpc.health.v1.Health/Watch";

/// The capacity for such streams. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Watches {
    health: Arc<Semaphore>,
    reflection: Arc<Semaphore>,
    addresses: Addresses,
    age: Option<ConnectionAge>,
}

/// The resources of one stream until its end.
pub(super) struct Watch {
    until: Instant,
    at_its_end: Error,
    taken: Taken,
}

/// The memory, the place among all, and the places of the peer's connection and
/// address.
type Taken =
    (RequestBodyCharge, OwnedSemaphorePermit, Option<OwnedSemaphorePermit>, Option<AddressPermit>);

impl Watches {
    pub(super) fn new(age: Option<ConnectionAge>) -> Watches {
        Watches {
            health: Arc::new(Semaphore::new(MOST_WATCHES)),
            reflection: Arc::new(Semaphore::new(MOST_REFLECTIONS)),
            addresses: Addresses::default(),
            age,
        }
    }

    /// Returns the resources of a call that is such a stream, or the limit it
    /// exceeds. Reflection gets the time limit of a request, since a tool asks at
    /// once; a watch ends when its connection is due for replacement.
    pub(super) fn begin(
        &self,
        request: &Request<Body>,
        services: &Services,
        request_limit: Duration,
    ) -> Result<Option<Watch>, Error> {
        let path = request.uri().path();
        let is_reflection = path.starts_with(REFLECTION);
        if !is_reflection && path != HEALTH {
            return Ok(None);
        }
        let peer = request.extensions().get::<Peer>();
        let room = if is_reflection { &self.reflection } else { &self.health };
        let taken = (
            services.admission.request_body()?,
            permit(room)?,
            peer.map(|peer| permit(&peer.watches)).transpose()?,
            peer.and_then(|peer| peer.address)
                .map(|address| self.addresses.permit(address.ip()))
                .transpose()?,
        );
        let mut watch = self.of_health(peer, taken);
        if is_reflection {
            watch.taken.0.more(DESCRIPTION_BYTES)?;
            watch.until = Instant::now() + request_limit;
            watch.at_its_end = Error::RequestOverdue { limit: request_limit };
        }
        Ok(Some(watch))
    }

    fn of_health(&self, peer: Option<&Peer>, taken: Taken) -> Watch {
        let aged = self.age.zip(peer).and_then(|(age, peer)| peer.since.checked_add(age.limit));
        Watch {
            until: aged.unwrap_or_else(|| Instant::now() + LONGEST_WATCH),
            at_its_end: Error::ConnectionMaxAge { retry_after: Duration::ZERO },
            taken,
        }
    }
}

fn permit(room: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
    room.clone().try_acquire_owned().map_err(|_| saturated_for_a_moment(Limit::Watches))
}

/// The number of such streams of each address.
#[derive(Debug, Clone, Default)]
struct Addresses(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place of an address, given back when dropped.
#[derive(Debug)]
struct AddressPermit {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    fn permit(&self, address: IpAddr) -> Result<AddressPermit, Error> {
        let address = network(address);
        let mut addresses = self.lock();
        let taken = addresses.entry(address).or_default();
        if *taken == MOST_WATCHES_OF_ADDRESS {
            return Err(saturated_for_a_moment(Limit::Watches));
        }
        *taken += 1;
        Ok(AddressPermit { addresses: self.clone(), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let mut addresses = self.addresses.lock();
        if let Entry::Occupied(mut taken) = addresses.entry(self.address) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

/// Returns the address that stands for a peer: of IPv6 its network of 64 bits, in
/// which a single host has as many addresses as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

impl Watch {
    /// Lends the response to its caller.
    pub(super) fn lend(self, response: Response<Body>, lifecycle: &Lifecycle) -> Response<Body> {
        let Watch { until, at_its_end, taken } = self;
        response.map(|body| {
            Body::new(Lent {
                body: Loan::new((body, taken), until + GRACE, lifecycle),
                until: Box::pin(sleep_until(until)),
                at_its_end: Some(at_its_end),
            })
        })
    }
}

/// A response that ends in time. Its resources are released with it, or earlier.
struct Lent {
    body: Loan<(Body, Taken)>,
    until: Pin<Box<Sleep>>,
    at_its_end: Option<Error>,
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let lent = self.get_mut();
        if let Some((body, _)) = lent.body.lock().as_mut()
            && let Poll::Ready(frame) = Pin::new(body).poll_frame(context)
        {
            return Poll::Ready(frame);
        }
        ready!(lent.until.as_mut().poll(context));
        lent.body.lock().take();
        Poll::Ready(lent.at_its_end.take().map(|error| {
            let mut trailers = HeaderMap::new();
            status(&error).add_header(&mut trailers)?;
            Ok(Frame::trailers(trailers))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_takes_a_share_of_the_watches() {
        let addresses = Addresses::default();
        let of = |address: &str| addresses.permit(address.parse().expect("an address"));
        let mut taken: Vec<AddressPermit> = (0..MOST_WATCHES_OF_ADDRESS)
            .map(|host| of(&format!("2001:db8::{host:x}")).expect("a place"))
            .collect();
        assert!(of("2001:db8::ffff:1").is_err(), "the same network");
        let _other = of("2001:db8:0:1::1").expect("another network");
        let _mapped = of("::ffff:192.0.2.1").expect("another address");
        assert_eq!(addresses.lock()[&"192.0.2.1".parse::<IpAddr>().expect("an address")], 1);
        taken.pop();
        let _again = of("2001:db8::1").expect("a place given back");
        taken.clear();
        assert_eq!(addresses.lock().len(), 3, "a permit is held for each");
    }
}
