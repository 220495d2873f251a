//! Three tenants go on with their work while a fourth sends the worst requests of
//! the grammar, and asks for answers that are much to validate. Worker and provider
//! are processes of their own, and so is each party's thread: no party waits for
//! another but in the worker. `SPARKLER_BINARY` names a program to try in place of
//! this build's.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fireworks_simulator::{Fault, Rule};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config as Cases, RngSeed, TestRunner},
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::grammar::{Frame, frame};
use crate::support::{
    Caller, PATIENCE, Program, Simulation, apart, ask, percentile, resident_kib, spawn,
};

/// The tenants who mean well, and the one who does not.
const INNOCENTS: [&str; 3] = ["acme", "globex", "initech"];
const ATTACKER: &str = "mallory";
/// Attackers that send generated requests, each one at a time.
const SENDERS: u64 = 4;
/// The memory that the worker has to stay in, which is what is asserted.
const MEMORY_LIMIT_MIB: u64 = 256;

/// The tenants' p99 beside the attack, in those alone. The aim is 2; the rest is for a
/// machine whose processors the parties share.
const MOST_TIMES: f64 = 3.0;

/// What executions have after SIGTERM before they are aborted.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The time that the attack takes, and the tenants are measured alone before.
fn duration() -> Duration {
    Duration::from_secs(if is_long() { 600 } else { 8 })
}

fn is_long() -> bool {
    std::env::var_os("SPARKLER_LONG").is_some()
}

/// The seed of the requests; the same one, of `SPARKLER_SEED`, sends the same again.
fn seed() -> u64 {
    let given = std::env::var("SPARKLER_SEED").ok();
    let seed =
        given.map_or_else(|| u64::from(fastrand::u32(..)), |text| text.parse().expect("a number"));
    println!("SPARKLER_SEED={seed}");
    seed
}

fn write_callers(folder: &Path) -> PathBuf {
    let entry = |name: &str| json!({"name": name, "tenant": name, "tokens": [token(name)]});
    let callers: Vec<_> = INNOCENTS.iter().copied().chain([ATTACKER]).map(entry).collect();
    let file = folder.join("callers.json");
    fs::write(&file, json!({ "callers": callers }).to_string()).expect("written");
    file
}

fn token(name: &str) -> String {
    format!("the token of {name}")
}

fn authorization(name: &str) -> String {
    format!("Bearer {}", token(name))
}

/// Answers that are much to validate, each with the schema that makes it so, by the
/// prompt that gets it.
fn evil_answers() -> Vec<(&'static str, String, Value)> {
    let zeros = |count: usize| vec!["0"; count].join(",");
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let either =
        json!({"anyOf": [{"items": {"$ref": "#"}}, {"items": {"$ref": "#"}}, {"const": 1}]});
    vec![
        (
            "all distinct",
            format!("[{}]", (0..20_000).map(|n| n.to_string()).collect::<Vec<_>>().join(",")),
            json!({"uniqueItems": true}),
        ),
        ("deep choices", nested, either),
        ("wrong everywhere", format!("[{}]", zeros(50_000)), json!({"items": {"type": "string"}})),
        ("long text", json!("a".repeat(500_000)).to_string(), json!({"pattern": "^(a|aa)+$"})),
        (
            "unevaluated",
            format!("{{\"x\":[{}]}}", zeros(20_000)),
            json!({"allOf": [{"properties": {"y": {}}}], "unevaluatedProperties": {"contains": {"const": 1}}}),
        ),
    ]
}

/// Starts a provider that gives the answers of above.
async fn provider() -> Simulation {
    let simulation = Simulation::start(&["--first-token=0s", "--tokens-per-second=0"]).await;
    let rules: Vec<_> = evil_answers()
        .into_iter()
        .map(|(prompt, answer, _)| Rule::always(Fault::answer([answer])).prompt(prompt))
        .collect();
    simulation.script(&rules).await;
    simulation
}

/// What the fourth tenant does: until it is dropped.
struct Attack {
    sent: Arc<AtomicU64>,
    _stop: oneshot::Sender<()>,
}

impl Attack {
    /// As many calls at once as in the attack, and each as it should be.
    fn ordinary(worker: SocketAddr) -> Attack {
        Attack::by(worker, |attacker| {
            let number = SENDERS as usize + evil_answers().len();
            (0..number).map(|_| spawn(attacker.clone().ask("good", None))).collect()
        })
    }

    fn worst(worker: SocketAddr, seed: u64) -> Attack {
        Attack::by(worker, move |attacker| {
            let seeds = seed..seed + SENDERS;
            let senders = seeds.map(|seed| spawn(attacker.clone().send_worst(seed)));
            let answers = evil_answers().into_iter();
            let ask = |(prompt, _, schema)| spawn(attacker.clone().ask(prompt, Some(schema)));
            senders.chain(answers.map(ask)).collect()
        })
    }

