//! `sparkler demo`: runs a worker and a simulated Fireworks in this process, and
//! makes four calls that show what the worker does. Every number is read from the
//! worker's answers or the simulator's report; the demo fails if one contradicts
//! its caption.

mod script;

use std::{
    future::pending,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
};

use anyhow::{Context, anyhow};
use script::{QUESTION, SHARED_QUESTION};
use url::Url;

use super::{
    execute::{
        View, follow, summary,
        transcript::{Layout, Transcript},
        waterfall::{self, Seen},
    },
    failure::{CommandError, write_status},
    terminal::{DIM, GOOD, HEADING, PhaseLine},
    units,
    worker::{WorkerClient, beside, in_process},
};
use crate::{
    config::Config,
    proto::{
        CacheOutcome, CachePolicy, CacheStatus, Completed, Credential, ExecuteNodeRequest,
        cache_policy::Mode, credential::Source, execute_node_request::Input,
    },
};
use fireworks_simulator::{Handle, Simulator, UNKNOWN_KEY};

pub(super) const EXAMPLES: &str = "\
Examples:
  sparkler demo
  sparkler demo | cat

No key is needed, nothing leaves this machine, and nothing is paid. Anywhere but on a terminal it
does not wait for a reader.";

/// The arguments of `sparkler demo`.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {}

const NODE: &str = "chatFireworks";
const MODEL: &str = "accounts/fireworks/models/glm-5p3";
const ACCEPTED_KEY: &str = "fw_demo";

impl DemoArgs {
    pub(super) async fn run(self) -> Result<ExitCode, CommandError> {
        let terminal = io::stdout().is_terminal();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = Simulator::bind(loopback, script::options(terminal))
            .await
            .context("no port for the simulator")?;
        let base_url = Url::parse(&simulator.base_url()).context("the simulator's address")?;
        let handle = simulator.handle();
        let simulating = async {
            let ended = simulator.run(pending::<()>()).await;
            ended.context("the simulator").map_err(CommandError::Other)
        };
        let playing = in_process(Config::local(base_url), async |client| {
            let stage = DemoEnvironment {
                client,
                simulator: handle,
                out: anstream::stdout(),
                terminal,
                executions: 0,
            };
            stage.play().await
        });
        beside(simulating, playing).await?;
        Ok(ExitCode::SUCCESS)
    }
}

fn request(prompt: &str, key: &str, mode: Mode) -> ExecuteNodeRequest {
    let model = prost_types::Value::from(MODEL.to_owned());
    ExecuteNodeRequest {
        node_type: NODE.to_owned(),
        config: Some(prost_types::Struct { fields: [("modelName".to_owned(), model)].into() }),
        input: Some(Input::Prompt(prompt.to_owned())),
        credential: Some(Credential { source: Some(Source::ApiKey(key.to_owned())) }),
        cache: Some(CachePolicy { mode: mode.into(), ..CachePolicy::default() }),
        ..ExecuteNodeRequest::default()
    }
}

/// The environment of the demo.
struct DemoEnvironment {
    client: WorkerClient,
    simulator: Handle,
    out: anstream::Stdout,
    terminal: bool,
    executions: u32,
}

impl DemoEnvironment {
    async fn play(mut self) -> Result<(), CommandError> {
        self.introduce()?;
        let first = self.streamed().await?;
        self.cached(&first).await?;
        self.joined().await?;
        self.refused().await?;
        self.close()
    }

    fn introduce(&mut self) -> io::Result<()> {
        writeln!(self.out, "{HEADING}Sparkler: a worker for LLM nodes{HEADING:#}")?;
        self.comment("A worker and a Fireworks run in this process and talk as they would over a")?;
        self.comment(
            "network: gRPC into the worker, HTTP out of it. The worker is real. Fireworks",
        )?;
        self.comment("and its model are simulated: the words are scripted, and nothing is paid.")
    }

    async fn streamed(&mut self) -> Result<Completed, CommandError> {
        self.heading(1, "One execution, streamed")?;
        self.comment(&format!("{NODE}, {MODEL}: {QUESTION}"))?;
        let (first, seen) = self.execute(QUESTION, ACCEPTED_KEY).await?;
        waterfall::write(&first, seen, waterfall::width(), &mut self.out)?;
        expect(&first, CacheStatus::Miss)?;
        self.upstream_calls(1)?;
        Ok(first)
    }

    async fn cached(&mut self, first: &Completed) -> Result<(), CommandError> {
        self.heading(2, "The same again, from the cache")?;
        let (second, _) = self.execute(QUESTION, ACCEPTED_KEY).await?;
        expect(&second, CacheStatus::Hit)?;
        let (Some(before), Some(now)) = (total(first), total(&second)) else {
            return Err(CommandError::Other(anyhow!("the worker reported no times")));
        };
        let saved = second.cost.as_ref().map_or(0, |cost| cost.saved_nanodollars);
        self.good(&format!(
            "{now} instead of {before}; {} saved, at the list price",
            units::dollars(saved)
        ))?;
        self.upstream_calls(1)
    }

