//! Opens streams on a worker under Valgrind, and holds them after the first token.

use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use fireworks_simulator::{Options, Pace, Simulator};
use futures_util::{StreamExt, TryStreamExt, stream};
use sparkler::proto::{
    ExecuteNodeResponse, execute_node_response::Event, worker_service_client::WorkerServiceClient,
};
use tempfile::TempDir;
use tonic::{Streaming, transport::Channel};

use crate::{
    profile::Profile,
    support::{ask, spawn},
    worker,
};

/// The streams of one connection.
const STREAMS_PER_CONNECTION: usize = 100;
/// The streams that are opened at the same time.
const AT_ONCE: usize = 20;
/// Valgrind slows a worker down.
const PATIENCE: Duration = Duration::from_secs(300);

/// Returns what a worker has allocated while it holds so many streams.
pub(crate) async fn profile_with(streams: usize) -> anyhow::Result<Profile> {
    let base_url = provider().await?;
    let mut measured = Measured::start(&base_url)?;
    let address = measured.address()?;
    let opened = async {
        let mut clients = Vec::new();
        for _ in 0..streams.div_ceil(STREAMS_PER_CONNECTION) {
            clients.push(WorkerServiceClient::connect(format!("http://{address}")).await?);
        }
        let opening =
            (0..streams).map(|number| open(clients[number % clients.len()].clone(), number));
        stream::iter(opening).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await
    };
    let held =
        tokio::time::timeout(PATIENCE, opened).await.context("the streams do not open")??;
    ensure!(held.len() == streams, "{} of {streams} streams are open", held.len());
    let profile = measured.end()?;
    drop(held);
    Ok(profile)
}

/// Starts a provider that sends one token, and the next after minutes.
async fn provider() -> anyhow::Result<String> {
    let pace = Pace { first_token: Duration::ZERO, tokens_per_second: 0.002 };
    let options = Options { pace, delta_tokens: 1, http2_streams: 100, ..Options::default() };
    let simulator = Simulator::bind(([127, 0, 0, 1], 0).into(), options).await?;
    let base_url = simulator.base_url();
    drop(spawn(simulator.run(std::future::pending())));
    Ok(base_url)
}

/// Opens a stream, and waits for its first token.
async fn open(
    mut client: WorkerServiceClient<Channel>,
    number: usize,
) -> anyhow::Result<Streaming<ExecuteNodeResponse>> {
    let prompt = format!("{number} {}", "word ".repeat(200));
    let request = ask(&prompt).model("accounts/simulator/models/plain").request();
    let mut stream = client.execute_node(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if matches!(message.event, Some(Event::Delta(_))) {
            return Ok(stream);
        }
    }
    anyhow::bail!("stream {number} ended before its first token")
}

/// A worker under Valgrind.
struct Measured {
    child: Child,
    folder: TempDir,
}

impl Measured {
    fn start(base_url: &str) -> anyhow::Result<Measured> {
        let folder = tempfile::tempdir()?;
        let child = Command::new("valgrind")
            .args(["--tool=dhat", "--num-callers=60"])
            .arg(format!("--dhat-out-file={}", folder.path().join("profile").display()))
            .arg(env::current_exe()?)
            .args([worker::FLAG, base_url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start valgrind")?;
        Ok(Measured { child, folder })
    }

    fn address(&mut self) -> anyhow::Result<SocketAddr> {
        let output = self.child.stdout.as_mut().context("a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        line.trim().parse().context("the worker prints no address")
    }

    /// Ends the worker with its streams open.
    fn end(mut self) -> anyhow::Result<Profile> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "the worker ended with {status}");
        Profile::read(&self.folder.path().join("profile"))
    }
}
