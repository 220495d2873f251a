//! What the simulator has seen.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Pace, Report, Rule, Simulator};
use serde_json::json;

use crate::simulator::client::{Client, LIMIT, chat, with};

/// A client for each version of HTTP.
async fn each_version() -> [Client; 2] {
    [Client::start().await, Client::start().await.http2()]
}

#[tokio::test]
async fn a_client_that_leaves_a_stalled_stream_is_billed_so_far() {
    for client in each_version().await {
        client.handle.script(Rule::once(Fault::stall(3)));
        let streamed = with(chat("Hi"), json!({"stream": true}));
        let response = client.chat(&streamed).send().await.expect("a response");
        client.wait_until(|report| report.stalled == 1).await;
        drop(response);
        let report = client.wait_until(|report| report.aborted == 1 && report.stalled == 0).await;
        assert_eq!((report.in_flight, report.completed), (0, 0));
        assert_eq!(report.last_abort.expect("an abort").deltas, 3);
        assert!((3..=12).contains(&report.completion_tokens), "{}", report.completion_tokens);
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_noticed() {
    for client in each_version().await {
        let slow = Fault::SlowHead { delay: Duration::from_secs(3600) };
        client.handle.script(Rule::once(slow));
        tokio::select! {
            _ = client.chat(&chat("Hi")).send() => panic!("answered"),
            _ = client.wait_until(|report| report.in_flight == 1) => {}
        }
        let report = client.wait_until(|report| report.aborted == 1).await;
        assert_eq!(report.in_flight, 0);
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_calls_that_stall() {
    for http in [reqwest::Client::builder(), reqwest::Client::builder().http2_prior_knowledge()] {
        let addr = ([127, 0, 0, 1], 0).into();
        let simulator = Simulator::bind(addr, Options::instant()).await.expect("a port");
        let handle = simulator.handle();
        handle.script(Rule::once(Fault::stall(1)));
        let url = format!("{}/chat/completions", simulator.base_url());
        let body = with(chat("Hi"), json!({"stream": true})).to_string();
        let request = http.build().expect("a client").post(url).bearer_auth("fw_test").body(body);
        let call = async {
            let response = request.send().await.expect("a response");
            response.text().await
        };
        let stalled = async {
            let stalled = handle.wait_until(|report| report.stalled == 1, LIMIT).await;
            stalled.expect("a stall");
        };
        let (served, call) = tokio::join!(simulator.run(stalled), call);
        assert!(served.is_ok() && call.is_err());
        let left = handle.wait_until(|report| report.aborted == 1 && report.stalled == 0, LIMIT);
        assert_eq!(left.await.expect("nothing left").in_flight, 0);
    }
}

#[tokio::test]
async fn every_call_is_booked_once() {
    let client = Client::start().await;
    client.handle.script(Rule::once(Fault::status(429)).and(Fault::NoDone));
    client.handle.script(Rule::once(Fault::HangUp));
    client.handle.script(Rule::once(Fault::Cut { after_deltas: 1 }));
    for _ in 0..5 {
        let streamed = with(chat("Hi"), json!({"stream": true}));
        if let Ok(response) = client.chat(&streamed).send().await {
            let _ = response.text().await;
        }
    }
    let report = client.wait_until(|report| report.in_flight == 0).await;
    assert_eq!((report.calls, report.refused, report.cut, report.completed), (5, 1, 2, 2));
    assert_eq!(report.by_status.get(&429), Some(&1));
    assert_eq!(report.distinct_requests, 1);
}

#[tokio::test]
async fn requests_are_kept_without_the_credential_and_only_so_many() {
    let client = Client::start().await;
    let (status, _) = client.ask(with(chat("my key is fw_test"), json!({"user": "fw_test"}))).await;
    assert_eq!(status, 200);
    let report = client.handle.report();
    let text = serde_json::to_string(&report).expect("JSON");
    assert!(text.contains("my key is [REDACTED]") && !text.contains("fw_test"), "{text}");
    for _ in 0..100 {
        client.ask(chat("Hi")).await;
    }
    assert_eq!(client.handle.report().requests.len(), 64);
}

#[tokio::test]
async fn report_and_reset_are_there_over_http() {
    let client = Client::start().await;
    client.ask(chat("Hi")).await;
    let report = async || {
        let response = client.http.get(client.url("/simulator/report")).send().await;
        let text = response.expect("a response").text().await.expect("a body");
        serde_json::from_str::<Report>(&text).expect("a report")
    };
    assert_eq!(report().await.calls, 1);
    client.http.post(client.url("/simulator/reset")).send().await.expect("a response");
    assert_eq!(report().await.calls, 0);
}

#[tokio::test]
async fn hundreds_of_streams_at_once_are_all_whole() {
    const STREAMS: u64 = 300;
    let pace = Pace { first_token: Duration::from_millis(50), tokens_per_second: 500.0 };
    let options = Options { pace, ..Options::default() };
    let client = Client::with(options).await.http2();
    let streams = (0..STREAMS).map(|stream| client.stream(chat(&format!("Hi {stream}"))));
    for stream in futures_util::future::join_all(streams).await {
        assert!(stream.ends_with("data: [DONE]\n\n"));
    }
    let report = client.wait_until(|report| report.completed == STREAMS).await;
    assert_eq!(report.connections, 1);
    assert_eq!(report.distinct_requests, STREAMS);
    assert!(report.peak_in_flight > 100, "{}", report.peak_in_flight);
}