    async fn joined(&mut self) -> Result<(), CommandError> {
        self.heading(3, "Two callers at the same moment")?;
        self.comment(&format!("Both ask: {SHARED_QUESTION}"))?;
        let mut line = PhaseLine::new("two callers listen", self.terminal);
        self.executions += 2;
        let (one, other) = (self.silently(SHARED_QUESTION), self.silently(SHARED_QUESTION));
        let pair = line.during(async { tokio::join!(one, other) }).await;
        line.end();
        let mut pair = [pair.0?, pair.1?];
        // Either may have come first; describe the one that did as first.
        pair.sort_by_key(status);
        let statuses = pair.each_ref().map(status);
        for (name, completed) in ["first", "second"].iter().zip(&pair) {
            let text = completed.choices.first().map_or("", |choice| &choice.text);
            writeln!(self.out, "{DIM}the {name} caller:{DIM:#} {text}")?;
            summary::write(completed, &mut self.out)?;
        }
        if statuses != [CacheStatus::Miss, CacheStatus::Joined] {
            return Err(CommandError::Other(anyhow!(
                "the two did not share a flight: {statuses:?}"
            )));
        }
        self.upstream_calls(2)
    }

    async fn refused(&mut self) -> Result<(), CommandError> {
        self.heading(4, "A credential that Fireworks refuses")?;
        let mut client = self.client.clone();
        let request = request(QUESTION, UNKNOWN_KEY, Mode::Off);
        let mut view = self.view();
        let mut line = PhaseLine::new("asking", self.terminal);
        self.executions += 1;
        let outcome = follow(&mut client, request, &mut view, &mut line).await;
        line.end();
        match outcome {
            Err(CommandError::Call(status)) => Ok(write_status(&status, &mut self.out)?),
            Err(other) => Err(other),
            Ok(_) => Err(CommandError::Other(anyhow!("the credential was accepted"))),
        }
    }

    fn close(&mut self) -> Result<(), CommandError> {
        let report = self.simulator.report();
        writeln!(self.out)?;
        self.comment(&format!(
            "{} executions, {} calls of the provider, {} of them refused.",
            self.executions, report.calls, report.refused
        ))?;
        self.comment("With a key: FIREWORKS_API_KEY=… sparkler execute --model … \"…\"")?;
        self.comment("As a worker: sparkler serve")?;
        Ok(self.out.flush()?)
    }

    /// Executes a request and prints its answer as it arrives.
    async fn execute(
        &mut self,
        prompt: &str,
        key: &str,
    ) -> Result<(Completed, Seen), CommandError> {
        let request = request(prompt, key, Mode::ReadWrite);
        let mut view = self.view();
        let mut line = PhaseLine::new("connecting to the worker", self.terminal);
        self.executions += 1;
        let (completed, seen) = follow(&mut self.client, request, &mut view, &mut line).await?;
        line.end();
        summary::write(&completed, &mut self.out)?;
        Ok((completed, seen))
    }

    /// Executes a request without printing.
    async fn silently(&self, prompt: &str) -> Result<Completed, CommandError> {
        let request = request(prompt, ACCEPTED_KEY, Mode::ReadWrite);
        let layout = Layout { terminal: false, held: true };
        let mut view = View::Answer(Transcript::new(Box::new(io::sink()), layout));
        let mut line = PhaseLine::new("", false);
        let (completed, _) =
            follow(&mut self.client.clone(), request, &mut view, &mut line).await?;
        Ok(completed)
    }

    fn view(&self) -> View {
        let layout = Layout { terminal: self.terminal, held: false };
        View::Answer(Transcript::new(Box::new(anstream::stdout()), layout))
    }

    /// Prints the number of calls that the simulated Fireworks counted, which must
    /// be `expected`.
    fn upstream_calls(&mut self, expected: u64) -> Result<(), CommandError> {
        let calls = self.simulator.report().calls;
        if calls != expected {
            return Err(CommandError::Other(anyhow!(
                "Fireworks was called {calls} times so far, and not {expected}"
            )));
        }
        let times = if calls == 1 { "once" } else { "twice" };
        Ok(self.good(&format!("Fireworks was called {times} so far, by its own account"))?)
    }

    fn heading(&mut self, number: u8, title: &str) -> io::Result<()> {
        writeln!(self.out, "\n{HEADING}{number}  {title}{HEADING:#}")
    }

    fn comment(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{DIM}# {text}{DIM:#}")
    }

    fn good(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{GOOD}✓ {text}{GOOD:#}")
    }
}

fn status(completed: &Completed) -> CacheStatus {
    completed.cache.as_ref().map_or(CacheStatus::Unspecified, CacheOutcome::status)
}

fn expect(completed: &Completed, expected: CacheStatus) -> Result<(), CommandError> {
    match status(completed) {
        status if status == expected => Ok(()),
        status => Err(CommandError::Other(anyhow!(
            "the cache said {}, and not {}",
            status.as_str_name(),
            expected.as_str_name()
        ))),
    }
}

fn total(completed: &Completed) -> Option<String> {
    units::proto_span(completed.timing?.total?)
}
