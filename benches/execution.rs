//! What the worker itself costs, without a network: the cache key of a request,
//! a token on its way through a flight, and a hit from order to completed.
//!
//! `cargo bench --bench execution`. For `flight`, the time per element is the
//! time per token, all its subscribers included.

#[path = "fixtures/executions.rs"]
mod executions;
#[path = "fixtures/flights.rs"]
mod flights;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt;
use sparkler::internals::{CacheSecret, KeyParts, Scope};
use tokio::runtime::Runtime;

const TOKENS: u64 = 1000;

fn key(criterion: &mut Criterion) {
    let secret = CacheSecret::random();
    let mut group = criterion.benchmark_group("cache_key");
    for (name, bytes) in [("1_KiB", 1 << 10), ("16_KiB", 16 << 10), ("1_MiB", 1 << 20)] {
        let canonical_request = vec![b'x'; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(name, &canonical_request, |bencher, canonical_request| {
            bencher.iter(|| {
                secret.key(black_box(KeyParts {
                    scope: &Scope::Shared,
                    node_type: "chatFireworks",
                    base_url: "https://api.fireworks.ai/inference/v1",
                    endpoint: "chat_completions",
                    canonical_request,
                    salt: "",
                }))
            });
        });
    }
    group.finish();
}

fn flight(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flight");
    group.throughput(Throughput::Elements(TOKENS));
    for subscribers in [1, 100] {
        let id = BenchmarkId::new("token", format!("{subscribers}_subscribers"));
        let flights = flights::flights();
        group.bench_function(id, |bencher| {
            bencher.iter(|| flights::publish(&flights, subscribers, TOKENS));
        });
    }
    group.finish();
}

fn hit(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let executor = executions::executor(&runtime);
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("hit");
    for (name, bytes) in [("1_KiB_prompt", 1 << 10), ("64_KiB_prompt", 64 << 10)] {
        let prompt = "word ".repeat(bytes / 5);
        let request = |deltas| executions::request(&prompt, deltas);
        runtime.block_on(executions::execute(&executor, request(true)));
        for (form, deltas) in [("deltas", true), ("final_only", false)] {
            group.bench_function(BenchmarkId::new(form, name), |bencher| {
                bencher.iter(|| {
                    // A hit waits for nothing: one poll is all of it.
                    let hit = executions::execute(&executor, request(deltas));
                    hit.now_or_never().expect("a hit is ready at once")
                });
            });
        }
    }
    group.finish();
    executor.services.lifecycle.abort();
}

criterion_group!(benches, key, flight, hit);
criterion_main!(benches);
