//! Connects a command to a worker: a running one (`--worker URL`) or one started in
//! this process for the duration of the command, in both cases over real gRPC.

use std::{
    future::pending,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use url::Url;
use zeroize::Zeroizing;

use super::failure::CommandError;
use crate::{
    config::Config, files, proto::worker_service_client::WorkerServiceClient, server::Server,
};

/// The generated client, which sends the caller's token with each call.
pub(super) type WorkerClient = WorkerServiceClient<InterceptedService<Channel, CallerToken>>;

/// The arguments that select a worker.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Worker (else one is started in this process)")]
pub(super) struct WorkerArgs {
    /// The worker's address, such as http://127.0.0.1:50051, or https://… for TLS.
    #[arg(long, env = "SPARKLER_WORKER", value_name = "URL")]
    worker: Option<Url>,

    /// A file with the certificates (PEM) to trust instead of the system's; for
    /// an https worker.
    #[arg(long, env = "SPARKLER_WORKER_CA", value_name = "FILE")]
    worker_ca: Option<PathBuf>,

    /// A file with this caller's certificate (PEM), for a worker that requires one.
    #[arg(long, env = "SPARKLER_WORKER_CERT", value_name = "FILE", requires = "worker_key")]
    worker_cert: Option<PathBuf>,

    /// The certificate's private key (PEM).
    #[arg(long, env = "SPARKLER_WORKER_KEY", value_name = "FILE", requires = "worker_cert")]
    worker_key: Option<PathBuf>,

    /// A file with the token that authenticates this caller to the worker.
    #[arg(long, env = "SPARKLER_WORKER_TOKEN_FILE", value_name = "FILE")]
    worker_token_file: Option<PathBuf>,

    /// The Fireworks URL for a worker in this process; a worker elsewhere has its
    /// own.
    #[arg(
        long,
        env = "SPARKLER_FIREWORKS_BASE_URL",
        value_name = "URL",
        default_value = "https://api.fireworks.ai/inference/v1"
    )]
    pub(super) fireworks_base_url: Url,
}

/// The time limit for connecting to the worker, TLS included.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The limit of one answer, larger than any limit that a worker sets.
const MAX_MESSAGE_BYTES: usize = 256 * 1024 * 1024;

fn read(flag: &str, path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    files::read(path).with_context(|| format!("{flag} {} cannot be read", path.display()))
}

impl WorkerArgs {
    /// Runs `work` with a client. Ctrl-C drops it, which cancels its calls.
    pub(super) async fn call<T>(
        &self,
        work: impl AsyncFnOnce(WorkerClient) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        match &self.worker {
            Some(url) => {
                let endpoint = self.endpoint(url).map_err(CommandError::Usage)?;
                let token = self.token().map_err(CommandError::Usage)?;
                interruptible(async {
                    let channel = endpoint.connect().await.map_err(|problem| {
                        CommandError::Unreachable(
                            anyhow::Error::new(problem).context(format!("no worker at {url}")),
                        )
                    })?;
                    work(client(channel, token)).await
                })
                .await
            }
            None => in_process(Config::local(self.fireworks_base_url.clone()), work).await,
        }
    }

    fn endpoint(&self, url: &Url) -> anyhow::Result<Endpoint> {
        let secure = match url.scheme() {
            "https" => true,
            "http" if self.worker_ca.is_some() => {
                return Err(anyhow!("--worker-ca is for an https worker, not for {url}"));
            }
            "http" if self.worker_cert.is_some() => {
                return Err(anyhow!("--worker-cert is for an https worker, not for {url}"));
            }
            "http" => false,
            _ => {
                return Err(anyhow!("--worker {url} must start with http:// or https://"));
            }
        };
        let endpoint = Endpoint::from_shared(url.to_string())?.connect_timeout(CONNECT_LIMIT);
        if !secure {
            return Ok(endpoint);
        }
        let tls = match &self.worker_ca {
            None => ClientTlsConfig::new().with_native_roots(),
            Some(path) => {
                let pem = read("--worker-ca", path)?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
            }
        };
        let tls = match (&self.worker_cert, &self.worker_key) {
            (Some(certificate), Some(key)) => {
                let certificate = read("--worker-cert", certificate)?;
                tls.identity(Identity::from_pem(certificate, read("--worker-key", key)?))
            }
            _ => tls,
        };
        endpoint.tls_config(tls).context("the certificates or the key cannot be used")
    }

    fn token(&self) -> anyhow::Result<CallerToken> {
        let Some(path) = &self.worker_token_file else {
            return Ok(CallerToken(None));
        };
        let text = files::read_text(path)
            .with_context(|| format!("--worker-token-file {} cannot be read", path.display()))?;
        let header = Zeroizing::new(format!("Bearer {}", text.trim_end_matches(['\r', '\n'])));
        let mut value: MetadataValue<Ascii> = header.parse().with_context(|| {
            format!("{} holds no token: no header can carry it", path.display())
        })?;
        value.set_sensitive(true);
        Ok(CallerToken(Some(value)))
    }
}

/// Runs `work` with a worker in this process, on a free loopback port. The worker
/// is dropped with the work, without a graceful stop: it has no other callers.
pub(super) async fn in_process<T>(
    config: Config,
    work: impl AsyncFnOnce(WorkerClient) -> Result<T, CommandError>,
) -> Result<T, CommandError> {
    let server = Server::bind(config).await?;
    let endpoint = Endpoint::from_shared(format!("http://{}", server.local_addr()))
        .context("the worker's own address")?;
    let client = client(endpoint.connect_lazy(), CallerToken(None));
    let serving = async { server.run(pending()).await.map_err(CommandError::Other) };
    beside(serving, interruptible(work(client))).await
}

/// Runs `work` while a server runs in this process.
pub(super) async fn beside<T>(
    serving: impl Future<Output = Result<(), CommandError>>,
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    tokio::select! {
        result = work => result,
        ended = serving => {
            ended?;
            Err(CommandError::Other(anyhow!("a server in this process stopped by itself")))
        }
    }
}

/// Runs `work` unless Ctrl-C comes first, which drops it.
pub(super) async fn interruptible<T>(
    work: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, CommandError> {
    tokio::select! {
        result = work => result,
        signal = tokio::signal::ctrl_c() => {
            signal.context("Ctrl-C cannot be listened for")?;
            Err(CommandError::Interrupted)
        }
    }
}

fn client(channel: Channel, token: CallerToken) -> WorkerClient {
    WorkerServiceClient::with_interceptor(channel, token)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

/// Adds the caller's token to every call.
#[derive(Debug, Clone)]
pub(super) struct CallerToken(Option<MetadataValue<Ascii>>);

impl Interceptor for CallerToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}