    fn by(
        worker: SocketAddr,
        start: impl FnOnce(&Attacker) -> Vec<JoinHandle<()>> + Send + 'static,
    ) -> Attack {
        let attacker = Attacker { worker, sent: Arc::default() };
        let sent = attacker.sent.clone();
        let (stop, stopped) = oneshot::channel();
        let _attacking = apart(async move || {
            // Its machine is another than the worker's: here it takes what is left.
            rustix::process::nice(5).expect("nicer is always allowed");
            let _tasks = start(&attacker);
            let _ = stopped.await;
        });
        Attack { sent, _stop: stop }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

#[derive(Clone)]
struct Attacker {
    worker: SocketAddr,
    sent: Arc<AtomicU64>,
}

impl Attacker {
    /// One request of the grammar after the other; every eighth without a token.
    async fn send_worst(self, seed: u64) {
        let client =
            Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
        let cases = Cases { rng_seed: RngSeed::Fixed(seed), ..Cases::default() };
        let mut runner = TestRunner::new(cases);
        let frames = frame();
        loop {
            let frame = frames.new_tree(&mut runner).expect("a request").current();
            let known = !self.sent.fetch_add(1, Ordering::Relaxed).is_multiple_of(8);
            self.send(&client, frame, known).await;
        }
    }

    async fn send(&self, client: &Client, Frame { path, message }: Frame, known: bool) {
        let length = u32::try_from(message.len()).expect("short").to_be_bytes();
        let body = Bytes::from([&[0][..], &length, &message].concat());
        let mut request = client
            .post(format!("http://{}/{path}", self.worker))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body);
        if known {
            request = request.header("authorization", authorization(ATTACKER));
        }
        // Some streams are without end, and all may be refused.
        let exchange = async {
            let mut response = request.send().await.ok()?;
            while let Ok(Some(_)) = response.chunk().await {}
            Some(())
        };
        let _ = timeout(Duration::from_millis(500), exchange).await;
    }

    /// One call after the other, whose answer the schema makes much to validate.
    async fn ask(self, prompt: &'static str, schema: Option<Value>) {
        let caller = Caller::connect(self.worker).await.authorized(&authorization(ATTACKER));
        loop {
            let asked = ask(prompt);
            let asked = schema.as_ref().map_or(asked.clone(), |schema| asked.schema(schema));
            let _ = timeout(PATIENCE, caller.recv(asked)).await;
            self.sent.fetch_add(1, Ordering::Relaxed);
            // What is refused at once is asked again at once, as bad clients do.
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// The time that each call of the tenants takes, in order of size.
async fn work(worker: SocketAddr, until: Instant) -> Vec<Duration> {
    apart(async move || calls(worker, until).await).await.expect("every call is answered")
}

async fn calls(worker: SocketAddr, until: Instant) -> Vec<Duration> {
    let tenant = |name: &'static str| async move {
        let caller = Caller::connect(worker).await.authorized(&authorization(name));
        let mut taken = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            let asked = ask("good");
            timeout(PATIENCE, caller.answer(asked)).await.expect("in time");
            taken.push(began.elapsed());
            sleep(Duration::from_millis(5)).await;
        }
        taken
    };
    let all = INNOCENTS.map(|name| spawn(tenant(name)));
    let mut taken = Vec::new();
    for one in all {
        taken.extend(one.await.expect("every call of a tenant is answered"));
    }
    taken.sort_unstable();
    taken
}

#[tokio::test]
async fn three_tenants_work_on_beside_an_adversary() {
    let folder = tempfile::tempdir().expect("a folder");
    let callers = write_callers(folder.path());
    let limit = format!("{MEMORY_LIMIT_MIB}MiB");
    let provider = provider().await;
    let arguments = ["--callers-file", callers.to_str().expect("text"), "--insecure"];
    let drain = humantime::format_duration(DRAIN_LIMIT).to_string();
    let more = ["--memory-limit", &limit, "--drain-limit", &drain];
    let worker = Program::serve(&provider.base_url, &[&arguments[..], &more[..]].concat()).await;
    let (process, address) = (worker.id(), worker.address);

    let brief = || Instant::now() + duration().min(Duration::from_secs(8));
    let alone = work(address, brief()).await;
    let busy = {
        let _neighbour = Attack::ordinary(address);
        work(address, brief()).await
    };
    let (before, _) = resident_kib(process);
    let attack = Attack::worst(address, seed());
    let attacked = work(address, Instant::now() + duration()).await;
    let (_, peak) = resident_kib(process);
    let (before, peak) = (before / 1024, peak / 1024);

    // The attack goes on while the worker stops.
    let began = Instant::now();
    worker.stop().await;
    let stopped = began.elapsed();

    println!("{} requests of an adversary in {:?}", attack.sent(), duration());
    println!("resident memory: {before} MiB before, {peak} MiB at the peak");
    for (beside, taken) in [("nobody", &alone), ("a busy tenant", &busy), ("it", &attacked)] {
        println!("three tenants beside {beside}: {}", described(taken, &alone));
    }
    println!("from SIGTERM to the end: {stopped:?}");
    if is_long() {
        let times = ratio(&attacked, &alone);
        assert!(times < MOST_TIMES, "the tenants' p99 is {times:.1} times that alone");
    }
    assert!(attack.sent() > 100, "there was an attack");
    assert!(peak <= MEMORY_LIMIT_MIB, "{peak} MiB");
    assert!(stopped < DRAIN_LIMIT + Duration::from_secs(5), "{stopped:?}");
}

fn described(taken: &[Duration], alone: &[Duration]) -> String {
    let (p50, p99) = (percentile(taken, 50), percentile(taken, 99));
    let times = ratio(taken, alone);
    format!("{} calls, p50 {p50:?}, p99 {p99:?} ({times:.1} times)", taken.len())
}

fn ratio(taken: &[Duration], alone: &[Duration]) -> f64 {
    percentile(taken, 99).as_secs_f64() / percentile(alone, 99).as_secs_f64()
}
