//! The wire: connections, routes and the control interface.

pub(crate) mod catalogue;
pub(crate) mod connection;
pub(crate) mod control;
pub(crate) mod routes;
pub(crate) mod steps;
