//! `sparkler bench`: measures models, prompts and loads, against the provider and
//! through a worker. Prints a table to stdout, and progress to stderr.
//!
//! `plan` → `run` (with `target`, `budget`, `progress`) → `sample` → `summary` →
//! `report`.

mod arguments;
mod budget;
mod distribution;
mod load;
mod plan;
mod progress;
mod prompt;
mod report;
mod run;
mod sample;
mod summary;
mod target;

use std::process::ExitCode;

use anyhow::anyhow;

use self::{
    arguments::Via,
    plan::BenchPlan,
    progress::ProgressLine,
    report::Report,
    run::{BenchEnd, Measurements, Runner, Targets},
    target::{Direct, Remote},
};
use super::{
    failure::CommandError,
    worker::{WorkerClient, interruptible},
};
use crate::{
    config::Config,
    credentials::ApiKey,
    fireworks,
    node::Registry,
    proto::{Credential, credential::Source},
};

pub(super) use arguments::BenchArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  export FIREWORKS_API_KEY=…
  sparkler bench --model accounts/fireworks/models/glm-5p3
  sparkler bench --model …/glm-5p3,…/kimi-k3 --concurrency 1,4,16 --html report.html
  sparkler bench --model … --via direct,worker --worker https://worker:50051 --json - | jq .
  sparkler bench --model … --prompt short,long --unique --rate 2 --budget 0.25
  sparkler bench --model my-model --budget none --fireworks-base-url http://127.0.0.1:8000/v1

Every model is measured with every prompt, way and load: a scenario. Percentiles are by nearest
rank. Tokens/s is that of one answer after its first token. A failed request counts as an error and
in no time.

With --concurrency the next request waits for one to end, so a slow answer also delays the next
measurement; --rate sends on time and counts from when a request was due.

Ctrl-C reports what was measured; the exit code is then 130.";

impl BenchArgs {
    pub(in crate::cli) async fn run(self) -> Result<ExitCode, CommandError> {
        self.output.check()?;
        let config = Config::local(self.worker.fireworks_base_url.clone());
        let registry = Registry::new(fireworks::Client::new(config.fireworks)?);
        let plan = BenchPlan::new(&self, &registry)?;
        let credential = self.credential.read()?;
        let direct = direct(&plan, registry, credential.as_ref())?;
        let mut measurements = Measurements::new(self.money.budget);
        let progress = ProgressLine::new(&plan, !self.output.quiet);
        let ended = if plan.goes(Via::Worker) {
            let measure = async |client: WorkerClient| {
                let worker = Some(Remote { client, credential });
                let targets = Targets { direct, worker };
                Runner::new(&plan, &targets, &mut measurements, progress).run().await
            };
            self.worker.call(measure).await
        } else {
            let targets = Targets { direct, worker: None };
            interruptible(Runner::new(&plan, &targets, &mut measurements, progress).run()).await
        };
        match ended {
            Ok(()) => {}
            Err(CommandError::Interrupted) => measurements.end = BenchEnd::Interrupted,
            Err(failure) => return Err(failure),
        }
        let report = Report::new(&plan, &measurements);
        self.output.write(&report)?;
        Ok(report.exit_code())
    }
}

/// Returns the provider as a target, if the plan needs it.
fn direct(
    plan: &BenchPlan,
    registry: Registry,
    credential: Option<&Credential>,
) -> Result<Option<Direct>, CommandError> {
    let source = credential.and_then(|credential| credential.source.as_ref());
    let key = match source {
        None => {
            return Err(CommandError::Usage(anyhow!(
                "no credential: set FIREWORKS_API_KEY, or give --api-key-file or --secret-name"
            )));
        }
        Some(Source::ApiKey(key)) => key,
        Some(_) if plan.goes(Via::Direct) => {
            return Err(CommandError::Usage(anyhow!(
                "--secret-name is mounted in a worker: --via direct needs the key itself"
            )));
        }
        Some(_) => return Ok(None),
    };
    let key = ApiKey::new(key.clone()).map_err(|problem| CommandError::Other(problem.into()))?;
    Ok(Some(Direct::new(registry, key)))
}
