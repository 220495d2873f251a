//! The whole tree of what goes well: a miss, a hit, a follower, a retry.

use std::time::Duration;

use fireworks_simulator::{Fault, Refusal, Rule};
use serde_json::json;

use super::{CHAT, EXECUTE, traced, traced_with, tree};
use crate::support::{KEY, MODEL, ask, embed};

#[tokio::test]
async fn a_miss_is_a_call_a_look_up_a_flight_and_a_request() {
    let (world, sink) = traced(Vec::new()).await;
    let asked = ask("Why?")
        .cached()
        .set("temperature", json!(0.5))
        .set("maxTokens", json!(4096))
        .set("stop", json!(["END"]));
    let completed = world.caller().await.answer(asked).await;
    let spans = sink.wait_for(1, EXECUTE).await;
    let call = spans.one(EXECUTE);
    assert_eq!(tree(&spans, call), [EXECUTE, "  cache lookup", "  flight", &format!("    {CHAT}")]);
    assert_eq!((call.kind, call.parent.as_str(), call.failed), ("server", "", false));
    for (key, value) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", EXECUTE),
        ("rpc.response.status_code", "OK"),
        ("server.address", "127.0.0.1"),
        ("server.port", &world.worker.port().to_string()),
        ("network.peer.address", "127.0.0.1"),
        ("sparkler.node.type", "chatFireworks"),
        ("sparkler.cache.status", "miss"),
        ("sparkler.cache.stored", "stored"),
        ("sparkler.flight.role", "leader"),
        ("sparkler.attempts", "1"),
        ("sparkler.model", MODEL),
    ] {
        assert_eq!(call.get(key), value, "{key}");
    }
    assert_eq!(call.get("gen_ai.request.model"), "", "it is no call of a model");
    assert!(call.get("sparkler.time_to_first_token").parse::<f64>().expect("seconds") > 0.0);
    assert_eq!(spans.one("cache lookup").get("sparkler.cache.result"), "miss");

    let usage = completed.usage.expect("counted");
    let provider = spans.one(CHAT);
    assert_eq!((provider.kind, provider.failed), ("client", false));
    // Before it, `connected`, where the connection took time.
    assert_eq!(provider.events().last(), Some(&"first_token"));
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "fireworks_ai"),
        ("gen_ai.request.model", MODEL),
        ("gen_ai.request.stream", "true"),
        ("gen_ai.request.temperature", "0.5"),
        ("gen_ai.request.max_tokens", "4096"),
        ("gen_ai.request.stop_sequences", "END"),
        ("gen_ai.response.finish_reasons", "stop"),
        ("gen_ai.response.model", &completed.model),
        ("gen_ai.response.id", &completed.provider_request_id),
        ("gen_ai.usage.input_tokens", &usage.prompt_tokens.expect("counted").to_string()),
        ("gen_ai.usage.output_tokens", &usage.completion_tokens.expect("counted").to_string()),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(provider.get(key), value, "{key}");
    }
    assert!(provider.attributes.contains_key("gen_ai.response.time_to_first_chunk"));
    let cost = completed.cost.expect("a price").spent_nanodollars as f64 / 1e9;
    let of_call: f64 = provider.get("sparkler.cost.call").parse().expect("dollars");
    assert!((of_call - cost).abs() < 1e-12, "{of_call} is not {cost}");
    for key in ["gen_ai.input.messages", "gen_ai.output.messages"] {
        assert_eq!(provider.get(key), "", "content is exported only if the operator opts in");
    }
}

#[tokio::test]
async fn a_hit_points_to_the_flight_that_was_paid_for() {
    let (world, sink) = traced(Vec::new()).await;
    let caller = world.caller().await;
    caller.answer(ask("Twice").cached()).await;
    let before = sink.wait_for(1, EXECUTE).await;
    let flight = before.one("flight");
    caller.answer(ask("Twice").cached()).await;
    let spans = sink.wait_for(2, EXECUTE).await;
    let hit = spans.named(EXECUTE)[1];
    assert_eq!(tree(&spans, hit), [EXECUTE, "  cache lookup"]);
    assert_eq!(hit.links, [flight.id.as_str()]);
    assert_ne!(hit.trace, flight.trace);
    assert_eq!(hit.get("sparkler.cache.status"), "hit");
    assert_eq!(hit.get("sparkler.attempts"), "0");
    assert_eq!(hit.get("sparkler.cost.spent"), "0");
    assert!(hit.get("sparkler.cost.saved").parse::<f64>().expect("dollars") > 0.0);
    assert!(before.one(EXECUTE).links.is_empty(), "who leads has its flight below");
}

