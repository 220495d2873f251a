//! A collector that is missing, slow or failing costs nothing but the
//! telemetry; and what there is gets out when the worker ends.

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use fireworks_simulator::{Fault, Options, Rule, Simulator};
use sparkler::internals::{Collector, CollectorProtocol, Queue};

use super::EXECUTE;
use crate::support::{
    Caller, PATIENCE, Program, World, ask,
    authority::Authority,
    page,
    sink::{Manner, Shown, Sink},
    spawn,
};

/// Executions that leave more spans than wait.
const EXECUTIONS: usize = 40;
/// Far less than a collector's time limit, and more than they take.
const QUICK: Duration = Duration::from_secs(8);

async fn executes_quickly_and_stops(what: &str, url: String) {
    let mut world = World::with(Options::instant(), |config| {
        let collector = Collector::new(CollectorProtocol::Grpc, url.parse().expect("a URL"));
        config.telemetry.traces = Some(collector);
        config.telemetry.queue = Queue { spans: 8, batch: 4, delay: Duration::from_millis(5) };
        config.telemetry.flush_limit = Duration::from_millis(300);
    })
    .await;
    let caller = world.caller().await;
    let began = Instant::now();
    for _ in 0..EXECUTIONS {
        caller.answer(ask("Go on").cached()).await;
    }
    assert!(began.elapsed() < QUICK, "{what}: {:?}", began.elapsed());
    let (_, page) = page(world.admin, "/metrics").await;
    let dropped = page.lines().find(|line| line.starts_with("sparkler_telemetry_dropped"));
    let dropped = dropped.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    assert!(dropped.is_some_and(|dropped| dropped > 0.0), "{what}: {dropped:?} were counted");
    drop(caller);
    let began = Instant::now();
    world.stop();
    world.stopped().await;
    assert!(began.elapsed() < QUICK, "{what}: stopping took {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_missing_slow_or_failing_holds_nothing_up() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let missing = format!("http://{}", nobody.local_addr().expect("bound"));
    drop(nobody);
    executes_quickly_and_stops("a missing one", missing).await;
    let slow = Sink::with(Manner::Dawdles(PATIENCE * 2)).await;
    executes_quickly_and_stops("a slow one", slow.url()).await;
    let failing = Sink::with(Manner::Refuses).await;
    executes_quickly_and_stops("a failing one", failing.url()).await;
}

/// What a program of one thread has delivered when it has ended.
async fn delivered(variables: &[(&str, &str)], sink: &Sink) -> BTreeMap<String, String> {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let simulator = Simulator::bind(loopback, Options::instant()).await.expect("a free port");
    let base_url = simulator.base_url();
    let simulating = spawn(simulator.run(std::future::pending()));
    let url = sink.url();
    let mut environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        // Nothing goes out before the end.
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "3600000"),
    ];
    environment.extend_from_slice(variables);
    let one_thread = ["--worker-threads", "1", "--worker-id", "worker-7"];
    let program = Program::serve_in(&base_url, &one_thread, &environment).await;
    let caller = Caller::connect(program.address).await;
    caller.answer(ask("Goodbye").cached()).await;
    drop(caller);
    assert!(sink.spans().0.is_empty(), "nothing went out yet");
    let log = program.stop().await;
    simulating.abort();
    assert!(!log.iter().any(|line| line.contains("canary")), "{log:#?}");
    sink.resource()
}

#[tokio::test]
async fn it_does_so_over_http_too() {
    let sink = Sink::over_http(None).await;
    let resource = delivered(
        &[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=canary%20token"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ],
        &sink,
    )
    .await;
    assert_eq!(sink.spans().named(EXECUTE).len(), 1);
    assert_eq!(sink.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(resource["service.name"], "sparkler");
    assert_eq!(sink.header("x-token").as_deref(), Some("canary token"));
}

#[tokio::test]
async fn a_program_with_one_thread_delivers_everything_before_it_ends() {
    let sink = Sink::start().await;
    let resource = delivered(
        &[
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=canary%20token"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=pod-1"),
            ("OTEL_SERVICE_NAME", "flows"),
        ],
        &sink,
    )
    .await;
    assert_eq!(sink.spans().named(EXECUTE).len(), 1);
    assert_eq!(resource["service.name"], "flows");
    assert_eq!(resource["service.instance.id"], "worker-7");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["k8s.pod.name"], "pod-1");
    assert_eq!(sink.header("x-token").as_deref(), Some("canary token"));
    let metrics = sink.metrics();
    assert!(metrics.iter().any(|name| name.starts_with("sparkler.")), "{metrics:?}");
}

/// A collector with a certificate of this authority, which takes the clients of
/// another, or anybody.
fn shown(authority: &Authority, clients_of: Option<&Authority>) -> Shown {
    let pair = authority.server();
    let clients_of = clients_of.map(Authority::pem);
    Shown { certificate: pair.certificate, key: pair.key, clients_of }
}

