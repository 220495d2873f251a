//! Three tenants, and one of them greedy: it wants twenty times what the worker
//! has places for, all at once, and comes back whenever it is refused. The modest
//! ones must hardly notice. Prints what it came to.
//!
//! The worker is a process of its own, so that its memory is its own; each party
//! has a thread of its own, so that none waits for another's. `SPARKLER_LONG=1`
//! asks for ten thousand calls.

#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]

use std::{
    env,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fireworks_simulator::{Options, Pace, Simulator};
use futures_util::future::join_all;
use tokio::{sync::oneshot, time::Instant};

use crate::support::{Caller, Program, apart, ask, page, percentile, resident_kib, spawn};

/// Calls for each place there is.
const TIMES: usize = 20;
const STREAMS_PER_CONNECTION: usize = 500;
const MODEST: [&str; 2] = ["modest", "frugal"];

struct Load {
    /// The worker's places.
    places: usize,
    /// Callers of each modest tenant, and what each asks for, one after the other.
    modest: Modest,
    /// What the provider takes for an answer. Long, beside what a busy machine
    /// does to a call.
    answer: Duration,
    /// Whether the greedy tenant's first rush counts too, and its last calls are
    /// waited for. A debug build takes seconds for what a release takes in tenths.
    whole: bool,
    /// A worker that takes more memory is a change to think about.
    most_mib: u64,
}

#[derive(Clone, Copy)]
struct Modest {
    callers: usize,
    rounds: usize,
}

impl Load {
    fn asked_for() -> Load {
        if env::var_os("SPARKLER_LONG").is_some_and(|long| long == "1") {
            Load {
                places: 500,
                modest: Modest { callers: 10, rounds: 15 },
                answer: Duration::from_secs(1),
                whole: true,
                most_mib: 512,
            }
        } else {
            Load {
                places: 50,
                modest: Modest { callers: 2, rounds: 8 },
                answer: Duration::from_millis(1500),
                whole: false,
                most_mib: 256,
            }
        }
    }

    fn queue(&self) -> usize {
        2 * self.places
    }

    fn greedy_calls(&self) -> usize {
        TIMES * self.places - MODEST.len() * self.modest.callers * self.modest.rounds
    }
}

async fn provider(answer: Duration) -> String {
    let (sender, base_url) = oneshot::channel();
    let _running = apart(async move || {
        let pace = Pace { first_token: answer, tokens_per_second: 10_000.0 };
        let options = Options { pace, answer_tokens: 5, ..Options::default() };
        let bound = Simulator::bind(([127, 0, 0, 1], 0).into(), options).await;
        let simulator = bound.expect("a port");
        let _ = sender.send(simulator.base_url().to_string());
        simulator.run(std::future::pending()).await
    });
    base_url.await.expect("a provider")
}

/// Calls of the modest tenants, so many at a time: how long each took.
async fn modest(worker: SocketAddr, Modest { callers: each, rounds }: Modest) -> Vec<Duration> {
    let mut callers = Vec::new();
    for tenant in MODEST {
        let caller = Caller::connect(worker).await;
        callers.extend((0..each).map(|_| (tenant, caller.clone())));
    }
    let calls = callers.into_iter().enumerate().map(async |(number, (tenant, caller))| {
        let mut took = Vec::new();
        for round in 0..rounds {
            let began = Instant::now();
            let asked = ask(&format!("{tenant} {number} {round}")).tenant(tenant);
            caller.answer(asked).await;
            took.push(began.elapsed());
        }
        took
    });
    let mut took: Vec<Duration> = join_all(calls).await.into_iter().flatten().collect();
    took.sort();
    took
}

/// What became of the greedy tenant's calls.
#[derive(Default)]
struct Served {
    answered: AtomicUsize,
    refused: AtomicUsize,
}

/// The greedy tenant's calls, all at once and each until it is answered; or until
/// it is enough.
async fn greedy(worker: SocketAddr, calls: usize, enough: oneshot::Receiver<()>) -> Arc<Served> {
    let mut callers = Vec::new();
    for _ in 0..calls.div_ceil(STREAMS_PER_CONNECTION) {
        callers.push(Caller::connect(worker).await);
    }
    let served = Arc::new(Served::default());
    let insist = |number: usize| {
        let caller = callers[number % callers.len()].clone();
        let served = served.clone();
        spawn(async move {
            let asked = ask(&format!("greedy {number}")).tenant("greedy");
            while let Err(failure) = caller.recv(asked.clone()).await.end {
                // On a machine that is too slow for the rush, requests arrive late.
                let expected = ["WORKER_SATURATED", "REQUEST_TIMEOUT"];
                assert!(expected.contains(&failure.reason.as_str()), "{failure:?}");
                served.refused.fetch_add(1, Ordering::Relaxed);
                let wait = failure.retry_after.unwrap_or(Duration::from_secs(1));
                tokio::time::sleep(wait).await;
            }
            served.answered.fetch_add(1, Ordering::Relaxed);
        })
    };
    let all = join_all((0..calls).map(insist));
    tokio::select! {
        answered = all => assert!(answered.iter().all(Result::is_ok), "answered in the end"),
        Ok(()) = enough => {}
    }
    served
}

/// Waits until the greedy tenant has all places; or until the worker has looked at
/// all of its calls, and refused those that it has no room for.
async fn crowded(admin: SocketAddr, load: &Load) {
    let beyond = load.greedy_calls() - load.places - load.queue();
    let expected = if load.whole { 0 } else { beyond };
    loop {
        let figures = page(admin, "/metrics").await.1;
        let taken = figure(&figures, "sparkler_admission_in_use ");
        let refused = figure(&figures, "sparkler_admission_refusals_total");
        // The last tenth is not for one tenant alone.
        if taken >= load.places * 9 / 10 && refused >= expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A figure on the page, all its series together.
fn figure(page: &str, name: &str) -> usize {
    let values = page.lines().filter(|line| line.starts_with(name));
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

#[tokio::test]
async fn the_modest_hardly_notice_a_greedy_tenant() {
    let load = Load::asked_for();
    let base_url = provider(load.answer).await;
    let places = load.places.to_string();
    let queue = load.queue().to_string();
    let arguments = ["--trust-tenant", "--max-executions", &places, "--queue-length", &queue];
    let worker = Program::serve(&base_url, &arguments).await;
    let (address, admin) = (worker.address, worker.admin);

    let (asked, calls) = (load.modest, load.greedy_calls());
    let alone = apart(async move || modest(address, asked).await).await.expect("answered");
    let began = Instant::now();
    let (say_enough, enough) = oneshot::channel();
    let greedy = apart(async move || greedy(address, calls, enough).await);
    crowded(admin, &load).await;
    let among = apart(async move || modest(address, asked).await).await.expect("answered");
    if !load.whole {
        let _ = say_enough.send(());
    }
    let greedy = greedy.await.expect("answered in the end");

    let peak = resident_kib(worker.id()).1 / 1024;
    let (alone_99, among_99) = (percentile(&alone, 99), percentile(&among, 99));
    println!(
        "{} places; {calls} calls of the greedy tenant at once, {} answered after {:.1?} with {} \
         refusals; {} of the modest: alone p50 {:.2?} p99 {alone_99:.2?}, beside the greedy p50 \
         {:.2?} p99 {among_99:.2?}: {:.2} times; worker at most {peak} MiB",
        load.places,
        greedy.answered.load(Ordering::Relaxed),
        began.elapsed(),
        greedy.refused.load(Ordering::Relaxed),
        among.len(),
        percentile(&alone, 50),
        percentile(&among, 50),
        among_99.as_secs_f64() / alone_99.as_secs_f64(),
    );
    assert_eq!(figure(&page(admin, "/metrics").await.1, "sparkler_panics_total"), 0);
    assert!(among_99 < 2 * alone_99, "p99 {among_99:?} beside the greedy, {alone_99:?} alone");
    assert!(peak < load.most_mib, "{peak} MiB");
    worker.stop().await;
}
