//! Access to the Redis or Valkey that a fleet shares: a single server, a primary with
//! Sentinels, or a Cluster. Handles connections, and their loss; the keys and their
//! meaning belong to the callers.
//!
//! No call waits longer than its time limit, and nothing is retried: a failed command is
//! [`Unavailable`], and its caller continues without Redis. After a timeout or a lost
//! connection, commands fail at once until a background supervisor gets an answer again,
//! so a frozen server costs one time limit in all, not one per command.

mod address;
mod connection;
mod link;
mod notifications;
mod pause;
mod script;
mod supervisor;
mod unavailable;
mod warning;

pub(crate) use ::redis::Value;

pub use self::{
    address::{Address, Credential, RedisConfig},
    connection::Connection,
    script::Script,
};
pub(crate) use self::{
    address::{HostPort, Topology},
    notifications::{Notification, NotificationChannel},
    unavailable::{Cause, Unavailable},
};
