//! What a contestant is put into.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// What is spoken to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Protocol {
    Http1,
    /// Without TLS, and without asking first.
    Http2,
}

impl Protocol {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// What a contestant is put into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) upstream: SocketAddr,
    /// Spoken by those that have a choice.
    pub(crate) protocol: Protocol,
    /// Runtime threads of those that have a choice.
    pub(crate) threads: usize,
    pub(crate) place: &'a Place,
}

/// What stays the same from experiment to experiment.
#[derive(Debug)]
pub(crate) struct Place {
    /// The worker under test.
    pub(crate) sparkler: PathBuf,
    /// For configurations and logs.
    pub(crate) directory: PathBuf,
}
