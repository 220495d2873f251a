//! The leader's side of a flight: provider requests, the fleet's lease, and the
//! validation and storage of the answer.

mod fleet;
mod job;
mod relay;
mod replicate;
mod role;
mod store;
mod texts;
mod validate;

pub(super) use self::{
    job::{LeaderJob, stopped},
    relay::{Relayed, relay},
    role::FleetRequest,
    store::{Storage, look_in_memory, recorded},
    texts::{Gatherer, TextTerms, TextWork},
    validate::compile,
};
