//! The leader's side of a flight: attempts at the provider, the fleet's lease,
//! the check of the answer, and what is stored of it.

mod fleet;
mod job;
mod relay;
mod replicate;
mod store;
mod validate;

pub(super) use self::{
    fleet::FleetRequest,
    job::{LeaderJob, stopped},
    relay::{Relayed, relay},
    store::Storage,
};
