//! Many slow streams on one worker: none is lost, and each takes little memory.
//!
//! Worker and provider are processes of their own, so that the worker's memory
//! is its own. `SPARKLER_LONG=1` asks for five thousand streams at once, which
//! takes about a minute; without it there are a few hundred.

#![expect(clippy::print_stderr, reason = "the figures are what it is run for")]

use std::{env, time::Duration};

use futures_util::future::join_all;
use sparkler::proto::{
    Completed, ExecuteNodeRequest, execute_node_response::Event,
    worker_service_client::WorkerServiceClient,
};
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;

use crate::support::{Program, Simulation, ask, resident_kib, spawn};

/// A model that does not think aloud.
const PLAIN: &str = "accounts/simulator/models/plain";
const STREAMS_PER_CONNECTION: usize = 500;
/// A stream that costs more than this is a change to think about.
const MOST_KIB_PER_STREAM: u64 = 128;

/// How much load, and how slow.
struct Load {
    streams: usize,
    first_token: &'static str,
    tokens_per_second: &'static str,
    limit: Duration,
}

impl Load {
    fn asked_for() -> Load {
        if env::var_os("SPARKLER_LONG").is_some_and(|long| long == "1") {
            Load {
                streams: 5000,
                first_token: "2s",
                tokens_per_second: "0.7",
                limit: Duration::from_secs(240),
            }
        } else {
            Load {
                streams: 300,
                first_token: "1s",
                tokens_per_second: "10",
                limit: Duration::from_secs(60),
            }
        }
    }
}

async fn provider(load: &Load) -> Simulation {
    let pace = ["--first-token", load.first_token, "--tokens-per-second", load.tokens_per_second];
    Simulation::start(&[&pace[..], &["--answer-tokens=20", "--delta-tokens=1"]].concat()).await
}

fn request(index: usize) -> ExecuteNodeRequest {
    ask(&format!("Stream {index}")).model(PLAIN).request()
}

/// One stream, to its end: the deltas must be the answer.
async fn listen(
    mut client: WorkerServiceClient<Channel>,
    request: ExecuteNodeRequest,
) -> Completed {
    let mut stream = client.execute_node(request).await.expect("it runs").into_inner();
    let mut text = String::new();
    let mut last = None;
    while let Some(message) = stream.message().await.expect("no stream is lost") {
        match message.event.expect("an event") {
            Event::Delta(delta) => text.push_str(&delta.text),
            Event::Completed(completed) => last = Some(*completed),
            _ => {}
        }
    }
    let completed = last.expect("it completes");
    assert_eq!(completed.choices[0].text, text);
    completed
}

async fn listen_to_the_stop(client: WorkerServiceClient<Channel>, request: ExecuteNodeRequest) {
    let completed = listen(client, request).await;
    assert_eq!(completed.choices[0].finish_reason, "stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_slow_streams_at_once_all_end_whole() {
    let load = Load::asked_for();
    let provider = provider(&load).await;
    let worker = Program::serve(&provider.base_url, &["--fireworks-protocol=http2"]).await;
    let address = worker.address;
    let connections = load.streams.div_ceil(STREAMS_PER_CONNECTION);
    let connecting =
        (0..connections).map(|_| WorkerServiceClient::connect(format!("http://{address}")));
    let clients: Vec<_> =
        join_all(connecting).await.into_iter().map(|client| client.expect("it listens")).collect();
    // What the first call sets up is not part of what a stream takes.
    let brief = ask("First").model(PLAIN).set("maxTokens", 1.into()).request();
    listen(clients[0].clone(), brief).await;
    let idle = resident_kib(worker.id()).0;

    let began = Instant::now();
    let streams: Vec<_> = (0..load.streams)
        .map(|index| {
            spawn(listen_to_the_stop(clients[index % clients.len()].clone(), request(index)))
        })
        .collect();
    let peak = async {
        while provider.report().await.in_flight < load.streams as u64 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        (began.elapsed(), resident_kib(worker.id()).0)
    };
    let (open_after, busy) = timeout(load.limit, peak).await.expect("all are under way at once");
    let ended = timeout(load.limit, join_all(streams)).await.expect("all end in time");
    let lost = ended.iter().filter(|stream| stream.is_err()).count();
    assert_eq!(lost, 0, "of {} streams", load.streams);

    let each = busy.saturating_sub(idle) / load.streams as u64;
    eprintln!(
        "{} streams over {connections} connections: all under way after {open_after:.1?}, ended \
         after {:.1?}; worker {idle} KiB idle, {busy} KiB then: {each} KiB a stream; {} KiB after",
        load.streams,
        began.elapsed(),
        resident_kib(worker.id()).0,
    );
    assert!(each < MOST_KIB_PER_STREAM, "{each} KiB a stream");
    let report = provider.report().await;
    assert_eq!((report.aborted, report.cut, report.refused), (0, 0, 0));
}
