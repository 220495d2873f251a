//! How the floor reads an upstream: the JSON of an answer, whole or in events.

use std::{
    borrow::Cow,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use hyper::body::{Body, Incoming};
use memchr::memchr;
use serde::Deserialize;
use tonic::Status;

use crate::wire;

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow)]
    choices: Vec<WholeChoice<'a>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct WholeChoice<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    choices: Vec<EventChoice<'a>>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct EventChoice<'a> {
    #[serde(borrow)]
    delta: Text<'a>,
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow)]
    content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
}

/// An answer that was asked for whole.
pub(crate) fn parse_whole(body: &[u8]) -> Result<wire::Completed, Status> {
    let mut whole: Whole<'_> = serde_json::from_slice(body).map_err(unavailable)?;
    let choice = whole.choices.pop().ok_or_else(|| Status::unavailable("no choice"))?;
    let text = choice.message.content.map_or_else(Bytes::new, |text| text.into_owned().into());
    Ok(completed(text, choice.finish_reason.unwrap_or_default().into_owned(), whole.usage))
}

/// An answer that came in events but is wanted whole.
pub(crate) fn parse_events(body: &[u8]) -> Result<wire::Completed, Status> {
    let (mut text, mut finish_reason, mut usage) = (String::new(), String::new(), None);
    for line in body.split(|byte| *byte == b'\n') {
        let Some(event) = parse_line(line)? else {
            continue;
        };
        usage = event.usage.or(usage);
        let Some(choice) = event.choices.into_iter().next() else {
            continue;
        };
        text.push_str(&choice.delta.content.unwrap_or_default());
        finish_reason = choice.finish_reason.map_or(finish_reason, Cow::into_owned);
    }
    Ok(completed(text.into(), finish_reason, usage))
}

fn parse_line(line: &[u8]) -> Result<Option<Event<'_>>, Status> {
    match line.strip_prefix(b"data: ") {
        None | Some(b"[DONE]") => Ok(None),
        Some(data) => serde_json::from_slice(data).map(Some).map_err(unavailable),
    }
}

fn completed(text: Bytes, finish_reason: String, usage: Option<Usage>) -> wire::Completed {
    wire::Completed {
        choices: vec![wire::Choice { text, finish_reason }],
        usage: usage.map(|usage| wire::Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        }),
    }
}

/// A stream on its way from the upstream to the caller: one message a token.
pub(crate) struct Relay {
    body: Incoming,
    unread: BytesMut,
    ended: bool,
    sequence: u64,
    finish_reason: String,
}

impl Relay {
    pub(crate) fn new(body: Incoming) -> Self {
        let (unread, finish_reason) = (BytesMut::new(), String::new());
        Self { body, unread, ended: false, sequence: 0, finish_reason }
    }

    /// The next message that what has been read already holds.
    fn next_message(&mut self) -> Result<Option<wire::Response>, Status> {
        while let Some(end) = memchr(b'\n', &self.unread) {
            let line = self.unread.split_to(end + 1);
            let Some(event) = parse_line(&line[..end])? else {
                continue;
            };
            let (mut delta, mut last) = (None, None);
            if let Some(choice) = event.choices.into_iter().next() {
                delta = choice.delta.content.map(|text| text.into_owned().into());
                if let Some(finish_reason) = choice.finish_reason {
                    self.finish_reason = finish_reason.into_owned();
                }
            } else if event.usage.is_some() {
                let finish_reason = std::mem::take(&mut self.finish_reason);
                last = Some(completed(Bytes::new(), finish_reason, event.usage));
            }
            if delta.is_some() || last.is_some() {
                self.sequence += 1;
                let delta = delta.map(|text| wire::Delta { text });
                let sequence = self.sequence;
                return Ok(Some(wire::Response { sequence, delta, completed: last }));
            }
        }
        Ok(None)
    }
}

impl Stream for Relay {
    type Item = Result<wire::Response, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let relay = self.get_mut();
        loop {
            match relay.next_message().transpose() {
                None if relay.ended => return Poll::Ready(None),
                None => {}
                message => return Poll::Ready(message),
            }
            match ready!(pin!(&mut relay.body).poll_frame(context)) {
                None => relay.ended = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(unavailable(error)))),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        relay.unread.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

pub(crate) fn unavailable(error: impl std::fmt::Display) -> Status {
    Status::unavailable(error.to_string())
}
