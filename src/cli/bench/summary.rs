//! The figures of one scenario. Failed requests count as errors and in no time; the
//! warm-up counts nowhere.

use std::collections::BTreeMap;

use super::{distribution::Distribution, plan::BenchPlan, sample::Sample};
use crate::{event::Usage, price::Nanodollars};

/// The figures of one scenario; times are in seconds.
#[derive(Debug, Default)]
pub(super) struct Summary {
    /// Requests that ended, the failed ones included.
    pub(super) requests: usize,
    /// Failed requests by reason.
    pub(super) errors: BTreeMap<String, u64>,
    /// Attempts beyond the first of a request.
    pub(super) retries: u64,
    /// Requests that a worker answered from its cache, or joined to another.
    pub(super) reused: u64,
    pub(super) first_token: Distribution,
    /// The tokens a second of each answer after its first token.
    pub(super) tokens_per_second: Distribution,
    pub(super) latency: Distribution,
    /// The median time to first token of each round.
    pub(super) round_medians: Vec<f64>,
    /// Answers a second, of all requests together.
    pub(super) requests_per_second: Option<f64>,
    /// Tokens a second, of all answers together.
    pub(super) total_tokens_per_second: Option<f64>,
    pub(super) prompt_tokens: u64,
    pub(super) cached_tokens: u64,
    pub(super) completion_tokens: u64,
    pub(super) reasoning_tokens: u64,
    /// The cost of all; `None` if that of an answer is unknown.
    pub(super) cost: Option<Nanodollars>,
}

impl Summary {
    /// Summarises every scenario of a plan.
    pub(super) fn all(plan: &BenchPlan, samples: &[Sample]) -> Vec<Summary> {
        let of = |index| samples.iter().filter(move |sample| sample.scenario == index);
        (0..plan.scenarios.len())
            .map(|index| {
                Summary::new(&of(index).filter(|sample| sample.round > 0).collect::<Vec<_>>())
            })
            .collect()
    }

    fn new(samples: &[&Sample]) -> Summary {
        let answers: Vec<&Sample> =
            samples.iter().copied().filter(|sample| sample.failure.is_none()).collect();
        let seconds = busy_seconds(samples);
        let usages = || answers.iter().filter_map(|sample| sample.usage);
        let sum =
            |count: fn(&Usage) -> Option<u64>| usages().filter_map(|usage| count(&usage)).sum();
        let completion_tokens: u64 = sum(|usage| usage.completion_tokens);
        #[expect(clippy::cast_precision_loss, reason = "no benchmark reaches 2^53 of anything")]
        let per_second = |count: u64| seconds.map(|seconds| count as f64 / seconds);
        Summary {
            requests: samples.len(),
            errors: errors(samples),
            retries: samples
                .iter()
                .map(|sample| u64::from(sample.attempts.saturating_sub(1)))
                .sum(),
            reused: answers.iter().filter(|sample| sample.is_reused).count() as u64,
            first_token: first_token(&answers),
            tokens_per_second: answers.iter().filter_map(|each| each.tokens_per_second()).collect(),
            latency: answers.iter().map(|sample| sample.latency.as_secs_f64()).collect(),
            round_medians: round_medians(&answers),
            requests_per_second: per_second(answers.len() as u64),
            total_tokens_per_second: per_second(completion_tokens),
            prompt_tokens: sum(|usage| usage.prompt_tokens),
            cached_tokens: sum(|usage| usage.cached_tokens),
            completion_tokens,
            reasoning_tokens: sum(|usage| usage.reasoning_tokens),
            cost: samples.iter().map(|sample| sample.cost).sum(),
        }
    }

    /// Returns the number of failed requests.
    pub(super) fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Returns the share of the prompts that the provider's prompt cache held.
    pub(super) fn cached_share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no benchmark has 2^53 tokens")]
        (self.prompt_tokens > 0).then(|| self.cached_tokens as f64 / self.prompt_tokens as f64)
    }
}

fn first_token(answers: &[&Sample]) -> Distribution {
    answers.iter().filter_map(|sample| Some(sample.first_token?.as_secs_f64())).collect()
}

fn errors(samples: &[&Sample]) -> BTreeMap<String, u64> {
    let mut errors = BTreeMap::new();
    for reason in samples.iter().filter_map(|sample| sample.failure.as_ref()) {
        *errors.entry(reason.clone()).or_default() += 1;
    }
    errors
}

fn round_medians(answers: &[&Sample]) -> Vec<f64> {
    by_round(answers)
        .into_values()
        .filter_map(|answers| first_token(&answers).percentile(50))
        .collect()
}

fn by_round<'a>(samples: &[&'a Sample]) -> BTreeMap<u32, Vec<&'a Sample>> {
    let mut rounds: BTreeMap<u32, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        rounds.entry(sample.round).or_default().push(sample);
    }
    rounds
}

/// Returns the time in which the scenario had its requests in flight: each round from
/// its first start to its last end.
fn busy_seconds(samples: &[&Sample]) -> Option<f64> {
    let round = |samples: Vec<&Sample>| {
        let start = samples.iter().map(|sample| sample.start).min()?;
        let end = samples.iter().map(|sample| sample.start + sample.latency).max()?;
        Some(end.saturating_sub(start).as_secs_f64())
    };
    let total: f64 = by_round(samples).into_values().filter_map(round).sum();
    (total > 0.0).then_some(total)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::sample::tests::sample, *};

    fn summary(samples: &[Sample]) -> Summary {
        Summary::new(&samples.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_failed_request_is_an_error_and_has_no_time() {
        let failed = Sample {
            failure: Some("PROVIDER_RATE_LIMITED".to_owned()),
            usage: None,
            cost: Some(0),
            latency: Duration::from_secs(60),
            ..sample(0, 0)
        };
        let summary = summary(&[sample(11, 1000), failed]);
        assert_eq!((summary.requests, summary.failed(), summary.latency.len()), (2, 1, 1));
        assert_eq!(summary.latency.percentile(100), Some(1.1));
        assert_eq!((summary.completion_tokens, summary.cost), (11, Some(7)));
    }

    #[test]
    fn throughput_counts_the_time_of_each_round() {
        let at =
            |round, start| Sample { round, start: Duration::from_millis(start), ..sample(11, 900) };
        // Two at once, a pause, and two more at once: four answers in two seconds.
        let summary = summary(&[at(1, 0), at(1, 0), at(2, 9000), at(2, 9000)]);
        assert_eq!(summary.requests_per_second, Some(2.0));
        assert_eq!(summary.total_tokens_per_second, Some(22.0));
        assert_eq!(summary.round_medians, [0.1, 0.1]);
    }

    #[test]
    fn a_cost_that_is_unknown_is_not_a_sum_of_the_others() {
        let unknown = Sample { cost: None, ..sample(1, 0) };
        assert_eq!(summary(&[sample(1, 0), unknown]).cost, None);
        assert_eq!(summary(&[sample(1, 0), sample(1, 0)]).cost, Some(14));
    }

    #[test]
    fn nothing_measured_has_no_figures() {
        let summary = summary(&[]);
        assert_eq!((summary.requests_per_second, summary.cached_share()), (None, None));
    }
}
