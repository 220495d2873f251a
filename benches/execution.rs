//! What the worker itself costs, without a network: the cache key of a request,
//! a token on its way through a flight, and a hit from order to completed.
//!
//! `cargo bench --bench execution`. For `flight`, the time per element is the
//! time per token, all its subscribers included.

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fireworks_simulator::{Options, Simulator};
use futures_util::FutureExt;
use serde_json::{Map, json};
use sparkler::{
    config::Config,
    internals::{
        ApiKey, CacheMode, CachePolicy, CacheSecret, Caller, CredentialSource, Delta, Emit, Entry,
        ExecuteRequest, Executor, Finish, FlightOutcome, Flights, FlightsConfig, Join, JoinRequest,
        KeyParts, Limits, OutputFormat, Piece, Publisher, Received, ResponseEvent, Scope,
        ScopeKind, Stored, Subject, SubscribeOptions, Subscriber, Tier,
    },
    node::Input,
    server,
};
use tokio::{runtime::Runtime, time::Instant};

const TOKENS: u64 = 1000;
const MODEL: &str = "accounts/fireworks/models/glm-5p3";

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

fn flights() -> Arc<Flights> {
    Flights::new(FlightsConfig {
        retention: Duration::from_secs(60),
        retention_bytes: 1 << 20,
        max_answer_bytes: 16 << 20,
    })
}

/// A new flight and everybody who listens to it.
fn subscribed(flights: &Arc<Flights>, subscribers: usize) -> (Publisher, Vec<Subscriber>) {
    let request = JoinRequest {
        attachable: true,
        subject: Arc::new(Subject { model: MODEL.to_owned(), tier: Tier::Standard, json: false }),
        shared: Some([1; 32]),
        idempotency: None,
        in_fleet: false,
    };
    let options =
        SubscribeOptions { deltas: true, prompt: true, allows_restart: false, drains: false };
    let Ok(Join::Leader(publisher, first)) = flights.join(&request, options) else {
        unreachable!("no flight is under way");
    };
    let mut all = vec![first];
    while all.len() < subscribers {
        let Ok(Join::Follower(subscriber)) = flights.join(&request, options) else {
            unreachable!("the flight is under way");
        };
        all.push(subscriber);
    }
    (publisher, all)
}

/// Every token is published and flushed by itself and received by every subscriber at once:
/// the most that a token can cost.
fn publish(flights: &Arc<Flights>, subscribers: usize) {
    let (mut publisher, mut all) = subscribed(flights, subscribers);
    for _ in 0..TOKENS {
        let delta = Delta { choice: 0, piece: Piece::Text(" token".into()) };
        publisher.delta(delta).expect("within the bound");
        publisher.flush();
        for subscriber in &mut all {
            match subscriber.recv() {
                Ok(Some(Received::Delta(sequence, delta))) => black_box((sequence, delta)),
                other => unreachable!("{other:?}"),
            };
        }
    }
    publisher.record(Finish::default());
    publisher.complete(FlightOutcome::Completed(Stored::NotStored("mode")));
}

fn flight(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flight");
    group.throughput(Throughput::Elements(TOKENS));
    for subscribers in [1, 100] {
        let id = BenchmarkId::new("token", format!("{subscribers}_subscribers"));
        let flights = flights();
        group.bench_function(id, |bencher| bencher.iter(|| publish(&flights, subscribers)));
    }
    group.finish();
}

/// An executor with a simulated provider behind it.
fn executor(runtime: &Runtime) -> Arc<Executor> {
    runtime.block_on(async {
        let loopback = ([127, 0, 0, 1], 0).into();
        let simulator = Simulator::bind(loopback, Options::instant()).await.expect("a free port");
        let config = Config::local(simulator.base_url().parse().expect("a URL"));
        let executor = Arc::new(server::executor(&config).expect("an executor"));
        executor.lifecycle.spawn(async move {
            simulator.run(std::future::pending()).await.expect("it serves");
        });
        executor
    })
}

fn request(prompt: &str, deltas: bool) -> ExecuteRequest {
    let mut config = Map::new();
    config.insert("modelName".to_owned(), json!(MODEL));
    config.insert("temperature".to_owned(), json!(0.2));
    config.insert("maxTokens".to_owned(), json!(1000));
    let credential = ApiKey::new("fw_of_the_benchmark".to_owned()).expect("a key");
    ExecuteRequest {
        node_type: "chatFireworks".to_owned(),
        config,
        input: Input::Prompt(prompt.to_owned()),
        input_bytes: prompt.len(),
        credential: Some(CredentialSource::ApiKey(credential)),
        context: Arc::default(),
        caller: Caller::anyone(),
        cache: CachePolicy {
            mode: Some(CacheMode::ReadWrite),
            scope: ScopeKind::Credential,
            ttl: None,
            salt: String::new(),
        },
        output: OutputFormat::Text,
        deltas: Some(deltas),
        limits: Limits::default(),
        idempotency_key: None,
        arrived: Instant::now(),
    }
}

/// Executes to the end, and returns how many events there were.
async fn execute(executor: &Arc<Executor>, request: ExecuteRequest) -> usize {
    let entry = executor.admit(&Caller::anyone(), "", request.input_bytes);
    let Ok(Entry::Admitted(permit)) = entry else {
        unreachable!("there are places enough");
    };
    let context = request.context.clone();
    let record = executor.record(Some(&request.node_type), context, request.arrived);
    let mut session = executor.execute(permit, request, record).expect("it is taken");
    let mut events = 0;
    let mut completed = false;
    while let Some(output) = session.next().await {
        let output = output.expect("it does not fail");
        completed |= matches!(output.event, ResponseEvent::Completed(_));
        events += 1;
        black_box(output);
    }
    assert!(completed);
    events
}

fn hit(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let executor = executor(&runtime);
    let _entered = runtime.enter();
    let mut group = criterion.benchmark_group("hit");
    for (name, bytes) in [("1_KiB_prompt", 1 << 10), ("64_KiB_prompt", 64 << 10)] {
        let prompt = "word ".repeat(bytes / 5);
        runtime.block_on(execute(&executor, request(&prompt, true)));
        for (form, deltas) in [("deltas", true), ("final_only", false)] {
            group.bench_function(BenchmarkId::new(form, name), |bencher| {
                bencher.iter(|| {
                    // A hit waits for nothing: one poll is all of it.
                    let hit = execute(&executor, request(&prompt, deltas));
                    hit.now_or_never().expect("a hit is ready at once")
                });
            });
        }
    }
    group.finish();
    executor.lifecycle.abort();
}

criterion_group!(benches, key, flight, hit);
criterion_main!(benches);
