//! Good answers, in every form.

use bytes::Bytes;

use super::{
    super::{Endpoint, Request},
    generate,
    notes::{Note, Notes},
    provider::{ResponseScript, ScriptStep, TestProvider},
    request, run, run_request,
};
use crate::event::{FinishReason, Phase, ToolCallFragment, Usage};

const PLAIN: &str = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"accounts/fireworks/models/m","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}],"usage":null}

data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"reasoning_content":"Hm."},"finish_reason":null}]}

data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}

data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"lo \"w\u00f6rld\""},"finish_reason":null}]}

data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"chatcmpl-1","service_tier":"flex","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}

data: [DONE]

"#;

#[tokio::test]
async fn a_chat_stream_is_emitted_as_it_comes_with_its_usage() {
    let script = ResponseScript::stream(PLAIN).header("x-request-id", "req-1");
    let (result, notes) = run(script).await;
    let finish = result.expect("an answer");
    assert_eq!(finish.finish_reasons, [FinishReason::Stop]);
    assert_eq!(
        finish.usage,
        Some(Usage {
            prompt_tokens: Some(7),
            completion_tokens: Some(5),
            total_tokens: Some(12),
            cached_tokens: Some(4),
            reasoning_tokens: Some(2),
        })
    );
    assert_eq!(finish.model.as_deref(), Some("accounts/fireworks/models/m"));
    assert_eq!(finish.provider_request_id.as_deref(), Some("req-1"));
    assert_eq!(finish.service_tier.as_deref(), Some("flex"), "as far as the provider says it");
    assert_eq!(
        notes.all(),
        [
            Note::Phase(Phase::Connecting),
            Note::Phase(Phase::Waiting),
            Note::Phase(Phase::Streaming),
            Note::Reasoning(0, "Hm.".into()),
            Note::Text(0, "Hel".into()),
            Note::Text(0, "lo \"wörld\"".into()),
            Note::Flush,
        ]
    );
}

#[tokio::test]
async fn the_request_goes_out_as_given_and_asks_for_a_stream() {
    let mut provider = TestProvider::start(ResponseScript::stream(PLAIN)).await;
    let completions = Request { endpoint: Endpoint::Completions, ..request() };
    let client = provider.client();
    for request in [&request(), &completions] {
        generate(&client, request, &mut Notes::default()).await.expect("an answer");
    }
    let received = provider.requests.recv().await.expect("a request");
    assert_eq!(received.path, "/inference/v1/chat/completions");
    assert_eq!(received.body, request().body);
    for (name, value) in [
        ("authorization", "Bearer fw_canary"),
        ("accept", "text/event-stream"),
        ("content-type", "application/json"),
        ("content-length", "27"),
        ("user-agent", concat!("sparkler/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(received.headers[name], value, "{name}");
    }
    let received = provider.requests.recv().await.expect("a request");
    assert_eq!(received.path, "/inference/v1/completions");
}

#[tokio::test]
async fn what_has_come_is_shown_before_the_rest_has() {
    let (first, rest) = PLAIN.split_at(PLAIN.find("lo ").expect("a place to cut"));
    let script = ResponseScript::steps(vec![
        ScriptStep::Send(first.into()),
        ScriptStep::Gate,
        ScriptStep::Send(rest.into()),
    ]);
    let provider = TestProvider::start(script).await;
    let notes = Notes::default();
    let client = provider.client();
    let mut emit = notes.clone();
    let watch = async {
        notes.until(Note::Flush).await;
        assert_eq!(notes.text(0), "Hel");
        provider.open_gate();
    };
    let (result, ()) =
        tokio::join!(async { generate(&client, &request(), &mut emit).await }, watch);
    result.expect("an answer");
    assert_eq!(notes.text(0), "Hello \"wörld\"");
}

/// Returns the emitted deltas, without phases and flushes.
async fn emitted(body: &str, request: &Request) -> Vec<Note> {
    let (result, notes) = run_request(ResponseScript::stream(body), request).await;
    result.unwrap_or_else(|error| panic!("{body}: {error:?}"));
    let mut emitted = notes.all();
    emitted.retain(|emitted| !matches!(emitted, Note::Phase(_) | Note::Flush));
    for call in &mut emitted {
        if let Note::ToolCall(_, ToolCallFragment { id: Some(id), .. }) = call
            && id.len() == "call_".len() + 24
        {
            *id = "call_made_up".to_owned();
        }
    }
    emitted
}

#[tokio::test]
async fn tool_calls_are_emitted_in_every_form() {
    let body = concat!(
        r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"look"}}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":null,"function":{"arguments":"{\"a\""}},{"index":1,"id":"call_2","function":"now"}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":null,"arguments":{"b": 1.0}}}]}}]}"#,
        "\n\n",
        r#"data: {"choices":[{"delta":{"tool_calls":null,"content":null,"function_call":{"name":"old","arguments":"{}"}},"finish_reason":"tool_calls"}]}"#,
        "\n\n",
    );
    let fragment = |index, id: Option<&str>, name: Option<&str>, arguments: &str| {
        Note::ToolCall(
            0,
            ToolCallFragment {
                index,
                id: id.map(str::to_owned),
                name: name.map(str::to_owned),
                arguments: arguments.to_owned(),
            },
        )
    };
    assert_eq!(
        emitted(body, &request()).await,
        [
            fragment(0, Some("call_1"), Some("look"), ""),
            fragment(0, None, None, "{\"a\""),
            fragment(1, Some("call_2"), Some("now"), ""),
            fragment(0, None, None, "{\"b\": 1.0}"),
            fragment(1, None, None, "{}"),
            fragment(2, Some("call_made_up"), Some("old"), "{}"),
        ]
    );
}

