//! The load: as many callers as asked for, each calling again as soon as it has
//! its answer, and every answer counted token by token.
//!
//! It reads what the process under test has cost at the very moments between
//! which it measures, so that starting and warming up are not in the figures.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use anyhow::{bail, ensure};
use http_body_util::BodyExt;
use hyper::{Response, body::Incoming};
use tokio::{
    task::{JoinSet, LocalSet, yield_now},
    time::{Instant, sleep, timeout},
};

use crate::{
    call::{Reader, Template},
    connection::Connection,
    plan::{Bound, Face, Measured, Plan, Spread, Stage},
    process,
};

/// Runs the load and prints what it saw as JSON.
pub(crate) fn run(plan: Plan) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = LocalSet::new().block_on(&runtime, measure(plan))?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

async fn measure(plan: Plan) -> anyhow::Result<Measured> {
    let run = Rc::new(Run::new(plan)?);
    let connections = Connection::open(&run.plan).await?;
    run.stage(run.plan.warm_up, &connections).await?;
    let warm = run.take();
    if warm.answers == 0 {
        bail!("no answer while warming up: {}", warm.first_failure.unwrap_or_default());
    }
    // What the warm-up left to do is not the measurement's.
    sleep(Duration::from_millis(200)).await;

    let idle_kib = run.plan.watched.map_or(0, process::resident_kib);
    let peak_kib = Rc::new(Cell::new(idle_kib));
    let mut sampler = JoinSet::new();
    if let Some(watched) = run.plan.watched {
        sampler.spawn_local(sample(watched, Rc::clone(&peak_kib)));
    }
    let cpu = || run.plan.watched.map_or(Duration::ZERO, process::cpu_time);
    let (cpu_before, start) = (cpu(), Instant::now());
    run.stage(run.plan.measured, &connections).await?;
    let (elapsed, cpu) = (start.elapsed(), cpu() - cpu_before);
    Ok(Measured { elapsed, cpu, idle_kib, peak_kib: peak_kib.get(), ..run.take() })
}

async fn sample(process: u32, peak_kib: Rc<Cell<u64>>) {
    loop {
        sleep(Duration::from_millis(50)).await;
        peak_kib.set(peak_kib.get().max(process::resident_kib(process)));
    }
}

#[derive(Debug, Default)]
struct Seen {
    failures: u64,
    first_failure: Option<String>,
    tokens: u64,
    latencies: Vec<Duration>,
    first_tokens: Vec<Duration>,
}

/// What all callers share.
#[derive(Debug)]
struct Run {
    plan: Plan,
    template: Template,
    number: Cell<u64>,
    seen: RefCell<Seen>,
}

impl Run {
    fn new(plan: Plan) -> anyhow::Result<Self> {
        let template = Template::new(&plan)?;
        // Other than in the rounds before, where a cache may remember them.
        let number = std::time::UNIX_EPOCH.elapsed()?.as_micros() as u64;
        Ok(Self { plan, template, number: Cell::new(number), seen: RefCell::default() })
    }

    async fn stage(
        self: &Rc<Self>,
        stage: Stage,
        connections: &[Connection],
    ) -> anyhow::Result<()> {
        let mut callers = JoinSet::new();
        for caller in 0..stage.callers {
            let wait = stage.arrival * caller as u32 / stage.callers as u32;
            let connection = connections[caller % connections.len()].clone();
            callers.spawn_local(Rc::clone(self).call_again(stage, wait, connection));
        }
        if timeout(stage.limit, callers.join_all()).await.is_err() {
            bail!("answers are missing after {:?}", stage.limit);
        }
        Ok(())
    }

    async fn call_again(self: Rc<Self>, stage: Stage, wait: Duration, mut connection: Connection) {
        let start = Instant::now();
        sleep(wait).await;
        let mut calls = 0;
        while match stage.bound {
            Bound::Time(time) => start.elapsed() < time,
            Bound::Calls(bound) => calls < bound,
        } {
            calls += 1;
            self.scatter().await;
            if let Err(error) = self.call(&mut connection).await {
                self.note(&error);
                // A worker that refuses at once must not make the load a spin.
                sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn scatter(&self) {
        // Asks the clock, for timers tick here as they do upstream.
        let until = Instant::now() + self.plan.scatter.mul_f64(fastrand::f64());
        while Instant::now() < until {
            yield_now().await;
        }
    }

    async fn call(&self, connection: &mut Connection) -> anyhow::Result<()> {
        self.number.set(self.number.get() + 1);
        let request = self.template.request(self.number.get());
        connection.ready().await?;

        let start = Instant::now();
        let response = connection.send(request).await?;
        let (tokens, first_token) = self.read(response, start).await?;
        let latency = start.elapsed();
        ensure!(tokens == self.plan.tokens, "{tokens} tokens instead of {}", self.plan.tokens);

        let mut seen = self.seen.borrow_mut();
        seen.tokens += tokens;
        seen.latencies.push(latency);
        seen.first_tokens.extend(first_token);
        Ok(())
    }

    /// The tokens of an answer, and how long after `start` the first one came.
    async fn read(
        &self,
        response: Response<Incoming>,
        start: Instant,
    ) -> anyhow::Result<(u64, Option<Duration>)> {
        let (mut head, mut body) = response.into_parts();
        if !head.status.is_success() {
            let body = body.collect().await?.to_bytes();
            bail!("HTTP {}: {}", head.status, body.escape_ascii());
        }
        let mut reader = Reader::new(&self.plan);
        let (mut tokens, mut first_token) = (0, None);
        while let Some(frame) = body.frame().await.transpose()? {
            if let Some(data) = frame.data_ref() {
                tokens += reader.read(data)?;
            }
            if tokens > 0 && first_token.is_none() {
                first_token = Some(start.elapsed());
            }
            if let Ok(trailers) = frame.into_trailers() {
                head.headers = trailers;
            }
        }
        if self.plan.face == Face::Grpc {
            // In the trailers, or in the head of an answer that has none.
            let status = head.headers.get("grpc-status");
            let message = head.headers.get("grpc-message");
            ensure!(status.is_some_and(|status| status == "0"), "gRPC {status:?}: {message:?}");
        }
        Ok((tokens, first_token))
    }

    fn note(&self, error: &anyhow::Error) {
        let mut seen = self.seen.borrow_mut();
        seen.failures += 1;
        seen.first_failure.get_or_insert_with(|| format!("{error:#}"));
    }

    fn take(&self) -> Measured {
        let seen = self.seen.take();
        Measured {
            answers: seen.latencies.len() as u64,
            failures: seen.failures,
            first_failure: seen.first_failure,
            tokens: seen.tokens,
            latency: Spread::of(seen.latencies),
            first_token: Spread::of(seen.first_tokens),
            ..Measured::default()
        }
    }
}
