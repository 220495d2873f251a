//! Passes the events of a flight that another worker leads on to the listeners
//! here.

use tokio::time::Instant;

use crate::{
    event::{Emit, Phase},
    fleet::{Following, Hearing, News, Standing},
    flight::{Failure, Publisher, worker_lost},
    recording::{FlightId, Gap, Log, Recording},
};

/// How a relayed flight goes on.
#[derive(Debug)]
pub(super) enum Relayed {
    /// It has an answer, and all its events are here.
    Landed(Box<Recording>),
    /// Its leader was lost, in this epoch.
    Lost(FlightId, u64),
    /// Redis cannot be heard, or the flight cannot be read here.
    Unheard,
}

/// Relays until the flight has landed, or its leader or Redis is lost.
///
/// Where nothing was heard yet, nothing is lost by going on alone at once. Where
/// something was, it would be void: then Redis is waited for as long as a leader.
pub(super) async fn relay(
    publisher: &mut Publisher,
    following: &mut Following,
) -> Result<Relayed, Failure> {
    let mut until = None;
    loop {
        match following.hear(publisher.last()).await {
            Ok(Hearing { parts, standing }) => {
                until = None;
                for part in parts {
                    pass_on(publisher, part).map_err(|_gap| worker_lost())?;
                }
                match standing {
                    Standing::More => continue,
                    Standing::Running => {}
                    Standing::Landed(end) => return Ok(Relayed::Landed(end)),
                    Standing::Failed(error, usage) => return Err(Failure { error, usage }),
                    Standing::Unreadable => return Ok(Relayed::Unheard),
                    Standing::Lost | Standing::Gone => {
                        return Ok(Relayed::Lost(following.flight(), following.epoch()));
                    }
                }
            }
            Err(_unavailable) => {
                let until = *until.get_or_insert_with(|| following.patience());
                if !publisher.has_shown() || Instant::now() >= until {
                    return Ok(Relayed::Unheard);
                }
            }
        }
        // What is missing between notices is looked up.
        while let News::Events(events) = following.news().await {
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
