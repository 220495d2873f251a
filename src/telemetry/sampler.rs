//! Trace sampling: the operator's ratio for traces that begin here, and a cap on
//! those that callers have sampled.

use opentelemetry_sdk::trace::{Sampler, ShouldSample};

use super::settings::Sampling;

/// Builds the sampler. It decides by trace id, so workers with equal ratios decide
/// alike.
pub(super) fn sampler(sampling: Sampling) -> Box<dyn ShouldSample> {
    let root = share(sampling.ratio);
    if !sampling.parent_based {
        return Box::new(root);
    }
    let capped = share(sampling.remote_ratio);
    Box::new(Sampler::parent_based(root).with_remote_parent_sampled(capped))
}

fn share(ratio: f64) -> Sampler {
    if ratio >= 1.0 {
        Sampler::AlwaysOn
    } else if ratio <= 0.0 {
        Sampler::AlwaysOff
    } else {
        Sampler::TraceIdRatioBased(ratio)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        Context,
        trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState},
    };
    use opentelemetry_sdk::trace::SamplingDecision;

    use super::*;

    const COUNT: u128 = 2000;

    /// Counts the sampled traces of many, given a kind of parent.
    fn sampled(sampling: Sampling, parent: Option<(TraceFlags, bool)>) -> u128 {
        let sampler = sampler(sampling);
        let is_sampled = |number: u128| {
            let trace =
                TraceId::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_0c81_c1a5_7a3b));
            let context = parent.map(|(flags, remote)| {
                let state = TraceState::default();
                let parent = SpanContext::new(trace, SpanId::from(1), flags, remote, state);
                Context::new().with_remote_span_context(parent)
            });
            let kind = SpanKind::Server;
            let result = sampler.should_sample(context.as_ref(), trace, "", &kind, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        };
        (1..=COUNT).filter(|number| is_sampled(*number)).count() as u128
    }

    fn about(count: u128, share: f64) -> bool {
        (count as f64 / COUNT as f64 - share).abs() < 0.04
    }

    #[test]
    fn callers_decide_up_to_the_cap() {
        let sampling = Sampling { ratio: 0.5, parent_based: true, remote_ratio: 0.1 };
        let (on, off) = (TraceFlags::SAMPLED, TraceFlags::default());
        assert!(about(sampled(sampling, None), 0.5), "those that begin here");
        assert!(about(sampled(sampling, Some((on, true))), 0.1), "a caller's, capped");
        assert_eq!(sampled(sampling, Some((off, true))), 0, "a caller's no is a no");
        assert_eq!(sampled(sampling, Some((on, false))), COUNT, "spans below a recorded one");
    }

    #[test]
    fn without_parents_the_share_counts_for_everything() {
        let sampling = Sampling { ratio: 0.25, parent_based: false, remote_ratio: 1.0 };
        for parent in [None, Some((TraceFlags::SAMPLED, true)), Some((TraceFlags::default(), true))]
        {
            assert!(about(sampled(sampling, parent), 0.25));
        }
    }
}
