//! TLS: which certificate the worker shows, and whose it accepts.

use std::{path::Path, time::Duration};

use fireworks_simulator::Options;
use serde_json::json;
use sparkler::{
    config::ConnectionAge,
    internals::{Callers, Tls, TlsFiles},
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::Instant};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Caller, PATIENCE, World, ask,
    authority::{Authority, Pair},
    page,
};

fn write(folder: &Path, pair: &Pair) {
    std::fs::write(folder.join("tls.crt"), &pair.certificate).expect("written");
    std::fs::write(folder.join("tls.key"), &pair.key).expect("written");
}

fn tls(folder: &Path, authority: Option<&Authority>) -> Tls {
    let client_authorities = authority.map(|authority| {
        let file = folder.join("ca.crt");
        std::fs::write(&file, authority.pem()).expect("written");
        file
    });
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    Tls::read(TlsFiles { certificate, key, client_authorities }).expect("TLS")
}

async fn connect(
    world: &World,
    trusted: &Authority,
    own: Option<&Pair>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(trusted.pem()))
        .domain_name("localhost");
    if let Some(own) = own {
        tls = tls.identity(Identity::from_pem(&own.certificate, &own.key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", world.worker)).expect("a URL");
    endpoint.tls_config(tls)?.connect().await
}

#[tokio::test]
async fn a_changed_certificate_is_shown_and_a_bad_pair_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (Authority::new(), Authority::new());
    write(folder.path(), &old.server());
    let world = World::with(Options::instant(), |config| {
        config.ingress.tls = Some(tls(folder.path(), None));
    })
    .await;
    let running = connect(&world, &old, None).await.expect("trusted");
    Caller::over(running.clone()).answer(ask("x")).await;

    std::fs::write(folder.path().join("tls.key"), new.server().key).expect("written");
    tokio::time::sleep(Duration::from_secs(2)).await;
    connect(&world, &old, None).await.expect("the old pair is kept");

    write(folder.path(), &new.server());
    let began = Instant::now();
    while connect(&world, &new, None).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the new pair is not taken");
    }
    connect(&world, &old, None).await.expect_err("the old pair is gone");
    Caller::over(running).answer(ask("a connection goes on")).await;
}

async fn value_of(world: &World, name: &str) -> Option<u64> {
    let (_, page) = page(world.admin, "/metrics").await;
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

#[tokio::test]
async fn a_certificate_out_of_its_time_replaces_no_valid_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, new) = (Authority::new(), Authority::new());
    write(folder.path(), &old.server_between(2020, 2090));
    let world = World::with(Options::instant(), |config| {
        config.ingress.tls = Some(tls(folder.path(), None));
    })
    .await;
    let remaining = "sparkler_tls_certificate_remaining_seconds";
    let before = value_of(&world, remaining).await.expect("a figure");
    assert!(before > 60 * 365 * 86_400, "{before}");
    for out_of_time in [new.server_between(2020, 2021), new.server_between(2089, 2090)] {
        write(folder.path(), &out_of_time);
        tokio::time::sleep(Duration::from_secs(2)).await;
        connect(&world, &old, None).await.expect("the valid one is kept");
        assert!(value_of(&world, remaining).await.expect("a figure") >= before - 60);
    }
    write(folder.path(), &new.server_between(2020, 2080));
    let began = Instant::now();
    while connect(&world, &new, None).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the next valid one is not taken");
    }
}

#[tokio::test]
async fn a_worker_starts_with_an_expired_certificate_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    write(folder.path(), &authority.server_between(2020, 2021));
    let world = World::with(Options::instant(), |config| {
        config.ingress.tls = Some(tls(folder.path(), None));
    })
    .await;
    assert_eq!(value_of(&world, "sparkler_tls_certificate_remaining_seconds").await, Some(0));
    // Any other is better than that.
    write(folder.path(), &authority.server());
    let began = Instant::now();
    while connect(&world, &authority, None).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the valid one is not taken");
    }
}

#[tokio::test]
async fn handshakes_that_fail_are_counted_by_cause() {
    use tokio::io::AsyncWriteExt;
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, stranger) = (Authority::new(), Authority::new());
    write(folder.path(), &authority.server());
    let world = World::with(Options::instant(), |config| {
        config.ingress.tls = Some(tls(folder.path(), Some(&authority)));
    })
    .await;
    let forged = stranger.client_with_uri("spiffe://x/y");
    for own in [None, Some(&forged)] {
        if let Ok(channel) = connect(&world, &authority, own).await {
            Caller::over(channel).list().await.expect_err("no connection");
        }
    }
    let own = authority.client_with_uri("spiffe://x/y");
    connect(&world, &stranger, Some(&own)).await.expect_err("another authority");
    let mut plain = TcpStream::connect(world.worker).await.expect("it listens");
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("it reads");
    drop(TcpStream::connect(world.worker).await.expect("it listens"));
    let causes = ["no_certificate", "bad_certificate", "refused_by_peer", "not_tls", "closed"];
    for cause in causes {
        let name =
            format!("sparkler_handshakes_failed_total{{sparkler_handshake_cause=\"{cause}\"}}");
        let began = Instant::now();
        while value_of(&world, &name).await.is_none() {
            assert!(began.elapsed() < PATIENCE, "{cause} is not counted");
        }
    }
}

