//! What goes wrong on request.

use std::time::Duration;

use fireworks_simulator::{Fault, Rule, ScriptedToolCall};
use serde_json::json;

use crate::simulator::client::{Client, chat, events, said, with};

/// What a client of a stream gets: the bytes, and whether the end was clean.
async fn streamed(client: &Client, fault: Fault) -> (Vec<u8>, bool) {
    client.handle.script(Rule::once(fault));
    let request = client.chat(&with(chat("Hi"), json!({"stream": true})));
    let mut response = request.send().await.expect("a response");
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => return (bytes, true),
            Err(_) => return (bytes, false),
        }
    }
}

fn deltas(text: &str) -> usize {
    text.matches("\"content\"").count()
}

#[tokio::test]
async fn streams_end_as_scripted() {
    for client in [Client::start().await, Client::start().await.http2()] {
        streams_end(&client).await;
    }
}

async fn streams_end(client: &Client) {
    for (fault, clean, done, finish) in [
        (Fault::Cut { after_deltas: 2 }, false, false, false),
        (Fault::EndEarly { after_deltas: Some(2) }, true, false, false),
        (Fault::DoneEarly { after_deltas: Some(2) }, true, true, false),
        (Fault::DoneEarly { after_deltas: None }, true, true, false),
        (Fault::NoDone, true, false, true),
        (Fault::DataAfterDone, true, true, true),
    ] {
        let name = format!("{fault:?}");
        let (bytes, ended) = streamed(client, fault).await;
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert_eq!(ended, clean, "{name}");
        assert_eq!(text.contains("[DONE]"), done, "{name}");
        assert_eq!(text.contains("\"finish_reason\":\"stop\""), finish, "{name}");
        if name.contains('2') {
            assert_eq!(deltas(&text), 2, "{name}");
        }
    }
}

#[tokio::test]
async fn a_cut_can_be_anywhere() {
    let client = Client::start().await;
    let (bytes, ended) = streamed(&client, Fault::CutAfterBytes { bytes: 500 }).await;
    assert_eq!((bytes.len(), ended), (500, false));
    let (bytes, ended) = streamed(&client, Fault::CutInCharacter).await;
    assert!(!ended && std::str::from_utf8(&bytes).is_err_and(|e| e.error_len().is_none()));
}

#[tokio::test]
async fn errors_come_in_the_stream() {
    let client = Client::start().await;
    let error = Fault::StreamError {
        after_deltas: Some(1),
        status: Some(503),
        code: None,
        message: "overloaded".to_owned(),
    };
    let event = Fault::ErrorEvent { after_deltas: Some(1), data: String::new() };
    let late = Fault::LateError { message: "late".to_owned() };
    for (fault, words, done) in [
        (
            error,
            "\"error\":{\"message\":\"overloaded\",\"type\":\"error\",\"code\":null,\"status\":503}",
            false,
        ),
        (event, "event: error\ndata: \n\n", false),
        (late, "\"error\":{\"message\":\"late\"", true),
        (
            Fault::FinishReason("content_filter".to_owned()),
            "\"finish_reason\":\"content_filter\"",
            true,
        ),
    ] {
        let (bytes, ended) = streamed(&client, fault).await;
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(ended && text.contains(words), "{words}: {text}");
        assert_eq!(text.contains("[DONE]"), done, "{words}");
    }
}

#[tokio::test]
async fn frames_are_odd_as_scripted() {
    let client = Client::start().await;
    for (fault, words) in [
        (Fault::Comments, ": heartbeat\n\n"),
        (Fault::Pings, "event: ping\ndata: still here\n\n"),
        (Fault::CrLf, "data: [DONE]\r\n\r\n"),
        (Fault::BareCr, "data: [DONE]\r\r"),
        (Fault::ByteOrderMark, "\u{feff}data: "),
        (Fault::SeveralDataLines, "data: {\ndata:   \"id\""),
        (Fault::NotJsonEvent { after_deltas: 1 }, "no JSON"),
        (Fault::HugeEvent { after_deltas: 1, bytes: 100_000 }, &"x".repeat(100_000)),
        (Fault::Shred { bytes: 1 }, "data: [DONE]\n\n"),
    ] {
        let name = format!("{fault:?}");
        let (bytes, ended) = streamed(&client, fault).await;
        let text = String::from_utf8(bytes).expect("UTF-8");
        assert!(ended && text.contains(words), "{name}: {text}");
    }
    let (bytes, _) = streamed(&client, Fault::Garbage { after_deltas: 1 }).await;
    assert!(std::str::from_utf8(&bytes).is_err());
}

#[tokio::test]
async fn endless_streams_end_when_the_client_leaves() {
    let client = Client::start().await;
    for (left, fault) in [(1, Fault::EndlessStream), (2, Fault::EndlessLine { after_deltas: 1 })] {
        client.handle.script(Rule::once(fault));
        let request = client.chat(&with(chat("Hi"), json!({"stream": true})));
        let mut response = request.send().await.expect("a response");
        let mut read = 0;
        while read < 1_000_000 {
            read += response.chunk().await.expect("no error").expect("no end").len();
        }
        drop(response);
        client.wait_until(|report| report.aborted == left).await;
    }
}

#[tokio::test]
async fn a_wait_for_the_first_token_is_not_one_for_the_head() {
    let client = Client::start().await;
    let delay = Duration::from_secs(3600);
    client.handle.script(Rule::once(Fault::SlowFirstToken { delay }));
    let streamed = with(chat("Hi"), json!({"stream": true}));
    let mut response = client.chat(&streamed).send().await.expect("a head");
    let first = response.chunk().await.expect("no error").expect("a chunk");
    assert!(String::from_utf8_lossy(&first).contains("\"role\""));
    assert_eq!(client.handle.report().deltas, 0);
}

#[tokio::test]
async fn answers_are_word_for_word() {
    let client = Client::start().await;
    let answer = Fault::Answer {
        reasoning: vec!["hm".to_owned()],
        deltas: vec!["Grüß ".to_owned(), "Gott".to_owned()],
        tool_calls: vec![ScriptedToolCall {
            name: "f".to_owned(),
            arguments: vec!["{\"a\"".to_owned(), ":1}".to_owned()],
        }],
    };
    client.handle.script(Rule::always(answer).and(Fault::Usage(json!({"total_tokens": 7}))));
    let events = events(&client.stream(chat("Hi")).await);
    assert_eq!(said(&events, 0, "reasoning_content"), "hm");
    assert_eq!(said(&events, 0, "content"), "Grüß Gott");
    let (_, reply) = client.ask(chat("Hi")).await;
    let call = &reply["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
    assert_eq!(reply["usage"], json!({"total_tokens": 7}));
}

#[tokio::test]
async fn json_mode_can_fail_to_be_json() {
    let client = Client::start().await;
    client.handle.script(Rule::once(Fault::NotJson));
    let asked = json!({"response_format": {"type": "json_object"}});
    let (_, reply) = client.ask(with(chat("Hi"), asked)).await;
    let text = reply["choices"][0]["message"]["content"].as_str().expect("text");
    assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
}
