//! Callers who mean no good, or know no better: while they do their worst, good
//! calls keep being answered. Each prints what was sent, and how long the slowest
//! good call took meanwhile.

#![expect(clippy::print_stdout, reason = "the figures are to be read")]

mod adversary;
mod grammar;

use std::{io::Write, net::SocketAddr, time::Duration};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::support::{PATIENCE, World, ask, spawn};

/// What every HTTP/2 connection begins with, and empty SETTINGS.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// How long each goes on; longer where SPARKLER_LONG says so.
fn duration() -> Duration {
    let long = std::env::var_os("SPARKLER_LONG").is_some();
    Duration::from_secs(if long { 30 } else { 2 })
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a call, by literal header fields without indexing.
fn head(more: &[(&str, &str)]) -> Vec<u8> {
    let path = "/sparkler.worker.v1.WorkerService/ExecuteNode";
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let mut block = Vec::new();
    for (name, value) in usual.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            integer(text.len(), &mut block);
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer of HPACK with seven bits in its first byte.
fn integer(number: usize, block: &mut Vec<u8>) {
    let Some(mut rest) = number.checked_sub(127) else {
        return block.push(u8::try_from(number).expect("short"));
    };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// One attacker: what `next` makes goes out as fast as the worker takes it, over
/// a new connection whenever one is closed. How many were sent, over how many.
fn attack(
    worker: SocketAddr,
    mut next: impl FnMut(u32) -> Vec<u8> + Send + 'static,
) -> JoinHandle<(u64, u64)> {
    let until = Instant::now() + duration();
    spawn(async move {
        let (mut sent, mut connections) = (0, 0);
        while Instant::now() < until {
            let Ok(mut socket) = TcpStream::connect(worker).await else { continue };
            connections += 1;
            let (mut reader, mut writer) = socket.split();
            let write = async {
                let mut alive = writer.write_all(GREETING).await.is_ok();
                let mut number = 0;
                while alive && Instant::now() < until {
                    alive = writer.write_all(&next(number)).await.is_ok();
                    number += 1;
                    sent += 1;
                }
            };
            let read = async {
                let mut sink = vec![0; 64 * 1024];
                while reader.read(&mut sink).await.is_ok_and(|bytes| bytes > 0) {}
            };
            tokio::select! {
                _ = timeout(duration() + PATIENCE, write) => {}
                () = read => {}
            }
        }
        (sent, connections)
    })
}

/// Good calls one after the other while the attack goes on, each in time.
async fn good_calls(world: &World, name: &str, attack: JoinHandle<(u64, u64)>) {
    let caller = world.caller().await;
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    while !attack.is_finished() {
        let began = Instant::now();
        let answer = timeout(PATIENCE, caller.answer(ask("x"))).await.expect("in time");
        assert!(!answer.choices.is_empty());
        slowest = slowest.max(began.elapsed());
        answered += 1;
    }
    let (sent, connections) = attack.await.expect("it ends");
    assert!(sent > 0 && answered > 0);
    println!(
        "{name}: {sent} sent over {connections} connections; {answered} good calls, the slowest {slowest:?}"
    );
}

async fn withstands(name: &str, next: impl FnMut(u32) -> Vec<u8> + Send + 'static) {
    let world = World::start().await;
    let attack = attack(world.worker, next);
    good_calls(&world, name, attack).await;
}

/// What a bomb says it is.
const INFLATED: usize = 8 << 20;

/// A message of a few bytes that stands for millions.
fn bomb() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&vec![0; INFLATED]).expect("a vector takes everything");
    let deflated = encoder.finish().expect("a vector takes everything");
    let length = u32::try_from(deflated.len()).expect("short").to_be_bytes();
    [&[1][..], &length, &deflated].concat()
}

fn stream(number: u32) -> u32 {
    2 * (number % (1 << 29)) + 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_frames() {
    withstands("garbage frames", |number| {
        let noise: Vec<u8> = (0..256).map(|_| fastrand::u8(..)).collect();
        frame(fastrand::u8(..), fastrand::u8(..), number, &noise)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_pings() {
    withstands("pings", |_| frame(6, 0, 0, &[7; 8])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_reset_at_once() {
    withstands("rapid resets", |number| {
        let mut both = frame(1, 4, stream(number), &head(&[]));
        both.extend(frame(3, 0, stream(number), &[0, 0, 0, 8]));
        both
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_headers() {
    let value = "v".repeat(15_000);
    withstands("huge headers", move |number| {
        let block = head(&[("x-large", &value)]);
        frame(1, 4 | 1, stream(number), &block)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_end() {
    withstands("headers without end", |number| {
        let kind = if number == 0 { 1 } else { 9 };
        frame(kind, 0, 1, &head(&[("x-more", "v")]))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_bombs() {
    let bomb = bomb();
    println!("a bomb: {} bytes of which {INFLATED} come", bomb.len());
    withstands("gzip bombs", move |number| {
        let mut call = frame(1, 4, stream(number), &head(&[("grpc-encoding", "gzip")]));
        call.extend(frame(0, 1, stream(number), &bomb));
        call
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_never_come() {
    withstands("messages that never come", |number| {
        // Half a megabyte is announced, and a byte sent; a few at a time.
        std::thread::sleep(Duration::from_millis(2));
        let mut call = frame(1, 4, stream(number), &head(&[]));
        call.extend(frame(0, 0, stream(number), &[0, 0, 8, 0, 0, 7]));
        call
    })
    .await;
}
