//! Reads the body of a good response to its end, and emits the deltas as they
//! arrive.
//!
//! It has no deadline: the caller that awaits it drops it, which closes the
//! provider's stream.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body as _;
use tokio::{
    task::yield_now,
    time::{Instant, sleep},
};

use super::{
    answer::{Answer, StreamError},
    head::BodyKind,
    sse::Decoder,
    transport,
};
use crate::emit::Emit;

/// Maximum bytes decoded before a flush while more are always ready.
const MAX_UNSHOWN_BYTES: usize = 64 * 1024;
/// The longest time for which output that nobody watches is left unread.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// The same as a part of the time since the request: an answer is noticed at most this
/// part later.
const PART_OF_ELAPSED: u32 = 16;
/// The resolution of the runtime's timers. A shorter pause only lets other tasks run.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// The limits of waiting for the end of a finished body, so that its connection
/// can be reused.
const DRAIN_LIMIT: Duration = Duration::from_millis(50);
const DRAIN_BYTES: usize = 64 * 1024;

/// A response's body.
pub(super) struct ResponseBody {
    body: reqwest::Body,
    /// Bytes read to detect the content, still to be returned.
    peeked: Option<Bytes>,
}

impl ResponseBody {
    pub(super) fn new(response: reqwest::Response) -> ResponseBody {
        let body = http::Response::<reqwest::Body>::from(response).into_body();
        ResponseBody { body, peeked: None }
    }

