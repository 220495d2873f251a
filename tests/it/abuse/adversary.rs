//! Three tenants go on with their work while a fourth sends the worst requests of
//! the grammar, and asks for answers that are much to validate. The worker is a
//! process of its own, so that its memory is what the machine says.

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
use fireworks_simulator::{Fault, Options, Rule, Simulator};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config as Cases, RngSeed, TestRunner},
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::grammar::{Frame, frame};
use crate::support::{Caller, PATIENCE, Program, ask, spawn};

/// The tenants who mean well, and the one who does not.
const INNOCENTS: [&str; 3] = ["acme", "globex", "initech"];
const ATTACKER: &str = "mallory";
/// Attackers that send generated requests, each one at a time.
const SENDERS: u64 = 4;
/// The memory that the worker has to stay in, which is what is asserted.
const MEMORY_LIMIT_MIB: u64 = 256;

/// What executions have after SIGTERM before they are aborted.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The time that the attack takes, and the tenants are measured alone before.
fn duration() -> Duration {
    let long = std::env::var_os("SPARKLER_LONG").is_some();
    Duration::from_secs(if long { 600 } else { 8 })
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

/// The resident memory of a process, in MiB: now, and at its peak so far.
fn memory(process: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    };
    (kib("VmRSS:") / 1024, kib("VmHWM:") / 1024)
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

async fn simulator() -> String {
    let simulator = Simulator::bind(SocketAddr::from(([127, 0, 0, 1], 0)), Options::instant());
    let simulator = simulator.await.expect("a free port");
    for (prompt, answer, _) in evil_answers() {
        simulator.handle().script(Rule::always(Fault::answer([answer])).prompt(prompt));
    }
    let base_url = simulator.base_url();
    spawn(simulator.run(std::future::pending()));
    base_url
}

/// What the fourth tenant does: until it is dropped.
struct Attack {
    sent: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<()>>,
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
        Attack::by(worker, |attacker| {
            let seeds = seed..seed + SENDERS;
            let senders = seeds.map(|seed| spawn(attacker.clone().send_worst(seed)));
            let answers = evil_answers().into_iter();
            let ask = |(prompt, _, schema)| spawn(attacker.clone().ask(prompt, Some(schema)));
            senders.chain(answers.map(ask)).collect()
        })
    }

    fn by(worker: SocketAddr, start: impl FnOnce(&Attacker) -> Vec<JoinHandle<()>>) -> Attack {
        let attacker = Attacker { worker, sent: Arc::default() };
        Attack { tasks: start(&attacker), sent: attacker.sent }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
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

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_tenants_work_on_beside_an_adversary() {
    let folder = tempfile::tempdir().expect("a folder");
    let callers = write_callers(folder.path());
    let limit = format!("{MEMORY_LIMIT_MIB}MiB");
    let base_url = simulator().await;
    let arguments = ["--callers-file", callers.to_str().expect("text"), "--insecure"];
    let drain = humantime::format_duration(DRAIN_LIMIT).to_string();
    let more = ["--memory-limit", &limit, "--drain-limit", &drain];
    let worker = Program::serve(&base_url, &[&arguments[..], &more[..]].concat()).await;
    let (process, address) = (worker.id(), worker.address);

    let brief = || Instant::now() + duration().min(Duration::from_secs(8));
    let alone = work(address, brief()).await;
    let busy = {
        let _neighbour = Attack::ordinary(address);
        work(address, brief()).await
    };
    let (before, _) = memory(process);
    let attack = Attack::worst(address, seed());
    let attacked = work(address, Instant::now() + duration()).await;
    let (_, peak) = memory(process);

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
    assert!(attack.sent() > 100, "there was an attack");
    assert!(peak <= MEMORY_LIMIT_MIB, "{peak} MiB");
    assert!(stopped < DRAIN_LIMIT + Duration::from_secs(5), "{stopped:?}");
}

fn described(taken: &[Duration], alone: &[Duration]) -> String {
    let p99 = percentile(taken, 99);
    let times = p99.as_secs_f64() / percentile(alone, 99).as_secs_f64();
    let p50 = percentile(taken, 50);
    format!("{} calls, p50 {p50:?}, p99 {p99:?} ({times:.1} times)", taken.len())
}