/// Whether a collector with a certificate of this authority receives a call from
/// a program that trusts that one; a stranger does not receive a header either.
async fn receives(shown_by: &Authority, trusted: &Authority, protocol: &str) -> bool {
    let shown = shown(shown_by, None);
    let sink = match protocol {
        "grpc" => Sink::over_tls(shown).await,
        _ => Sink::over_http(Some(shown)).await,
    };
    let trusted = trusted.file("ca.pem", &trusted.pem());
    let variables = [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", trusted.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=canary%20token"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    delivered(&variables, &sink).await;
    let reported = sink.spans().named(EXECUTE).len() == 1;
    assert_eq!(sink.header("x-token").is_some(), reported);
    reported
}

#[tokio::test]
async fn a_collector_over_tls_receives_if_its_authority_is_trusted() {
    let authority = Authority::new();
    assert!(receives(&authority, &authority, "grpc").await);
    assert!(receives(&authority, &authority, "http/protobuf").await);
}

#[tokio::test]
async fn a_collector_whose_authority_is_not_trusted_receives_nothing() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    assert!(!receives(&authority, &stranger, "grpc").await);
    assert!(!receives(&authority, &stranger, "http/protobuf").await);
}

#[tokio::test]
async fn a_collector_that_asks_for_a_certificate_is_shown_the_workers() {
    let authority = Authority::new();
    let trusted = authority.file("ca.pem", &authority.pem());
    let own = authority.client();
    let certificate = authority.file("own.pem", &own.certificate);
    let key = authority.file("own.key", &own.key);
    let identity = [
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate.as_str()),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key.as_str()),
    ];
    for (identity, arrives) in [(&identity[..], true), (&[], false)] {
        let sink = Sink::over_tls(shown(&authority, Some(&authority))).await;
        let mut variables = vec![("OTEL_EXPORTER_OTLP_CERTIFICATE", trusted.as_str())];
        variables.extend_from_slice(identity);
        delivered(&variables, &sink).await;
        assert_eq!(sink.spans().named(EXECUTE).len(), usize::from(arrives));
    }
}

/// How a program is ended.
#[derive(Debug, Clone, Copy)]
enum Exit {
    /// Asked to go, as Kubernetes does.
    Terminated,
    /// By Ctrl-C.
    Interrupted,
    /// Asked to go while a call is under way that does not end by itself.
    Drained,
}

/// Leaves a process one core.
fn pin(process: u32) {
    let own = std::fs::read_to_string("/proc/self/status").expect("a status");
    let allowed = own.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let allowed = allowed.expect("a list").trim();
    let first = allowed.split(['-', ',']).next().expect("a core");
    let pinned = std::process::Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid", first, &process.to_string()])
        .output()
        .expect("taskset");
    assert!(pinned.status.success(), "{pinned:?}");
}

/// The calls that a program on one core has exported when it has ended.
async fn reported_at_the_end(exit: Exit) -> Vec<String> {
    let sink = Sink::start().await;
    let url = sink.url();
    let options = Options { rules: vec![Rule::once(Fault::stall(2))], ..Options::instant() };
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let simulator = Simulator::bind(loopback, options).await.expect("a free port");
    let (base_url, provider) = (simulator.base_url(), simulator.handle());
    let simulating = spawn(simulator.run(std::future::pending()));
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let program = Program::serve_in(&base_url, &["--drain-limit", "100ms"], &variables).await;
    pin(program.id());
    let caller = Caller::connect(program.address).await;
    let mut stalled = caller.execute(ask("Long")).await.expect("it runs");
    stalled.started().await;
    // It may not have come so far yet, and the next call would stall in its place.
    provider.wait_until(|report| report.stalled == 1, PATIENCE).await.expect("a stall");
    match exit {
        Exit::Drained => drop(program.stop().await),
        Exit::Terminated | Exit::Interrupted => {
            drop(stalled);
            caller.answer(ask("Goodbye")).await;
            let signal = match exit {
                Exit::Interrupted => rustix::process::Signal::INT,
                _ => rustix::process::Signal::TERM,
            };
            drop(program.stop_by(signal).await);
        }
    }
    simulating.abort();
    let calls = sink.spans();
    let mut ends: Vec<String> = calls
        .named(EXECUTE)
        .iter()
        .map(|call| call.get("rpc.response.status_code").to_owned())
        .collect();
    ends.sort_unstable();
    ends
}

#[tokio::test]
async fn on_one_core_a_stopped_program_delivers_everything() {
    assert_eq!(reported_at_the_end(Exit::Terminated).await, ["CANCELLED", "OK"]);
}

#[tokio::test]
async fn on_one_core_an_interrupted_program_delivers_everything() {
    assert_eq!(reported_at_the_end(Exit::Interrupted).await, ["CANCELLED", "OK"]);
}

#[tokio::test]
async fn on_one_core_a_program_that_cuts_calls_delivers_everything() {
    assert_eq!(reported_at_the_end(Exit::Drained).await, ["UNAVAILABLE"]);
}
