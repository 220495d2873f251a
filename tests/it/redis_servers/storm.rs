//! A storm: many executions, each asked several times across a fleet of worker
//! processes, while workers are killed and replaced and Redis fails over. Every
//! caller ends in a whole answer or a named error, and nothing is paid twice but
//! what a killed worker led, or what was asked while there was no Redis.
//!
//! `SPARKLER_LONG=1` asks for the whole storm, which takes about a minute.

use std::{
    collections::{HashMap, HashSet},
    env,
    sync::{Arc, Mutex},
    time::Duration,
};

use fastrand::Rng;
use fireworks_simulator::{Options, Pace};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::transport::Endpoint;

use super::{sentinels::Sentinels, workers::Workers};
use crate::{
    fleet::members::Fleet,
    support::{
        Ask, Caller, PATIENCE, Program, Received, ask, page, redis_server::RedisServer, spawn,
    },
};

const WORKERS: usize = 3;
const ASKED: usize = 5;
/// How far apart one execution is asked at most.
const WITHIN: Duration = Duration::from_secs(2);
/// How soon a killed worker is stood in for.
const LEASE: [&str; 2] = ["--fleet-lease", "2s"];
/// What a caller waits for a whole answer or a named error.
const DEADLINE: Duration = Duration::from_secs(60);

/// How much of it.
struct Size {
    executions: usize,
    /// How long executions begin.
    lasts: Duration,
    kill_every: Duration,
    /// When Redis is killed; well after one worker was, and before the next is.
    redis_at: Duration,
}

impl Size {
    fn asked_for() -> Size {
        let seconds = Duration::from_secs;
        if env::var_os("SPARKLER_LONG").is_some_and(|long| long == "1") {
            Size {
                executions: 1000,
                lasts: seconds(42),
                kill_every: seconds(5),
                redis_at: seconds(17),
            }
        } else {
            Size {
                executions: 100,
                lasts: seconds(14),
                kill_every: seconds(4),
                redis_at: seconds(10),
            }
        }
    }
}

/// An answer takes a second and a half.
fn provider(size: &Size) -> Options {
    Options {
        pace: Pace { first_token: Duration::from_millis(200), tokens_per_second: 40.0 },
        answer_tokens: 50,
        delta_tokens: 2,
        kept_requests: size.executions * ASKED,
        ..Options::default()
    }
}

/// Gives every call to some worker, dead or alive, as a balancer does that has not
/// noticed yet.
struct Balancer(Mutex<Vec<Caller>>);

impl Balancer {
    fn of(workers: &[Program]) -> Arc<Balancer> {
        Arc::new(Balancer(Mutex::new(workers.iter().map(caller).collect())))
    }

    fn any(&self) -> Caller {
        let callers = self.0.lock().expect("not poisoned");
        callers[fastrand::usize(..callers.len())].clone()
    }

    fn replace(&self, index: usize, worker: &Program) {
        self.0.lock().expect("not poisoned")[index] = caller(worker);
    }
}

fn caller(worker: &Program) -> Caller {
    let endpoint = Endpoint::from_shared(format!("http://{}", worker.address)).expect("a URL");
    Caller::over(endpoint.connect_lazy())
}

/// How one call ended.
struct Ended {
    execution: usize,
    from: Instant,
    to: Instant,
    end: End,
}

enum End {
    Whole,
    /// With this reason.
    Error(String),
}

fn prompt(execution: usize) -> String {
    format!("Execution {execution} of the storm")
}

/// What callers allow differs.
fn asked(execution: usize, turn: usize) -> Ask {
    let ask = ask(&prompt(execution)).cached();
    match turn % 3 {
        0 => ask,
        1 => ask.allow_restart(),
        _ => ask.no_deltas(),
    }
}

