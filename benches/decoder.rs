//! What one token costs between the network and the receiver: the decoder
//! alone, the decoder with parsing and emitting, and, in the same run, the way
//! one would write it first, with a split and a generic JSON tree.
//!
//! `cargo bench --bench decoder`; the time per element is the time per token.

#[path = "fixtures/tokens.rs"]
mod tokens;

use std::{borrow::Cow, hint::black_box};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sparkler::internals::{
    Delta, Emit, Piece,
    parts::{Answer, Decoder, EventTooLong},
};

use crate::tokens::{Counting, MAX_EVENT_BYTES};

const TOKENS: u64 = 1000;

/// Decodes a body that comes in reads of this size.
type Way = fn(&[u8], usize) -> usize;

fn decode(body: &[u8], read_bytes: usize) -> usize {
    let mut decoder = Decoder::new(MAX_EVENT_BYTES);
    let mut bytes = 0;
    for read in body.chunks(read_bytes) {
        let fed: Result<(), EventTooLong> = decoder.feed(read, |event| {
            bytes += black_box(event).data.len();
            Ok(())
        });
        fed.expect("small events");
    }
    bytes
}

fn decode_and_emit(body: &[u8], read_bytes: usize) -> usize {
    let mut decoder = Decoder::new(MAX_EVENT_BYTES);
    let mut answer = Answer::new(2, false);
    let mut subscriber = Counting::default();
    for read in body.chunks(read_bytes) {
        decoder
            .feed(read, |event| answer.take_event(event, &mut subscriber))
            .expect("a good stream");
    }
    subscriber.bytes
}

/// Splits at blank lines and looks the content up in a tree.
fn naive(body: &[u8], read_bytes: usize) -> usize {
    let mut buffer = String::new();
    let mut subscriber = Counting::default();
    for read in body.chunks(read_bytes) {
        buffer.push_str(std::str::from_utf8(read).expect("ASCII"));
        while let Some(end) = buffer.find("\n\n") {
            let event: String = buffer.drain(..end + 2).collect();
            let data = event.trim_end().strip_prefix("data: ").expect("data");
            let chunk: serde_json::Value = serde_json::from_str(data).expect("JSON");
            let text = chunk["choices"][0]["delta"]["content"].as_str();
            let delta =
                Delta { choice: 0, piece: Piece::Text(Cow::Owned(text.expect("text").to_owned())) };
            subscriber.delta(delta).expect("room");
        }
    }
    subscriber.bytes
}

fn benchmark(criterion: &mut Criterion) {
    let stream = |text, choices| tokens::stream(TOKENS, text, choices);
    let mut group = criterion.benchmark_group("per_token");
    group.throughput(Throughput::Elements(TOKENS));
    let ways: [(&str, Way); 3] =
        [("decode", decode), ("decode_parse_emit", decode_and_emit), ("naive", naive)];
    let plain = stream(" token", 1);
    let one_event = plain.len() / TOKENS as usize;
    let bodies = [
        ("event_per_read", &plain, one_event),
        ("4_KiB_reads", &plain, 4096),
        ("64_byte_reads", &plain, 64),
        ("escapes", &stream(" \\\"t\\n\\u00e9", 1), 4096),
        // No chunk repeats the last one: each is parsed in full.
        ("two_choices", &stream(" token", 2), 4096),
    ];
    for (name, body, read_bytes) in bodies {
        for (way, run) in ways {
            let id = BenchmarkId::new(way, name);
            group.bench_with_input(id, body, |bencher, body| {
                bencher.iter(|| run(black_box(body), read_bytes));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, benchmark);
criterion_main!(benches);