#[tokio::test]
async fn a_follower_links_to_its_flight_and_lasts_with_its_stream() {
    let slow = Rule::always(Fault::SlowDeltas { delay: Duration::from_millis(30) });
    let (world, sink) = traced(vec![slow]).await;
    let caller = world.caller().await;
    let mut first = caller.execute(ask("Together").cached()).await.expect("it runs");
    first.first_text().await;
    let second = caller.execute(ask("Together").cached()).await.expect("it runs");
    let (first, second) = tokio::join!(first.finish(), second.finish());
    assert_eq!(first.completed().choices, second.completed().choices);
    let spans = sink.wait_for(2, EXECUTE).await;
    let flight = spans.one("flight");
    let is_follower =
        |span: &&&crate::observability::Span| span.get("sparkler.flight.role") == "follower";
    let calls = spans.named(EXECUTE);
    let follower = calls.iter().find(is_follower).expect("a follower");
    assert_eq!(follower.links, [flight.id.as_str()]);
    assert_eq!(follower.get("sparkler.cache.status"), "joined");
    for call in &calls {
        assert!(call.duration >= Duration::from_millis(60), "{:?}", call.duration);
    }
}

#[tokio::test]
async fn a_retry_is_a_second_call_of_the_provider_in_the_same_flight() {
    let (world, sink) = traced(vec![Rule::once(Refusal::status(503))]).await;
    world.caller().await.answer(ask("Again")).await;
    let spans = sink.wait_for(1, EXECUTE).await;
    assert_eq!(
        tree(&spans, spans.one(EXECUTE)),
        [
            EXECUTE.to_owned(),
            "  flight".to_owned(),
            format!("    {CHAT}: PROVIDER_UNAVAILABLE"),
            format!("    {CHAT}"),
        ]
    );
    let calls = spans.named(CHAT);
    assert!(calls[0].failed && !calls[1].failed);
    assert_eq!(calls[0].get("http.response.status_code"), "503");
    assert_eq!([calls[0].get("sparkler.attempt"), calls[1].get("sparkler.attempt")], ["1", "2"]);
    let (name, reported) = &spans.one("flight").events[0];
    assert_eq!(
        (name.as_str(), reported["sparkler.reason"].as_str()),
        ("retry", "PROVIDER_UNAVAILABLE")
    );
}

#[tokio::test]
async fn content_is_exported_on_request_and_the_key_never() {
    let answer = Rule::always(Fault::answer([format!("It is {KEY}.")]));
    let (world, sink) = traced_with(vec![answer], |config| {
        config.telemetry.content_bytes = Some(4096);
    })
    .await;
    world.caller().await.answer(ask(&format!("Is it {KEY}?"))).await;
    let spans = sink.wait_for(1, EXECUTE).await;
    let provider = spans.one(CHAT);
    assert_eq!(
        provider.get("gen_ai.input.messages"),
        r#"[{"role":"user","parts":[{"type":"text","content":"Is it [REDACTED]?"}]}]"#
    );
    assert_eq!(
        provider.get("gen_ai.output.messages"),
        r#"[{"role":"assistant","parts":[{"type":"text","content":"It is [REDACTED]."}],"finish_reason":"stop"}]"#
    );
    assert!(!sink.has(KEY));
}

#[tokio::test]
async fn nothing_of_a_key_or_a_prompt_is_exported() {
    const PROMPT: &str = "canary-prompt";
    let (world, sink) = traced_with(Vec::new(), |_| {}).await;
    let caller = world.caller().await;
    caller.answer(ask(PROMPT).cached()).await;
    caller.answer(ask(PROMPT).cached()).await;
    for status in [400, 401, 500] {
        world.simulator.script(Rule::always(Refusal::status(status).header("x-request-id", KEY)));
        caller.failure(ask(PROMPT).attempts(1)).await;
        world.simulator.clear_script();
    }
    caller.failure(ask(PROMPT).set("temprature", json!(KEY))).await;
    sink.wait_for(6, EXECUTE).await;
    assert!(sink.has(MODEL), "the search finds what is there");
    for secret in [KEY, PROMPT] {
        assert!(!sink.has(secret), "{secret} is in what was exported");
    }
}

#[tokio::test]
async fn texts_are_requested_below_the_flight_of_their_call() {
    const EMBED: &str = "embeddings accounts/simulator/models/embedding";
    let (world, sink) = traced_with(Vec::new(), |config| {
        config.telemetry.content_bytes = Some(1 << 16);
    })
    .await;
    let caller = world.caller().await;
    let asked = || embed(["a", "b"]).set("dimensions", json!(8)).cached();
    caller.answer(asked()).await;
    let spans = sink.wait_for(1, EXECUTE).await;
    let lines = [EXECUTE, "  flight", "    flight", &format!("      {EMBED}")];
    assert_eq!(tree(&spans, spans.one(EXECUTE)), lines);
    let provider = spans.one(EMBED);
    for (key, value) in [
        ("gen_ai.operation.name", "embeddings"),
        ("gen_ai.embeddings.dimension.count", "8"),
        ("gen_ai.request.stream", ""),
        ("gen_ai.response.finish_reasons", ""),
        ("gen_ai.input.messages", ""),
        ("gen_ai.usage.input_tokens", "2"),
    ] {
        assert_eq!(provider.get(key), value, "{key}");
    }
    caller.answer(asked()).await;
    let spans = sink.wait_for(2, EXECUTE).await;
    assert_eq!(spans.named(EMBED).len(), 1, "a hit requests nothing");
}
