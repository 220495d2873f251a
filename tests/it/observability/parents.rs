//! Whose child a call is: the orchestrator's own trace goes on in the worker.

use tonic::{Request, metadata::MetadataValue};

use super::{EXECUTE, traced, traced_with};
use crate::{
    clients::client::Client,
    support::{
        World, ask,
        sink::{Sink, Span},
    },
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// Calls with headers of one's own.
async fn call(world: &World, headers: &[(&'static str, &str)]) {
    let mut request = Request::new(ask("Whose?").request());
    for (name, value) in headers {
        let value: MetadataValue<_> = value.parse().expect("a header value");
        request.metadata_mut().insert(*name, value);
    }
    let mut client = world.caller().await.client();
    let mut stream = client.execute_node(request).await.expect("it runs").into_inner();
    while stream.message().await.expect("it goes well").is_some() {}
}

async fn only_call(sink: &Sink) -> Span {
    sink.wait_for(1, EXECUTE).await.one(EXECUTE).clone()
}

#[tokio::test]
async fn the_python_and_the_node_client_hand_their_trace_on() {
    for client in Client::ALL {
        let (world, sink) = traced(Vec::new()).await;
        let parent = traceparent("01");
        let run = client.run(&world.url(), &["--traceparent", &parent, "stream"]).await;
        run.output();
        let call = only_call(&sink).await;
        assert_eq!((call.trace.as_str(), call.parent.as_str()), (TRACE, PARENT), "{client:?}");
    }
}

#[tokio::test]
async fn the_callers_sampling_decision_counts_up_to_a_cap() {
    let (world, sink) = traced(Vec::new()).await;
    call(&world, &[("traceparent", &traceparent("00"))]).await;
    call(&world, &[]).await;
    assert_ne!(only_call(&sink).await.trace, TRACE);

    let (world, sink) =
        traced_with(Vec::new(), |config| config.telemetry.sampling.remote_ratio = 0.0).await;
    call(&world, &[("traceparent", &traceparent("01"))]).await;
    call(&world, &[]).await;
    assert_ne!(only_call(&sink).await.trace, TRACE);
}

#[tokio::test]
async fn baggage_is_taken_by_a_list_and_never_sent_on() {
    let (world, sink) =
        traced_with(Vec::new(), |config| config.telemetry.baggage = vec!["run".to_owned()]).await;
    let theirs = [
        ("baggage", "run=canary-run,secret=canary-baggage"),
        ("traceparent", &traceparent("01")),
        ("tracestate", "vendor=canary-state"),
    ];
    call(&world, &theirs).await;
    assert_eq!(only_call(&sink).await.get("baggage.run"), "canary-run");
    assert!(!sink.has("canary-baggage"));
    let report = world.simulator.report();
    let seen = report.requests.back().expect("the provider was called");
    for header in ["baggage", "traceparent", "tracestate"] {
        assert!(!seen.headers.contains_key(header), "{header} was sent to the provider");
    }
    let said = format!("{:?}{}", seen.headers, seen.body);
    assert!(!said.contains("canary-run") && !said.contains("canary-baggage"), "{said}");
}