#[tokio::test]
async fn a_dns_name_does_not_pass_for_a_uri() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    write(folder.path(), &authority.server());
    let known = "spiffe://cluster.local/ns/flows/sa/orchestrator";
    let callers =
        json!({"callers": [{"name": "flows", "certificates": [known, "flows.internal"]}]});
    let file = folder.path().join("callers.json");
    std::fs::write(&file, callers.to_string()).expect("written");
    let world = World::with(Options::instant(), |config| {
        config.ingress.tls = Some(tls(folder.path(), Some(&authority)));
        config.ingress.callers = Callers::listed(&file).expect("callers");
    })
    .await;
    assert_eq!(value_of(&world, "sparkler_callers").await, Some(1));
    let own = authority.client_with_dns("Flows.Internal");
    let channel = connect(&world, &authority, Some(&own)).await.expect("trusted");
    Caller::over(channel).list().await.expect("known by its DNS name");
    for own in [authority.client_with_dns(known), authority.client_with_uri("flows.internal")] {
        let channel = connect(&world, &authority, Some(&own)).await.expect("trusted");
        let refused = Caller::over(channel).list().await.expect_err("of the other kind");
        assert_eq!(refused.reason, "CALLER_UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn a_caller_is_known_by_its_certificate_and_health_by_a_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, stranger) = (Authority::new(), Authority::new());
    write(folder.path(), &authority.server());
    let known = "spiffe://cluster.local/ns/flows/sa/orchestrator";
    let callers = json!({"callers": [{"name": "flows", "certificates": [known]}]});
    let file = folder.path().join("callers.json");
    std::fs::write(&file, callers.to_string()).expect("written");
    let world = World::with(Options::instant(), |config| {
        config.ingress.tls = Some(tls(folder.path(), Some(&authority)));
        config.ingress.callers = Callers::listed(&file).expect("callers");
        config.ingress.health_listen = Some(([127, 0, 0, 1], 0).into());
    })
    .await;

    let own = authority.client_with_uri(known);
    let channel = connect(&world, &authority, Some(&own)).await.expect("trusted");
    Caller::over(channel).answer(ask("x")).await;

    let other = authority.client_with_uri("spiffe://cluster.local/ns/flows/sa/other");
    let channel = connect(&world, &authority, Some(&other)).await.expect("trusted");
    let refused = Caller::over(channel).failure(ask("x")).await;
    assert_eq!(refused.reason, "CALLER_UNAUTHENTICATED");

    let forged = stranger.client_with_uri(known);
    for own in [None, Some(&forged)] {
        // TLS 1.3 refuses a client only after its own part is done.
        if let Ok(channel) = connect(&world, &authority, own).await {
            Caller::over(channel).list().await.expect_err("no connection");
        }
    }
    let health = format!("http://{}", world.health.expect("a port"));
    let endpoint = Endpoint::from_shared(health).expect("a URL");
    let mut health = HealthClient::new(endpoint.connect().await.expect("it listens"));
    health.check(HealthCheckRequest::default()).await.expect("plain text, and no certificate");
}

#[tokio::test]
async fn a_client_with_a_wrong_handshake_is_refused() {
    use tokio::io::AsyncWriteExt;
    let world = World::start().await;
    let mut silent = Vec::new();
    // More than may greet at a time.
    for _ in 0..1100 {
        silent.push(TcpStream::connect(world.worker).await.expect("it listens"));
    }
    let mut web = TcpStream::connect(world.worker).await.expect("it listens");
    web.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it reads");
    let mut nothing = Vec::new();
    let _ = web.read_to_end(&mut nothing).await;
    assert!(nothing.is_empty());
    let began = Instant::now();
    world.caller().await.answer(ask("x")).await;
    println!("answered in {:?} beside {} silent sockets", began.elapsed(), silent.len());
    let read = tokio::time::timeout(PATIENCE, silent[0].read(&mut [0])).await;
    assert!(matches!(read, Ok(Ok(0) | Err(_))), "the oldest gives way");
}

#[tokio::test]
async fn the_program_shows_its_certificate_on_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    write(folder.path(), &authority.server());
    let world = World::with(Options::instant(), |config| {
        config.ingress.tls = Some(tls(folder.path(), Some(&authority)));
        config.ingress.callers = Callers::Certified;
    })
    .await;
    let own = authority.client_with_uri("spiffe://cluster.local/ns/flows/sa/operator");
    let file = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.into_os_string()
    };
    let (certificate, key) = (file("own.crt", &own.certificate), file("own.key", &own.key));
    let url = format!("https://localhost:{}", world.worker.port());
    let run = async |more: &[&std::ffi::OsStr]| {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_sparkler"));
        program.args(["nodes", "--worker", &url, "--worker-ca"]).arg(folder.path().join("ca.crt"));
        program.args(more).env_clear().output().await.expect("it runs")
    };
    let known = ["--worker-cert".as_ref(), &*certificate, "--worker-key".as_ref(), &*key];
    let output = run(&known).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!run(&[]).await.status.success(), "it has no certificate");
    assert_eq!(run(&known[..2]).await.status.code(), Some(2), "one without the other");
}

