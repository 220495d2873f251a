//! Connections: which ones are opened, how long that may take, and that they
//! are closed once nobody waits for them.

use std::{collections::HashSet, time::Duration};

use tokio::net::TcpListener;

use super::{
    super::{Affinity, Attempt, Client, ClientConfig, Protocol},
    generate, key,
    notes::{Note, Notes},
    provider::{ResponseScript, ScriptStep, TestProvider, in_background},
    request,
};
use crate::{
    error::{Deadline, Error, ProviderErrorKind},
    event::Phase,
};

const BEGUN: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";

#[tokio::test]
async fn a_dropped_run_closes_the_providers_stream_at_once() {
    let begun = ResponseScript::steps(vec![ScriptStep::Send(BEGUN.into()), ScriptStep::Hang]);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for (script, seen) in
            [(ResponseScript::silence(), Note::Phase(Phase::Waiting)), (begun.clone(), Note::Flush)]
        {
            let mut provider = TestProvider::start(script).await;
            let client = provider.client_speaking(protocol);
            let notes = Notes::default();
            let mut emit = notes.clone();
            let run = in_background(async move { generate(&client, &request(), &mut emit).await });
            provider.requests.recv().await.expect("a request");
            notes.until(seen.clone()).await;
            assert!(provider.closed.try_recv().is_err());

            run.abort();
            tokio::time::timeout(Duration::from_millis(100), provider.closed.recv())
                .await
                .unwrap_or_else(|_| panic!("still open: {protocol:?}, {seen:?}"));
        }
    }
}

/// Starts a host that accepts connections and never starts TLS.
async fn mute_host() -> (TcpListener, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("an address");
    let base_url = format!("https://{address}/v1").parse().expect("a URL");
    let config = ClientConfig { base_url, ..ClientConfig::default() };
    (listener, Client::new(config).expect("a client"))
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_too_long_meets_its_deadline() {
    let (_listener, client) = mute_host().await;
    let attempt = Attempt {
        credential: &key(),
        connect: Duration::from_secs(3),
        affinity: &Affinity::default(),
    };
    let mut notes = Notes::default();
    let result = client.generate(&request(), attempt, &mut notes).await;
    assert_eq!(
        result.expect_err("a deadline").error,
        Error::Deadline {
            deadline: Deadline::Connect,
            limit: Duration::from_secs(3),
            phase: Phase::Connecting,
        }
    );
    assert_eq!(notes.phases(), [Phase::Connecting]);
}

#[tokio::test]
async fn who_waits_for_anothers_connection_is_connecting_too() {
    let (listener, client) = mute_host().await;
    let runs = (0..3).map(|_| {
        let client = client.clone();
        in_background(async move {
            let mut notes = Notes::default();
            let result = generate(&client, &request(), &mut notes).await;
            (result.expect_err("a deadline").error.reason(), notes.phases())
        })
    });
    let runs = runs.collect::<Vec<_>>();
    let _open = listener.accept().await.expect("a connection");
    tokio::time::pause();
    let second = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await;
    assert!(second.is_err(), "a second connection was opened");
    for run in runs {
        let outcome = run.await.expect("a run");
        assert_eq!(outcome, ("CONNECT_TIMEOUT", vec![Phase::Connecting]));
    }
}

#[tokio::test]
async fn the_deadline_to_connect_does_not_count_once_connected() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let provider = TestProvider::start(ResponseScript::silence()).await;
        let client = provider.client_speaking(protocol);
        let notes = Notes::default();
        let mut emit = notes.clone();
        let run = in_background(async move { generate(&client, &request(), &mut emit).await });
        notes.until(Note::Phase(Phase::Waiting)).await;
        tokio::time::pause();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        tokio::time::resume();
        assert!(!run.is_finished());
        assert_eq!(notes.phases(), [Phase::Connecting, Phase::Waiting]);
        run.abort();
    }
}

#[tokio::test]
async fn streams_fill_one_connection_before_they_open_the_next() {
    let mut provider = TestProvider::start(ResponseScript::silence()).await;
    let client = provider.client_speaking(Protocol::Http2);
    let runs: Vec<_> = (0..250)
        .map(|_| {
            let client = client.clone();
            in_background(async move { generate(&client, &request(), &mut Notes::default()).await })
        })
        .collect();
    let mut peers = HashSet::new();
    for _ in 0..250 {
        let received = provider.requests.recv().await.expect("a request");
        assert_eq!(received.version, http::Version::HTTP_2);
        peers.insert(received.peer);
    }
    assert_eq!(peers.len(), 3);

    // The slots are released.
    runs.iter().for_each(tokio::task::JoinHandle::abort);
    for run in runs {
        let _ = run.await;
    }
    let again = client.clone();
    let run =
        in_background(async move { generate(&again, &request(), &mut Notes::default()).await });
    let received = provider.requests.recv().await.expect("a request");
    assert!(peers.contains(&received.peer));
    run.abort();
}

#[tokio::test]
async fn an_unreachable_provider_is_unavailable_and_unnamed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    for (base_url, message) in [
        (format!("http://127.0.0.1:{port}/v1"), "the connection was refused"),
        ("http://nowhere.invalid/v1".to_owned(), "the provider's host name could not be resolved"),
    ] {
        let config =
            ClientConfig { base_url: base_url.parse().expect("a URL"), ..ClientConfig::default() };
        let client = Client::new(config).expect("a client");
        let result = generate(&client, &request(), &mut Notes::default()).await;
        let Error::Provider(error) = result.expect_err("a failure").error else {
            panic!("not a failure of the provider");
        };
        assert_eq!(error.kind, ProviderErrorKind::Unavailable);
        assert_eq!(error.message.as_deref(), Some(message));
    }
}

#[tokio::test]
async fn a_host_that_speaks_something_else_is_unavailable() {
    for (scheme, message) in
        [("http", "the connection broke"), ("https", "no connection could be established")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("an address");
        let host = in_background(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut greeting = [0; 8];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut greeting)
                .await
                .expect("a greeting");
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail.example ESMTP\r\n\r\n")
                .await
                .expect("an answer");
            stream
        });
        let config = ClientConfig {
            base_url: format!("{scheme}://{address}/v1").parse().expect("a URL"),
            ..ClientConfig::default()
        };
        let client = Client::new(config).expect("a client");
        let result = generate(&client, &request(), &mut Notes::default()).await;
        let error = result.expect_err("a failure").error;
        assert_eq!(error.reason(), "PROVIDER_UNAVAILABLE");
        assert!(error.public_message().contains(message), "{error}");
        host.await.expect("the host");
    }
}

#[test]
fn a_base_url_that_cannot_be_built_on_is_refused() {
    for base_url in
        ["ftp://host/v1", "https://user:secret@host/v1", "https://host/v1?key=x", "data:x"]
    {
        let config =
            ClientConfig { base_url: base_url.parse().expect("a URL"), ..ClientConfig::default() };
        let problem = Client::new(config).expect_err(base_url).to_string();
        assert!(!problem.contains("secret"), "{problem}");
    }
}
