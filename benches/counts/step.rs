//! The steps that are counted.

use std::{hint::black_box, io};

use bytes::BytesMut;
use futures_util::FutureExt;
use prost::Message;
use sparkler::internals::{
    CacheSecret, JsonLines, KeyParts, Scope,
    parts::{Answer, Decoder},
};
use tokio::runtime;

use crate::{
    executions, flights,
    tokens::{Counting, MAX_EVENT_BYTES, stream},
};

/// A step of the hot path.
pub(crate) struct Step {
    /// Its name in the file of accepted counts.
    pub(crate) name: &'static str,
    /// How often a short count runs it.
    pub(crate) times: u64,
    body: fn(u64),
}

impl Step {
    /// Every step.
    pub(crate) const ALL: &[Step] = &[
        Step { name: "decode", times: 2000, body: decode },
        Step { name: "parse", times: 2000, body: parse },
        Step { name: "key", times: 1000, body: key },
        Step { name: "publish", times: 2000, body: publish },
        Step { name: "encode", times: 1000, body: encode },
        Step { name: "hit", times: 400, body: hit },
    ];

    /// Returns the step of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Step> {
        Step::ALL.iter().find(|step| step.name == name)
    }

    /// Runs it so many times.
    pub(crate) fn run(&self, times: u64) {
        (self.body)(times);
    }
}

/// A token of an answer whose chunks resemble one another, each in a read of its own.
fn decode(tokens: u64) {
    read(&stream(tokens, " token", 1), tokens);
}

/// A token whose chunk has to be parsed in full.
fn parse(tokens: u64) {
    read(&stream(tokens, " token", 2), tokens);
}

fn read(body: &[u8], tokens: u64) {
    let mut decoder = Decoder::new(MAX_EVENT_BYTES);
    let mut answer = Answer::new(2, false);
    let mut receiver = Counting::default();
    for read in body.chunks(body.len() / tokens as usize) {
        let fed = decoder.feed(read, |event| answer.take_event(event, &mut receiver));
        fed.expect("a good stream");
    }
    black_box(receiver.bytes);
}

/// The cache key of a request of 1 KiB.
fn key(times: u64) {
    let secret = CacheSecret::random();
    let canonical_request = vec![b'x'; 1 << 10];
    for _ in 0..times {
        black_box(secret.key(black_box(KeyParts {
            scope: &Scope::Shared,
            node_type: "chatFireworks",
            base_url: "https://api.fireworks.ai/inference/v1",
            endpoint: "chat_completions",
            canonical_request: &canonical_request,
            salt: "",
        })));
    }
}

/// A token that is published, flushed and received.
fn publish(tokens: u64) {
    flights::publish(&flights::flights(), 1, tokens);
}

/// The messages of a hit, as bytes.
fn encode(times: u64) {
    with_hits(|hit| {
        let messages = hit();
        let mut buffer = BytesMut::with_capacity(4096);
        for _ in 0..times {
            buffer.clear();
            for message in &messages {
                message.encode(&mut buffer).expect("the buffer grows");
            }
            black_box(&buffer);
        }
    });
}

/// A hit, from the request to the last message.
fn hit(times: u64) {
    with_hits(|hit| {
        for _ in 0..times {
            black_box(hit());
        }
    });
}

/// Calls `body` with a function that executes a hit, its log line included.
fn with_hits(body: impl FnOnce(&dyn Fn() -> Vec<sparkler::proto::ExecuteNodeResponse>)) {
    let log = tracing_subscriber::fmt().event_format(JsonLines).with_writer(io::sink);
    log.init();
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let executor = executions::executor(&runtime);
    let _entered = runtime.enter();
    let prompt = "word ".repeat(205);
    let execute = || executions::execute(&executor, executions::request(&prompt, true));
    runtime.block_on(execute());
    // A hit waits for nothing: one poll is all of it.
    body(&|| execute().now_or_never().expect("a hit is ready at once"));
    executor.services.lifecycle.abort();
}