/// Calls, elsewhere where a worker is gone, until there is an end.
async fn call(balancer: Arc<Balancer>, execution: usize, turn: usize, at: Instant) -> Ended {
    sleep_until(at).await;
    let calling = async {
        loop {
            if let Some(end) = end_of(balancer.any().recv(asked(execution, turn)).await) {
                return end;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let end = timeout(DEADLINE, calling).await.expect("an end within the deadline");
    Ended { execution, from: at, to: Instant::now(), end }
}

/// `None` where only the connection ended.
fn end_of(received: Received) -> Option<End> {
    let text = received.text;
    match received.end {
        Ok(completed) => {
            assert!(text.is_empty() || completed.choices[0].text == text, "a whole answer");
            Some(End::Whole)
        }
        Err(failure) => (!failure.reason.is_empty()).then_some(End::Error(failure.reason)),
    }
}

/// When there was no Redis.
#[derive(Clone, Copy)]
enum Gap {
    NotYet,
    Open,
    Over(Instant, Instant),
}

/// The servers, the workers, and what happens to them.
struct Storm {
    fleet: Fleet<Sentinels>,
    workers: Workers,
    programs: tokio::sync::Mutex<Vec<Program>>,
    balancer: Arc<Balancer>,
    gap: Mutex<Gap>,
}

impl Storm {
    async fn of(size: &Size) -> Storm {
        let sentinels = Sentinels::start().await;
        let reached = sentinels.config();
        let fleet = Fleet::over(sentinels, &reached, 0, provider(size), |_| {}).await;
        let workers = Workers::of(&fleet.base_url, &fleet.redis.url());
        let programs = join_all((0..WORKERS).map(|_| workers.start(&LEASE))).await;
        let balancer = Balancer::of(&programs);
        let programs = tokio::sync::Mutex::new(programs);
        Storm { fleet, workers, programs, balancer, gap: Mutex::new(Gap::NotYet) }
    }

    fn gap(&self) -> Gap {
        *self.gap.lock().expect("not poisoned")
    }

    /// Kills a worker every now and then, and starts another in its place. How
    /// many were killed, and how many executions those led, as Redis knows it.
    async fn kill_workers(&self, began: Instant, size: &Size) -> (usize, u64) {
        let (mut killed, mut led) = (0, 0);
        let mut at = size.kill_every;
        while at < size.lasts {
            sleep_until(began + at).await;
            led += self.kill(killed % WORKERS).await;
            killed += 1;
            at += size.kill_every;
        }
        (killed, led)
    }

    async fn kill(&self, index: usize) -> u64 {
        let mut programs = self.programs.lock().await;
        let Some(redis) = self.primary() else {
            // Whatever it leads is asked while there is no Redis.
            self.replace(index, &mut programs).await;
            return 0;
        };
        let before = mailboxes(redis, WORKERS).await;
        programs[index].kill().await;
        let after = mailboxes(redis, WORKERS - 1).await;
        let owner = before.difference(&after).next().expect("one is gone");
        let led = redis.command(&["EVAL", LED, "0", owner]).trim().parse().expect("a number");
        self.replace(index, &mut programs).await;
        led
    }

    async fn replace(&self, index: usize, programs: &mut [Program]) {
        programs[index] = self.workers.start(&LEASE).await;
        self.balancer.replace(index, &programs[index]);
    }

    /// The server that has the flights, while there is one.
    fn primary(&self) -> Option<&RedisServer> {
        let [first, second] = &self.fleet.redis.servers;
        match self.gap() {
            Gap::NotYet => Some(first),
            Gap::Open => None,
            Gap::Over(..) => Some(second),
        }
    }

    /// Kills the primary, and waits until all workers have another.
    async fn fail_over(&self, began: Instant, size: &Size) {
        sleep_until(began + size.redis_at).await;
        let [first, second] = &self.fleet.redis.servers;
        // Not while somebody asks the primary what a killed worker led.
        let calm = self.programs.lock().await;
        let killed = Instant::now();
        *self.gap.lock().expect("not poisoned") = Gap::Open;
        first.signal("-KILL");
        drop(calm);
        second.answers(&["ROLE"], |role| role.starts_with("master")).await;
        mailboxes(second, WORKERS).await;
        for program in &*self.programs.lock().await {
            reaches_redis(program).await;
        }
        *self.gap.lock().expect("not poisoned") = Gap::Over(killed, Instant::now());
    }

    /// How often the provider was called for each execution.
    fn calls(&self) -> HashMap<String, usize> {
        let report = self.fleet.simulator.report();
        assert_eq!(report.calls as usize, report.requests.len(), "all requests are kept");
        let mut calls = HashMap::new();
        for request in &report.requests {
            let prompt = request.body["messages"][0]["content"].as_str().expect("a prompt");
            *calls.entry(prompt.to_owned()).or_default() += 1;
        }
        calls
    }
}

/// How many flights under way a worker leads.
const LED: &str = "\
local led = 0
for _, key in ipairs(redis.call('KEYS', 'sparkler:1:*:flight')) do
  local kept = redis.call('HMGET', key, 'owner', 'state')
  if ARGV[1] == 'sparkler:1:notify:' .. kept[1] and kept[2] == 'running' then led = led + 1 end
end
return led";

/// The channels of the workers' mailboxes, once there are so many.
async fn mailboxes(redis: &RedisServer, count: usize) -> HashSet<String> {
    let question = ["PUBSUB", "CHANNELS", "sparkler:1:notify:*"];
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<HashSet<_>>();
    redis.answers(&question, |text| lines(text).len() == count).await;
    lines(&redis.command(&question))
}

async fn reaches_redis(program: &Program) {
    let reached = async {
        while !page(program.admin, "/metrics").await.1.contains("sparkler_redis_reachable 1") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("it reaches Redis");
}

/// Everybody calls, spread over the storm.
async fn callers(balancer: &Arc<Balancer>, began: Instant, size: &Size) -> Vec<Ended> {
    let mut random = Rng::with_seed(1);
    let mut calls = Vec::new();
    for execution in 0..size.executions {
        let first = size.lasts.mul_f64(execution as f64 / size.executions as f64);
        for turn in 0..ASKED {
            let at = began + first + WITHIN.mul_f64(random.f64());
            calls.push(spawn(call(balancer.clone(), execution, turn, at)));
        }
    }
    join_all(calls).await.into_iter().map(|ended| ended.expect("no panic")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_and_failovers_leave_every_caller_an_end() {
    let size = Size::asked_for();
    let storm = Storm::of(&size).await;
    let began = Instant::now();
    let (ended, (killed, led), ()) = tokio::join!(
        callers(&storm.balancer, began, &size),
        storm.kill_workers(began, &size),
        storm.fail_over(began, &size),
    );
    let took = began.elapsed();
    let Gap::Over(from, to) = storm.gap() else { unreachable!("it was waited for") };
    let gap = to - from;
    // What was written a moment before may be lost: replicas receive it later.
    let from = from - Duration::from_secs(1);
    let in_the_gap = |ended: &&Ended| ended.from < to && ended.to > from;
    let exposed: HashSet<String> =
        ended.iter().filter(in_the_gap).map(|ended| prompt(ended.execution)).collect();

    let calls = storm.calls();
    let upstream: usize = calls.values().sum();
    let sheltered = calls.iter().filter(|(prompt, _)| !exposed.contains(*prompt));
    let (sheltered, sheltered_calls) =
        sheltered.fold((0, 0), |(count, sum), (_, calls)| (count + 1, sum + calls));
    let mut errors: HashMap<&str, usize> = HashMap::new();
    for ended in &ended {
        if let End::Error(reason) = &ended.end {
            *errors.entry(reason).or_default() += 1;
        }
    }
    eprintln!(
        "{} executions, each asked {ASKED} times across {WORKERS} workers, in {took:.1?}; {killed} \
         workers killed, which led {led}; no Redis for {gap:.1?}, with {} executions under way: \
         {upstream} upstream calls, {:.3} for each of {} + {led}. Where there was Redis: \
         {sheltered_calls} calls for {sheltered} + {led}. Named errors: {errors:?}",
        size.executions,
        exposed.len(),
        upstream as f64 / (size.executions as f64 + led as f64),
        size.executions,
    );
    assert_eq!(ended.len(), size.executions * ASKED);
    assert_eq!(calls.len(), size.executions, "each was executed");
    assert!(sheltered_calls <= sheltered + led as usize);
    // For itself no worker pays twice; but one that was killed may have paid.
    let most = sheltered_calls + exposed.len() * (WORKERS + killed);
    assert!(upstream <= most, "{upstream} calls, {most} at most");
}
