//! The wire: connections, routes, the control interface, headers and framing.

pub(crate) mod catalogue;
pub(crate) mod connection;
pub(crate) mod control;
pub(crate) mod framing;
pub(crate) mod headers;
pub(crate) mod routes;
