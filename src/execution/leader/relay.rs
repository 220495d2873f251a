//! Relays the events of a flight that another worker leads to the subscribers here.

use tokio::time::Instant;

use crate::{
    emit::Emit,
    event::Phase,
    fleet::{Fleet, FleetRead, FleetUpdate, Follower, RemoteStatus, protocol::FencingToken},
    flight::{Failure, Publisher, worker_lost},
    recording::{Gap, Log, Recording},
};

/// The result of relaying a flight.
#[derive(Debug)]
pub(crate) enum Relayed {
    /// Completed, and all of its events are here.
    Completed(Box<Recording>),
    /// Its leader was lost; holds the fencing token of that leadership, if known.
    Lost(Option<FencingToken>),
    /// Redis is unreachable, the flight is unreadable here, or some of its events
    /// are gone.
    Unavailable,
}

/// Relays until the flight completes, or its leader or Redis is lost.
///
/// During an outage of Redis the leader continues, and its request is paid. So this
/// waits for Redis, even if nothing has been received yet.
pub(crate) async fn relay(
    publisher: &mut Publisher,
    fleet: &Fleet,
    follower: &mut Follower,
) -> Result<Relayed, Failure> {
    let mut failing_since = None;
    loop {
        match follower.read(publisher.last()).await {
            Ok(FleetRead { parts, status }) => {
                failing_since = None;
                for part in parts {
                    pass_on(publisher, part).map_err(|_gap| worker_lost())?;
                }
                match status {
                    RemoteStatus::More => continue,
                    RemoteStatus::Running => {}
                    RemoteStatus::Completed(end, digest) => {
                        // Events may have been evicted before they were read.
                        let is_whole = publisher.log_reader().digest() == digest;
                        return Ok(if is_whole {
                            Relayed::Completed(end)
                        } else {
                            Relayed::Unavailable
                        });
                    }
                    RemoteStatus::Failed(error, usage) => return Err(Failure { error, usage }),
                    RemoteStatus::Unreadable => return Ok(Relayed::Unavailable),
                    RemoteStatus::Lost | RemoteStatus::Gone => {
                        return Ok(Relayed::Lost(follower.fencing_token()));
                    }
                }
            }
            Err(_unavailable) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if !fleet.reachable_again(since).await {
                    return Ok(Relayed::Unavailable);
                }
                continue;
            }
        }
        // A gap between notifications is closed by the next read.
        while let FleetUpdate::Events(events) = follower.next_update().await {
            if pass_on(publisher, events).is_err() {
                break;
            }
        }
    }
}

fn pass_on(publisher: &mut Publisher, events: Log) -> Result<(), Gap> {
    publisher.phase(Phase::Streaming);
    publisher.relay(events)
}
