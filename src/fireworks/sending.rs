//! A request body that notes when the request is on a connection.
//!
//! The HTTP library polls the body only once it has a connection to write to,
//! so the first poll is the moment at which connecting ends and waiting for the
//! model begins. That holds for a new connection, a pooled one and one that
//! another request has just opened.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};

/// Shared flag: set once a request is on a connection.
#[derive(Debug, Clone, Default)]
pub(super) struct SentFlag(Arc<SentState>);

#[derive(Debug, Default)]
struct SentState {
    sent: AtomicBool,
    waker: AtomicWaker,
}

impl SentFlag {
    pub(super) fn is_sent(&self) -> bool {
        self.0.sent.load(Ordering::Acquire)
    }

    /// Registers the only waker to wake when the request is sent. Register
    /// first, check afterwards.
    pub(super) fn register(&self, waker: &Waker) {
        self.0.waker.register(waker);
    }

    fn announce(&self) {
        if !self.0.sent.swap(true, Ordering::AcqRel) {
            self.0.waker.wake();
        }
    }
}

/// A whole body in one piece.
#[derive(Debug)]
pub(super) struct RequestBody {
    bytes: Option<Bytes>,
    sent: SentFlag,
}

impl RequestBody {
    pub(super) fn new(bytes: Bytes, sent: SentFlag) -> RequestBody {
        RequestBody { bytes: Some(bytes), sent }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.sent.announce();
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
