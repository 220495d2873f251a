//! The upstream's answers: rendered once, then handed out whole or event by
//! event.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Sleep};

/// Begins every token, and occurs nowhere else in an answer: however an answer
/// is framed, merged or split on its way, counting this byte counts its tokens.
pub(crate) const TOKEN_MARK: u8 = b'~';

pub(crate) const ID: &str = "chatcmpl-5b0c7a41f29d4e6c8a3f1e2d4c6b8a90";
const WORDS: [&str; 8] = ["a", "node", "of", "the", "flow", "gives", "its", "answer"];

/// What the upstream answers to every call.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// How many tokens it has.
    pub(crate) tokens: u64,
    /// How many of them one event of a stream carries.
    pub(crate) tokens_per_event: u64,
    /// Before every token of a stream, the first one included.
    pub(crate) pause: Duration,
}

impl Answer {
    /// A stream without a pause.
    pub(crate) const fn at_once(tokens: u64, tokens_per_event: u64) -> Self {
        Self { tokens, tokens_per_event, pause: Duration::ZERO }
    }

    /// A stream with a pause before every token.
    pub(crate) const fn paced(tokens: u64, pause: Duration) -> Self {
        Self { tokens, tokens_per_event: 1, pause }
    }
}

/// The bytes of every answer.
pub(crate) struct Rendered {
    pub(crate) whole: Bytes,
    /// The role, the tokens, the finish reason, the usage, `[DONE]`.
    events: Vec<Bytes>,
    answer: Answer,
}

impl Rendered {
    pub(crate) fn new(answer: Answer) -> Self {
        let tokens: Vec<String> = (0..answer.tokens as usize)
            .map(|index| format!("{}{}", char::from(TOKEN_MARK), WORDS[index % WORDS.len()]))
            .collect();
        let usage = serde_json::json!({
            "prompt_tokens": 24,
            "completion_tokens": answer.tokens,
            "total_tokens": 24 + answer.tokens,
        });
        let whole = serde_json::json!({
            "id": ID, "object": "chat.completion", "created": 1_790_000_000, "model": "measured",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": tokens.concat()},
                "finish_reason": "stop",
            }],
            "usage": usage,
        });
        let choice = |delta, finish| serde_json::json!([{"index": 0, "delta": delta, "finish_reason": finish}]);
        let nothing = serde_json::Value::Null;
        let mut events =
            vec![event(choice(serde_json::json!({"role": "assistant"}), None), &nothing)];
        events.extend(tokens.chunks(answer.tokens_per_event as usize).map(|tokens| {
            event(choice(serde_json::json!({"content": tokens.concat()}), None), &nothing)
        }));
        events.push(event(choice(serde_json::json!({}), Some("stop")), &nothing));
        events.push(event(serde_json::json!([]), &usage));
        events.push(Bytes::from_static(b"data: [DONE]\n\n"));
        Self { whole: whole.to_string().into(), events, answer }
    }

    /// The pause before an event; only tokens are waited for.
    fn pause_before(&self, event: usize) -> Duration {
        // The role comes with the head, the three last with the last token.
        if (1..self.events.len() - 3).contains(&event) { self.answer.pause } else { Duration::ZERO }
    }
}

fn event(choices: serde_json::Value, usage: &serde_json::Value) -> Bytes {
    let chunk = serde_json::json!({
        "id": ID, "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "measured",
        "choices": choices, "usage": usage,
    });
    format!("data: {chunk}\n\n").into()
}

/// The body of an answer.
pub(crate) enum Reply {
    Whole(Option<Bytes>),
    Events(Events),
}

/// A stream under way: one frame an event, as a provider flushes each token.
pub(crate) struct Events {
    rendered: Arc<Rendered>,
    next: usize,
    /// When the event before was due: pauses add up without drifting.
    due: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Events {
    pub(crate) fn new(rendered: Arc<Rendered>) -> Self {
        Self { rendered, next: 0, due: Instant::now(), timer: None, waiting: false }
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.next == self.rendered.events.len() {
            return Poll::Ready(None);
        }
        let pause = self.rendered.pause_before(self.next);
        if !pause.is_zero() {
            if !self.waiting {
                self.due += pause;
                self.waiting = true;
                match &mut self.timer {
                    Some(timer) => timer.as_mut().reset(self.due),
                    None => self.timer = Some(Box::pin(tokio::time::sleep_until(self.due))),
                }
            }
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(context));
            }
            self.waiting = false;
        }
        self.next += 1;
        Poll::Ready(Some(self.rendered.events[self.next - 1].clone()))
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match self.get_mut() {
            Self::Whole(body) => body.take(),
            Self::Events(events) => ready!(events.poll_next(context)),
        };
        Poll::Ready(data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_none(),
            Self::Events(events) => events.next == events.rendered.events.len(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, Bytes::len) as u64),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
