//! What the simulator has seen.

use serde_json::json;
use sparkler::simulator::{Fault, Report, Rule};

use crate::client::{Client, chat, with};

#[tokio::test]
async fn a_client_that_leaves_a_stalled_stream_is_noticed_and_billed_so_far() {
    let client = Client::start().await;
    client.handle.script(Rule::once(Fault::stall(3)));
    let response =
        client.chat(&with(chat("Hi"), json!({"stream": true}))).send().await.expect("a response");
    client.wait_until(|report| report.stalled == 1).await;
    drop(response);
    let report = client.wait_until(|report| report.aborted == 1).await;
    assert_eq!((report.in_flight, report.stalled, report.completed), (0, 0, 0));
    assert_eq!(report.last_abort.expect("an abort").deltas, 3);
    assert!((3..=12).contains(&report.completion_tokens), "{}", report.completion_tokens);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_noticed() {
    let client = Client::start().await;
    let slow = Fault::SlowHead { delay: std::time::Duration::from_secs(3600) };
    client.handle.script(Rule::once(slow));
    let call = client.chat(&chat("Hi")).send();
    tokio::select! {
        _ = call => panic!("answered"),
        _ = client.wait_until(|report| report.in_flight == 1) => {}
    }
    let report = client.wait_until(|report| report.aborted == 1).await;
    assert_eq!(report.in_flight, 0);
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
