//! The fleet's shared memory: one Redis or Valkey, alone, with Sentinels or as a
//! Cluster. Knows how to reach it and how to do without; what is kept there, and
//! what it means, is for those who use it.
//!
//! Nothing here ever waits longer than the time limit, and nothing is retried:
//! a command that fails is [`Unavailable`], and its user goes on alone. Once the
//! server is late or gone it is not asked again until a keeper in the background
//! has had an answer from it; so a frozen server costs one time limit, not one a
//! command.
//!
//! Used by `cache` and `flight`.

mod address;
mod connection;
mod link;
mod notifications;
mod pause;
mod script;
mod supervisor;
mod unavailable;
mod warning;

pub use ::redis::Value;

pub use self::{
    address::{Address, Credential, Endpoint, RedisConfig, Topology},
    connection::Connection,
    notifications::{Notification, NotificationChannel},
    script::Script,
    unavailable::{Cause, Unavailable},
};