/// The beginning of a ClientHello: a record of 512 bytes, of which ten come.
const HALF_A_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3];

#[tokio::test]
async fn handshakes_that_stall_hold_neither_callers_nor_the_end() {
    use tokio::io::AsyncWriteExt;
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    write(folder.path(), &authority.server());
    let mut world = World::with(Options::instant(), |config| {
        config.ingress.tls = Some(tls(folder.path(), None));
        config.drain.drain_limit = Duration::from_secs(600);
    })
    .await;
    let mut stalled = Vec::new();
    for number in 0..200 {
        let mut socket = TcpStream::connect(world.worker).await.expect("it listens");
        if number % 2 == 0 {
            socket.write_all(HALF_A_HELLO).await.expect("it reads");
        }
        stalled.push(socket);
    }
    let channel = connect(&world, &authority, None).await.expect("trusted");
    Caller::over(channel.clone()).answer(ask("x")).await;
    let mut health = HealthClient::new(channel);
    let watch = health.watch(HealthCheckRequest::default()).await.expect("a watch").into_inner();
    let began = Instant::now();
    world.stop();
    world.stopped().await;
    println!("stopped in {:?} beside {} stalled handshakes", began.elapsed(), stalled.len());
    drop((stalled, watch));
}

#[tokio::test]
async fn a_stream_ends_before_its_connection_and_resumes_on_another() {
    use fireworks_simulator::Pace;
    use sparkler::proto::AttachExecutionRequest;
    let pace = Pace { first_token: Duration::from_millis(50), tokens_per_second: 10.0 };
    let world = World::with(Options { pace, ..Options::default() }, |config| {
        let (limit, grace) = (Duration::from_millis(300), Duration::from_millis(800));
        config.ingress.age = Some(ConnectionAge { limit, grace });
    })
    .await;
    let caller = world.caller().await;
    let mut text = String::new();
    let mut call = caller.execute(ask("Tell me more.")).await.expect("it runs");
    let aged = loop {
        use sparkler::proto::execute_node_response::Event;
        match call.next().await.expect("an end") {
            Ok(Event::Delta(delta)) => text.push_str(&delta.text),
            Ok(Event::Completed(_)) => panic!("too quick for this test"),
            Ok(_) => {}
            Err(failure) => break failure,
        }
    };
    assert_eq!((aged.code, aged.reason.as_str()), (tonic::Code::Unavailable, "CONNECTION_MAX_AGE"));
    assert!(aged.retry_after.is_some() && aged.safe_to_retry());
    let mut attachment = AttachExecutionRequest {
        execution_token: aged.detail.expect("a detail").execution_token,
        after_sequence: call.last_sequence(),
        ..Default::default()
    };
    // As often as it takes: each connection is as short.
    for _ in 0..100 {
        let attached = world.caller().await.attach(attachment.clone()).await;
        let mut call = attached.expect("it goes on");
        loop {
            use sparkler::proto::execute_node_response::Event;
            match call.next().await.expect("an end") {
                Ok(Event::Delta(delta)) => text.push_str(&delta.text),
                Ok(Event::Completed(completed)) => {
                    assert_eq!(completed.choices[0].text, text);
                    assert_eq!(world.upstream_calls(), 1);
                    return;
                }
                Ok(_) => {}
                Err(failure) => {
                    assert_eq!(failure.reason, "CONNECTION_MAX_AGE");
                    attachment.after_sequence = call.last_sequence();
                    break;
                }
            }
        }
    }
    panic!("it never ends");
}
