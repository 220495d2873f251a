//! What a benchmark measures: its scenarios, and how each request is made and priced.

use anyhow::{Context, anyhow, bail};
use prost_types::Struct;
use serde_json::{Map, Value};

use super::{
    super::{failure::CommandError, node, prices},
    BenchArgs,
    arguments::Via,
    load::Load,
    prompt::PromptSet,
    target::{self, CallOptions},
};
use crate::{
    event::Usage,
    node::Registry,
    price::{Nanodollars, Prices, Tier},
};

/// Tokens that a model's template may add to a prompt.
const TEMPLATE_TOKENS: usize = 1024;

/// The fields that have a flag of their own, or that would blur the measurement.
const OWN_FIELDS: [(&str, &str); 5] = [
    ("modelName", "use --model"),
    ("model", "use --model"),
    ("maxTokens", "use --max-tokens"),
    ("credential", "use --secret-name"),
    ("n", "several answers at once have no speed of their own; raise --concurrency"),
];

/// The plan of a benchmark.
#[derive(Debug)]
pub(super) struct BenchPlan {
    /// Everything to measure, in the order of the report.
    pub(super) scenarios: Vec<Scenario>,
    /// Requests of each scenario in each round.
    pub(super) requests: u32,
    pub(super) rounds: u32,
    /// Requests before each scenario's first round.
    pub(super) warm_up: u32,
    /// True if each prompt begins with text of its own.
    pub(super) unique: bool,
    pub(super) options: CallOptions,
    pub(super) max_tokens: u32,
    /// The prices in use.
    pub(super) prices: Prices,
}

/// One combination of what is compared.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) via: Via,
    pub(super) model: String,
    pub(super) prompt: PromptSet,
    pub(super) load: Load,
    /// The node's fields, as JSON and for a worker.
    pub(super) fields: Map<String, Value>,
    pub(super) config: Struct,
    /// The price tier.
    pub(super) tier: Tier,
    /// The most that one attempt can cost; `None` without a price.
    pub(super) dearest: Option<Nanodollars>,
}

/// Requests of one scenario in one round; round 0 is the warm-up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) scenario: usize,
    pub(super) round: u32,
    pub(super) requests: u32,
}

impl BenchPlan {
    /// Checks the arguments and everything they name. Sends nothing.
    pub(super) fn new(args: &BenchArgs, registry: &Registry) -> Result<BenchPlan, CommandError> {
        BenchPlan::planned(args, registry).map_err(CommandError::Usage)
    }

    fn planned(args: &BenchArgs, registry: &Registry) -> anyhow::Result<BenchPlan> {
        let schedule = &args.schedule;
        let mut plan = BenchPlan {
            scenarios: Vec::new(),
            requests: schedule.requests,
            rounds: schedule.rounds,
            warm_up: schedule.warm_up,
            unique: args.unique,
            options: CallOptions {
                timeout: schedule.timeout,
                attempts: schedule.max_attempts,
                cache: args.cache,
            },
            max_tokens: args.max_tokens,
            prices: prices::read("--prices", args.money.prices.as_deref())?,
        };
        let (prompts, loads) = (prompts(args)?, loads(args));
        for model in &args.model {
            let fields = fields(args, model)?;
            for prompt in &prompts {
                for via in &args.via {
                    let scenario = plan.scenario(registry, *via, &fields, prompt)?;
                    if scenario.dearest.is_none() && args.money.budget.limit().is_some() {
                        bail!(
                            "no price is known for {}: give one with --prices, or --budget none",
                            scenario.model
                        );
                    }
                    let each =
                        loads.iter().map(|load| Scenario { load: *load, ..scenario.clone() });
                    plan.scenarios.extend(each);
                }
            }
        }
        Ok(plan)
    }

    fn scenario(
        &self,
        registry: &Registry,
        via: Via,
        fields: &Map<String, Value>,
        prompt: &PromptSet,
    ) -> anyhow::Result<Scenario> {
        let planned = target::plan(registry, fields.clone(), prompt.prompt(0, None))
            .map_err(|error| anyhow!("{}", error.public_message()))?;
        // A token is at least a byte.
        let fields_bytes = Value::Object(fields.clone()).to_string().len();
        let longest = prompt.longest() + fields_bytes + TEMPLATE_TOKENS;
        let usage = Usage {
            prompt_tokens: Some(longest as u64),
            completion_tokens: Some(self.max_tokens.into()),
            ..Usage::default()
        };
        Ok(Scenario {
            via,
            dearest: self
                .prices
                .cost(&planned.model, &planned.tier, &usage)
                .filter(|priced| !priced.is_fallback)
                .map(|priced| priced.cost),
            model: planned.model,
            tier: planned.tier,
            prompt: prompt.clone(),
            load: Load::Concurrency(1),
            fields: fields.clone(),
            config: node::proto_struct("config", fields.clone())?,
        })
    }

    /// Returns the most that a request can cost, all attempts included.
    pub(super) fn dearest(&self, scenario: usize) -> Nanodollars {
        let attempts = i64::from(self.options.attempts);
        self.scenarios[scenario].dearest.unwrap_or(0).saturating_mul(attempts)
    }

    /// Returns the number of measured requests.
    pub(super) fn total(&self) -> u64 {
        self.scenarios.len() as u64 * u64::from(self.rounds) * u64::from(self.requests)
    }

    /// Returns true if any scenario goes this way.
    pub(super) fn goes(&self, via: Via) -> bool {
        self.scenarios.iter().any(|scenario| scenario.via == via)
    }
}

impl Scenario {
    /// Returns the model without the path that all of a provider's models share.
    pub(super) fn short_model(&self) -> &str {
        self.model.rsplit('/').next().unwrap_or(&self.model)
    }

    /// Returns the name in reports.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.name_without_load(), self.load)
    }

    /// Returns the name that scenarios share which differ in their load only.
    pub(super) fn name_without_load(&self) -> String {
        format!("{} {} {}", self.via.as_str(), self.short_model(), self.prompt.name)
    }
}

fn fields(args: &BenchArgs, model: &str) -> anyhow::Result<Map<String, Value>> {
    let mut fields: Map<String, Value> = match &args.config {
        Some(text) => serde_json::from_str(text)
            .context("--config is not a JSON object, such as '{\"temperature\": 0.2}'")?,
        None => Map::new(),
    };
    for (field, instead) in OWN_FIELDS {
        if fields.contains_key(field) {
            bail!("--config sets {field}: {instead}");
        }
    }
    fields.insert("modelName".to_owned(), model.into());
    fields.insert("maxTokens".to_owned(), args.max_tokens.into());
    Ok(fields)
}

fn prompts(args: &BenchArgs) -> anyhow::Result<Vec<PromptSet>> {
    match &args.prompts_file {
        Some(path) => Ok(vec![PromptSet::read(path)?]),
        None => Ok(args.prompt.iter().copied().map(PromptSet::from).collect()),
    }
}

fn loads(args: &BenchArgs) -> Vec<Load> {
    if args.schedule.rate.is_empty() {
        args.schedule.concurrency.iter().copied().map(Load::Concurrency).collect()
    } else {
        args.schedule.rate.iter().copied().map(Load::Rate).collect()
    }
}
