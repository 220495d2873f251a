//! A failure must fit into the headers it travels in, whatever is wrong.

use fireworks_simulator::{Fault, Options, Rule};
use prost_types::{Value as ProtoValue, value::Kind};
use serde_json::json;
use tonic::{Code, Status};

use super::message;
use crate::support::{Ask, Failure, World, ask};

/// Status, details and metadata together must fit into the headers that nginx
/// passes on by default.
const MOST_HEADER_BYTES: usize = 3584;

#[tokio::test]
async fn an_error_fits_into_headers_whatever_is_wrong() {
    let world = World::start().await;
    let many = |count: usize| {
        let fields = (0..count).map(|field| format!("unknown field {field}"));
        fields.fold(ask("x"), |asked, field| asked.set(&field, json!(1)))
    };
    let no_numbers = |count: usize| {
        let infinite = || ProtoValue { kind: Some(Kind::NumberValue(f64::INFINITY)) };
        let mut request = ask("x").request();
        let config = request.config.get_or_insert_default();
        config.fields.extend((0..count).map(|field| (format!("{field}").repeat(99), infinite())));
        request
    };
    let rows: [(&str, Ask); 5] = [
        ("many fields", many(1000)),
        ("a long key", ask("x").set(&"k".repeat(100_000), json!(1))),
        ("a key that needs escapes", ask("x").set(&"\u{1F388}\n".repeat(5000), json!(1))),
        ("a long name", ask("x").secret(&"n".repeat(100_000))),
        ("many messages", ask("x").chat((0..2000).map(|_| message("nobody", "x")).collect())),
    ];
    let rows = rows.map(|(name, asked)| (name, asked.request()));
    for (name, request) in rows.into_iter().chain([("no numbers", no_numbers(1000))]) {
        let mut client = world.caller().await.client();
        let status = client.execute_node(request).await.expect_err(name);
        let size = header_bytes(&status);
        let failure = Failure::from(status);
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG", "{name}: {failure:?}");
        assert!(!failure.violations.is_empty(), "{name}");
        assert!(size <= MOST_HEADER_BYTES, "{name}: {size} bytes");
    }
}

/// What a status takes in headers, encoded as there, with HTTP/2's names.
fn header_bytes(status: &Status) -> usize {
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).expect("it goes into headers");
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[tokio::test]
async fn a_failed_answer_fits_into_headers_too() {
    let world = World::start().await;
    for text in ["prose ".repeat(20_000), "\"\u{1F388}".repeat(10_000), "[\n".repeat(300)] {
        world.simulator.clear_script();
        world.simulator.script(Rule::always(Fault::answer([text.clone()])));
        let mut client = world.caller().await.client();
        let mut stream =
            client.execute_node(ask("x").json().request()).await.expect("it begins").into_inner();
        let status = loop {
            match stream.message().await {
                Ok(event) => assert!(event.is_some(), "the answer was taken"),
                Err(status) => break status,
            }
        };
        assert!(header_bytes(&status) <= MOST_HEADER_BYTES, "{} bytes", header_bytes(&status));
        let failure = Failure::from(status);
        assert_eq!(failure.reason, "OUTPUT_NOT_JSON", "{failure:?}");
        let detail = failure.detail.expect("a detail");
        let reported = detail.text.trim_end_matches('…');
        assert!(reported.len() > 500 && text.starts_with(reported), "{} bytes", reported.len());
        assert!(detail.usage.is_some(), "it was paid for");
    }
}

#[tokio::test]
async fn a_message_beyond_the_bound_is_refused_by_name() {
    let world = World::with(Options::instant(), |config| {
        config.execution.max_input_bytes = 64 * 1024;
    })
    .await;
    for bytes in [70 * 1024, 1 << 20] {
        let failure = world.caller().await.failure(ask(&"x".repeat(bytes))).await;
        assert_eq!(failure.code, Code::InvalidArgument, "{bytes}: {failure:?}");
        assert_eq!(failure.reason, "INVALID_NODE_CONFIG", "{bytes}: {failure:?}");
        assert!(!failure.violations.is_empty(), "{bytes}: {failure:?}");
    }
    world.caller().await.answer(ask("and now short")).await;
}