    /// Polls for the next piece; `None` at the end. Trailers are skipped.
    /// Cancel-safe: no data is lost if the poll is abandoned.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, StreamError>>> {
        if let Some(bytes) = self.peeked.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        loop {
            let frame = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(StreamError::Cut(transport::describe(&error)))));
                }
                Poll::Ready(Some(Ok(frame))) => frame,
            };
            if let Ok(bytes) = frame.into_data() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }

    async fn read(&mut self) -> Option<Result<Bytes, StreamError>> {
        poll_fn(|context| self.poll_read(context)).await
    }

    /// Returns what has already arrived, without waiting.
    async fn read_ready(&mut self) -> Poll<Option<Result<Bytes, StreamError>>> {
        poll_fn(|context| Poll::Ready(self.poll_read(context))).await
    }

    /// Detects the kind of the body: by its first characters if they are
    /// conclusive, since gateways label failures as streams and streams as
    /// anything; else by its label.
    pub(super) async fn content(&mut self, label: BodyKind) -> Result<BodyKind, StreamError> {
        const FIELDS: [&[u8]; 6] = [b"data:", b"event:", b"error:", b"id:", b"retry:", b":"];
        let start = self.peek().await?;
        let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start).trim_ascii_start();
        Ok(match start.first() {
            Some(b'{' | b'[') => BodyKind::Json,
            Some(b'<') => BodyKind::Other,
            _ if FIELDS.iter().any(|field| start.starts_with(field)) => BodyKind::Events,
            _ => label,
        })
    }

    /// Returns the beginning of the body, as soon as it is more than white space.
    async fn peek(&mut self) -> Result<&[u8], StreamError> {
        let mut start = Bytes::new();
        while start.trim_ascii_start().is_empty() && start.len() < MAX_UNSHOWN_BYTES {
            match self.read().await {
                Some(bytes) if start.is_empty() => start = bytes?,
                Some(bytes) => start = [start, bytes?].concat().into(),
                None => break,
            }
        }
        // An empty piece serves as none.
        Ok(self.peeked.insert(start))
    }

    /// Reads the whole body; fails if it exceeds `max_bytes`.
    pub(super) async fn read_whole(&mut self, max_bytes: usize) -> Result<Vec<u8>, StreamError> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.read().await {
            whole.extend_from_slice(&bytes?);
            if whole.len() > max_bytes {
                return Err(StreamError::Unusable("the answer is larger than allowed".into()));
            }
        }
        Ok(whole)
    }

    /// Reads as much of the body as arrives, up to a size.
    pub(super) async fn read_beginning(&mut self, max_bytes: usize, into: &mut Vec<u8>) {
        while let Some(Ok(bytes)) = self.read().await {
            let room = max_bytes - into.len();
            into.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if bytes.len() >= room {
                return;
            }
        }
    }

    /// Waits briefly for the end of a body that is no longer needed.
    async fn drain(&mut self) {
        let mut left = DRAIN_BYTES;
        let end = async {
            while let Some(Ok(bytes)) = self.read().await {
                left = left.saturating_sub(bytes.len());
                if left == 0 {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DRAIN_LIMIT, end).await;
    }
}

/// Decodes a stream of events into the answer, until the provider signals the
/// end or the body ends. An answer that nobody watches is read in batches.
pub(super) async fn read_events(
    body: &mut ResponseBody,
    answer: &mut Answer,
    max_event_bytes: usize,
    began: Instant,
    emit: &mut dyn Emit,
) -> Result<(), StreamError> {
    let mut decoder = Decoder::new(max_event_bytes);
    let mut ended = false;
    while !ended && !answer.is_done() {
        let mut read = Poll::Ready(body.read().await);
        let mut unshown = 0;
        while let Poll::Ready(Some(bytes)) = read {
            let bytes = bytes?;
            decoder.feed(&bytes, |event| answer.take_event(event, emit))?;
            unshown += bytes.len();
            if unshown > MAX_UNSHOWN_BYTES || answer.is_done() {
                read = Poll::Pending;
                break;
            }
            read = body.read_ready().await;
        }
        ended = matches!(read, Poll::Ready(None));
        if answer.take_emitted() {
            emit.flush();
        }
        if !ended && unshown <= MAX_UNSHOWN_BYTES && answer.has_begun() && !answer.is_done() {
            let pause = (began.elapsed() / PART_OF_ELAPSED).min(LONGEST_PAUSE);
            unless_watched(emit, pause).await;
        }
    }
    if !ended {
        body.drain().await;
    }
    Ok(())
}

/// Waits for the given time, or until somebody watches.
async fn unless_watched(emit: &mut dyn Emit, pause: Duration) {
    if poll_fn(|context| Poll::Ready(emit.poll_watched(context))).await.is_ready() {
        return;
    }
    if pause < SHORTEST_PAUSE {
        return yield_now().await;
    }
    let mut timer = pin!(sleep(pause));
    poll_fn(|context| match emit.poll_watched(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => timer.as_mut().poll(context),
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::{join, sync::mpsc, time::Sleep};
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;
    use crate::{
        error::Error,
        event::{Delta, Phase},
    };

    const EVENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n";
    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Counts flushes, and is watched once the timer has fired.
    struct Flushes {
        count: usize,
        watched: Option<Pin<Box<Sleep>>>,
    }

    impl Flushes {
        fn watched_after(milliseconds: Option<u32>) -> Flushes {
            let watched = milliseconds.map(|after| Box::pin(sleep(after * MILLISECOND)));
            Flushes { count: 0, watched }
        }
    }

    impl Emit for Flushes {
        fn phase(&mut self, _: Phase) {}

        fn delta(&mut self, _: Delta<'_>) -> Result<(), Error> {
            Ok(())
        }

        fn flush(&mut self) {
            self.count += 1;
        }

        fn poll_watched(&mut self, context: &mut Context<'_>) -> Poll<()> {
            self.watched.as_mut().map_or(Poll::Pending, |timer| timer.as_mut().poll(context))
        }
    }

    /// Reads 200 tokens that arrive within a second; returns the number of flushes.
    async fn read(mut emit: Flushes) -> usize {
        let (network, arriving) = mpsc::unbounded_channel();
        let body = reqwest::Body::wrap_stream(UnboundedReceiverStream::new(arriving));
        let mut body = ResponseBody { body, peeked: None };
        let send = async move {
            for _ in 0..200 {
                sleep(5 * MILLISECOND).await;
                network.send(Ok::<_, Infallible>(EVENT)).expect("it is read");
            }
        };
        let mut answer = Answer::new(1, false);
        let began = Instant::now() - 200 * MILLISECOND;
        let (read, ()) =
            join!(read_events(&mut body, &mut answer, 1 << 20, began, &mut emit), send);
        read.expect("a good stream");
        emit.count
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_watches_is_read_in_batches() {
        let watched = read(Flushes::watched_after(Some(0))).await;
        assert_eq!(watched, 200);
        let unwatched = read(Flushes::watched_after(None)).await;
        assert!((10..=40).contains(&unwatched), "{unwatched} flushes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_ends_as_soon_as_somebody_watches() {
        for (watched_after, expected) in [(None, 100), (Some(30), 30), (Some(0), 0)] {
            let began = Instant::now();
            unless_watched(&mut Flushes::watched_after(watched_after), LONGEST_PAUSE).await;
            assert_eq!(began.elapsed(), expected * MILLISECOND);
        }
    }
}
