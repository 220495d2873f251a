//! The report as JSON: the settings, the figures of each scenario, and every request.
//! Times are in milliseconds, money in nano-dollars.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{super::distribution::Distribution, Report, Summary};
use crate::cli::bench::{load::Load, plan::Scenario, sample::Sample};

/// Increased when a field changes its name or meaning.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    sparkler: &'static str,
    started_at: String,
    end: &'static str,
    settings: SettingsJson<'a>,
    spent_nanodollars: i64,
    /// The most that requests of unknown cost, or cut off, can have cost besides.
    unknown_at_most_nanodollars: i64,
    scenarios: Vec<ScenarioJson<'a>>,
}

#[derive(Serialize)]
struct SettingsJson<'a> {
    requests: u32,
    rounds: u32,
    warm_up: u32,
    unique: bool,
    worker_cache: bool,
    max_tokens: u32,
    attempts: u32,
    timeout_ms: f64,
    budget_nanodollars: Option<i64>,
    price_date: &'a str,
}

#[derive(Serialize)]
struct ScenarioJson<'a> {
    via: &'static str,
    model: &'a str,
    prompt: &'a str,
    #[serde(flatten)]
    load: LoadJson,
    requests: usize,
    answers: usize,
    errors: &'a BTreeMap<String, u64>,
    retries: u64,
    reused: u64,
    first_token_ms: DistributionJson,
    latency_ms: DistributionJson,
    tokens_per_second: DistributionJson,
    first_token_ms_p50_by_round: Vec<f64>,
    answers_per_second: Option<f64>,
    total_tokens_per_second: Option<f64>,
    prompt_tokens: u64,
    cached_tokens: u64,
    cached_share: Option<f64>,
    completion_tokens: u64,
    reasoning_tokens: u64,
    cost_nanodollars: Option<i64>,
    samples: Vec<SampleJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum LoadJson {
    Concurrency(u32),
    RatePerSecond(f64),
}

#[derive(Serialize)]
struct DistributionJson {
    count: usize,
    mean: Option<f64>,
    min: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

#[derive(Serialize)]
struct SampleJson<'a> {
    round: u32,
    start_ms: f64,
    latency_ms: f64,
    first_token_ms: Option<f64>,
    tokens_per_second: Option<f64>,
    prompt_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    attempts: u32,
    reused: bool,
    cost_nanodollars: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

pub(super) fn text(report: &Report<'_>) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(&Document::from(report))?)
}

impl<'a> From<&'a Report<'a>> for Document<'a> {
    fn from(report: &'a Report<'a>) -> Document<'a> {
        let measurements = report.measurements;
        let known = measurements.samples.iter().filter_map(|sample| sample.cost).sum();
        let budget = &measurements.budget;
        let scenarios = report.plan.scenarios.iter().zip(&report.summaries).enumerate();
        Document {
            version: VERSION,
            sparkler: env!("CARGO_PKG_VERSION"),
            started_at: humantime::format_rfc3339_seconds(measurements.started_at).to_string(),
            end: measurements.end.as_str(),
            settings: settings(report),
            spent_nanodollars: known,
            unknown_at_most_nanodollars: budget.spent() + budget.reserved() - known,
            scenarios: scenarios
                .map(|(index, (scenario, summary))| {
                    let own = measurements.samples.iter().filter(|each| each.scenario == index);
                    scenario_json(scenario, summary, own.map(SampleJson::from).collect())
                })
                .collect(),
        }
    }
}

fn settings<'a>(report: &'a Report<'_>) -> SettingsJson<'a> {
    let plan = report.plan;
    SettingsJson {
        requests: plan.requests,
        rounds: plan.rounds,
        warm_up: plan.warm_up,
        unique: plan.unique,
        worker_cache: plan.options.cache,
        max_tokens: plan.max_tokens,
        attempts: plan.options.attempts,
        timeout_ms: millis(plan.options.timeout),
        budget_nanodollars: report.measurements.budget.limit(),
        price_date: plan.prices.date(),
    }
}

fn scenario_json<'a>(
    scenario: &'a Scenario,
    summary: &'a Summary,
    samples: Vec<SampleJson<'a>>,
) -> ScenarioJson<'a> {
    ScenarioJson {
        via: scenario.via.as_str(),
        model: &scenario.model,
        prompt: &scenario.prompt.name,
        load: scenario.load.into(),
        requests: summary.requests,
        answers: summary.latency.len(),
        errors: &summary.errors,
        retries: summary.retries,
        reused: summary.reused,
        first_token_ms: DistributionJson::new(&summary.first_token, 1000.0),
        latency_ms: DistributionJson::new(&summary.latency, 1000.0),
        tokens_per_second: DistributionJson::new(&summary.tokens_per_second, 1.0),
        first_token_ms_p50_by_round: summary.round_medians.iter().map(|s| s * 1000.0).collect(),
        answers_per_second: summary.requests_per_second,
        total_tokens_per_second: summary.total_tokens_per_second,
        prompt_tokens: summary.prompt_tokens,
        cached_tokens: summary.cached_tokens,
        cached_share: summary.cached_share(),
        completion_tokens: summary.completion_tokens,
        reasoning_tokens: summary.reasoning_tokens,
        cost_nanodollars: summary.cost,
        samples,
    }
}

impl From<Load> for LoadJson {
    fn from(load: Load) -> LoadJson {
        match load {
            Load::Concurrency(count) => LoadJson::Concurrency(count),
            Load::Rate(rate) => LoadJson::RatePerSecond(rate),
        }
    }
}

impl DistributionJson {
    fn new(distribution: &Distribution, factor: f64) -> DistributionJson {
        let percentile = |percent| distribution.percentile(percent).map(|value| value * factor);
        DistributionJson {
            count: distribution.len(),
            mean: distribution.mean().map(|value| value * factor),
            min: percentile(0),
            p50: percentile(50),
            p90: percentile(90),
            p95: percentile(95),
            p99: percentile(99),
            max: percentile(100),
        }
    }
}

impl<'a> From<&'a Sample> for SampleJson<'a> {
    fn from(sample: &'a Sample) -> SampleJson<'a> {
        let usage = sample.usage.unwrap_or_default();
        SampleJson {
            round: sample.round,
            start_ms: millis(sample.start),
            latency_ms: millis(sample.latency),
            first_token_ms: sample.first_token.map(millis),
            tokens_per_second: sample.tokens_per_second(),
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
            attempts: sample.attempts,
            reused: sample.is_reused,
            cost_nanodollars: sample.cost,
            error: sample.failure.as_deref(),
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
