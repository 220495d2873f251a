//! A Redis of the test's own: a process on loopback, which ends with the value.
//!
//! It is the `redis-server` of the machine, or what `SPARKLER_REDIS_SERVER` names:
//! a Valkey, to try the same there.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use sparkler::internals::{Address, Credential, RedisConfig};
use tempfile::TempDir;
use tokio::sync::oneshot;

/// What a server has that others have not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup {
    /// Arguments for the server.
    pub(crate) arguments: Vec<String>,
    /// What a Sentinel is to know; other servers have nothing of that.
    pub(crate) sentinel: Option<String>,
    /// Arguments of `redis-cli` with which it is let in.
    pub(crate) client: Vec<String>,
    /// Whether it speaks TLS only.
    pub(crate) tls: bool,
    /// Whether it belongs to a Cluster.
    pub(crate) cluster: bool,
}

/// A server that runs.
pub(crate) struct RedisServer {
    child: Child,
    pub(crate) address: SocketAddr,
    setup: Setup,
    folder: TempDir,
}

impl Setup {
    /// More arguments for the server.
    pub(crate) fn with(mut self, arguments: &[&str]) -> Setup {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    /// Starts it on a free port.
    pub(crate) async fn start(self) -> RedisServer {
        for _ in 0..100 {
            if let Some(server) = self.clone().try_at(any_address()).await {
                return server;
            }
        }
        panic!("no server starts, on whatever port");
    }

    /// `None` where the port was taken.
    async fn try_at(self, address: SocketAddr) -> Option<RedisServer> {
        // Asked first, for it is cheap.
        drop(TcpListener::bind(address).ok()?);
        let folder = tempfile::tempdir().expect("a folder");
        let (child, ready) = self.spawn(address, &folder);
        let server = RedisServer { child, address, setup: self, folder };
        ready.await.ok()?;
        Some(server)
    }

    fn spawn(&self, address: SocketAddr, folder: &TempDir) -> (Child, oneshot::Receiver<()>) {
        let mut command = Command::new(program());
        if let Some(knowledge) = &self.sentinel {
            let file = folder.path().join("sentinel.conf");
            // What it has learnt is kept over a restart.
            if !file.exists() {
                fs::write(&file, knowledge).expect("written");
            }
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        if self.cluster {
            let bus = (address.port() + RedisServer::PORTS).to_string();
            command.args(["--cluster-enabled", "yes", "--cluster-port", &bus]);
        }
        let (plain, encrypted) = if self.tls { (0, address.port()) } else { (address.port(), 0) };
        command.args(["--port", &plain.to_string(), "--tls-port", &encrypted.to_string()]);
        let mut child = command
            .args(["--bind", "127.0.0.1", "--dir"])
            .arg(folder.path())
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed: run tests/setup");
        let log = child.stdout.take().expect("a pipe");
        let (started, ready) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "it ends with the server's log")]
        thread::spawn(move || follow(log, started));
        (child, ready)
    }
}

/// On a port that no client is given for its own end, so that it stays free
/// while a server is away.
fn any_address() -> SocketAddr {
    let port = fastrand::u16(RedisServer::PORTS..2 * RedisServer::PORTS);
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn program() -> OsString {
    env::var_os("SPARKLER_REDIS_SERVER").unwrap_or_else(|| "redis-server".into())
}

/// Reads the server's log to its end, and reports when it takes connections;
/// reports nothing if the server ends before.
fn follow(log: ChildStdout, started: oneshot::Sender<()>) {
    let mut started = Some(started);
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        let is_ready = ["Ready to accept connections", "Sentinel ID is"];
        if is_ready.iter().any(|words| line.contains(words))
            && let Some(started) = started.take()
        {
            let _ = started.send(());
        }
    }
}

impl RedisServer {
    /// Servers have a port of so many, from this one on; those of a Cluster talk
    /// to each other as much higher.
    const PORTS: u16 = 10_000;

    /// Alone, open to everybody, on a free port.
    pub(crate) async fn start() -> RedisServer {
        Setup::default().start().await
    }

    /// Starts it again after it was stopped: in its old place, and empty.
    pub(crate) async fn start_again(&mut self) {
        loop {
            let (child, ready) = self.setup.spawn(self.address, &self.folder);
            self.child = child;
            if ready.await.is_ok() {
                return;
            }
            // The system gives the port back in its own time.
            self.stop();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends its process a signal, such as `-STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.id().to_string()]).status();
        assert!(sent.expect("there is kill").success());
    }

    /// Runs a command on it; what it answers, or why it cannot.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        let output = self.client().args(words).output().expect("redis-cli is installed");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).expect("text")
    }

    /// `redis-cli`, connected with it.
    pub(crate) fn client(&self) -> Command {
        let mut client = Command::new("redis-cli");
        client.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string()]);
        client.args(&self.setup.client).env_remove("REDISCLI_AUTH").stdin(Stdio::null());
        client
    }

    /// Waits until a command is answered as expected.
    pub(crate) async fn answers(&self, words: &[&str], expected: impl Fn(&str) -> bool) {
        for _ in 0..600 {
            if expected(&self.command(words)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{words:?} on {}: {}", self.address, self.command(words));
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// How a worker reaches it.
    pub(crate) fn config(&self) -> RedisConfig {
        reached_at(&self.url())
    }
}

/// How a worker reaches an address. Patient: the machine may be busy.
pub(crate) fn reached_at(url: &str) -> RedisConfig {
    let address: Address = url.parse().expect("an address");
    let timeout = Duration::from_secs(5);
    RedisConfig { address, credential: Credential::None, authorities: None, timeout }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}