#[tokio::test]
async fn choices_come_interleaved_and_each_has_its_own_reasoning() {
    let body = concat!(
        r#"data: {"choices":[{"index":1,"text":"<thi"},{"index":0,"text":"a < b"}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":1,"text":"nk>\nhm</thi"}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":0,"text":" <think>","finish_reason":"length"}]}"#,
        "\n\n",
        r#"data: {"choices":[{"index":1,"text":"nk>\n\nyes","finish_reason":"stop"}]}"#,
        "\n\ndata: [DONE]\n\n",
    );
    let two = Request { choices: 2, endpoint: Endpoint::Completions, ..request() };
    let (result, notes) = run_request(ResponseScript::stream(body), &two).await;
    let finish = result.expect("an answer");
    assert_eq!(finish.finish_reasons, [FinishReason::Length, FinishReason::Stop]);
    assert_eq!(notes.text(0), "a < b <think>");
    assert_eq!(notes.reasoning(1), "hm");
    assert_eq!(notes.text(1), "yes");
}

#[tokio::test]
async fn logprobs_are_verbatim_and_only_on_request() {
    let body = concat!(
        r#"data: {"choices":[{"delta":{"content":"x"},"logprobs":{"content": [1.50]},"finish_reason":"stop"}]}"#,
        "\n\n"
    );
    let asked = Request { logprobs: true, ..request() };
    let text = Note::Text(0, "x".into());
    let logprobs = Note::Logprobs(0, r#"{"content": [1.50]}"#.into());
    assert_eq!(emitted(body, &asked).await, [text.clone(), logprobs]);
    assert_eq!(emitted(body, &request()).await, [text]);
}

#[tokio::test]
async fn usage_is_found_wherever_it_is() {
    let finish_chunk = r#"data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"output_tokens_details":{"reasoning_tokens":2}}}"#;
    let script = ResponseScript::stream(&format!("{finish_chunk}\n\n"))
        .header("fireworks-prompt-tokens", "9")
        .header("fireworks-cached-prompt-tokens", "1");
    let (result, _) = run(script).await;
    assert_eq!(
        result.expect("an answer").usage,
        Some(Usage {
            prompt_tokens: Some(3),
            cached_tokens: Some(1),
            reasoning_tokens: Some(2),
            ..Usage::default()
        })
    );
}

#[tokio::test]
async fn usage_that_cannot_be_read_does_not_void_the_answer() {
    let body = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":-1.5}}\n\n";
    let (result, _) = run(ResponseScript::stream(body)).await;
    assert_eq!(result.expect("an answer").usage, None);
}

#[tokio::test]
async fn pings_comments_and_what_follows_the_end_are_ignored() {
    let body = format!(
        ": heartbeat\r\n\r\nevent: ping\r\ndata: not json\r\n\r\n{}data: {{\"error\":\"late\"}}\n\n",
        PLAIN.replace('\n', "\r\n")
    );
    let (result, notes) = run(ResponseScript::stream(&body)).await;
    result.expect("an answer");
    assert_eq!(notes.text(0), "Hello \"wörld\"");
}

#[tokio::test]
async fn a_whole_answer_instead_of_a_stream_is_taken() {
    let body = r#"{"id":"chatcmpl-2","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"<think>hm</think>hi","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"total_tokens":3}}"#;
    let (result, notes) = run(ResponseScript::status(200, body)).await;
    let finish = result.expect("an answer");
    assert_eq!(finish.provider_request_id.as_deref(), Some("chatcmpl-2"));
    assert_eq!(finish.usage.and_then(|usage| usage.total_tokens), Some(3));
    assert_eq!(notes.reasoning(0), "hm");
    assert_eq!(notes.text(0), "hi");
    assert_eq!(notes.all().last(), Some(&Note::Flush));
}

#[tokio::test]
async fn a_connection_is_used_again_after_an_answer() {
    for tail in ["", "data: {}\n\n"] {
        let script = ResponseScript::steps(vec![
            ScriptStep::Send(Bytes::from(PLAIN).to_vec()),
            ScriptStep::Send(tail.into()),
        ]);
        let mut provider = TestProvider::start(script).await;
        let client = provider.client();
        let mut peers = Vec::new();
        for phases in [
            &[Phase::Connecting, Phase::Waiting, Phase::Streaming][..],
            &[Phase::Waiting, Phase::Streaming],
        ] {
            let mut notes = Notes::default();
            generate(&client, &request(), &mut notes).await.expect("an answer");
            assert_eq!(notes.phases(), phases);
            peers.push(provider.requests.recv().await.expect("a request").peer);
        }
        assert_eq!(peers[0], peers[1]);
    }
}
