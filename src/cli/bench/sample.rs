//! One measured request.

use std::time::{Duration, Instant};

use crate::{
    emit::Emit,
    error::Error,
    event::{Delta, Phase, Piece, Usage},
    price::Nanodollars,
};

/// A request that ended, as its caller saw it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample {
    /// The scenario, by its index in the plan.
    pub(super) scenario: usize,
    /// The round, from 1; 0 is the warm-up.
    pub(super) round: u32,
    /// The time at which it was due, since the benchmark began.
    pub(super) start: Duration,
    /// The time to its end.
    pub(super) latency: Duration,
    /// The time to the first piece of content or reasoning.
    pub(super) first_token: Option<Duration>,
    /// The time from the first piece to the last.
    pub(super) streaming: Option<Duration>,
    /// The tokens, if known.
    pub(super) usage: Option<Usage>,
    /// The requests to the provider.
    pub(super) attempts: u32,
    /// True if the worker answered from its cache or joined it to another request.
    pub(super) is_reused: bool,
    /// The cost, if known.
    pub(super) cost: Option<Nanodollars>,
    /// The reason of its failure, if it failed.
    pub(super) failure: Option<String>,
}

impl Sample {
    /// Returns the tokens a second after the first token: `None` for an answer of one
    /// token, or one that came at once.
    pub(super) fn tokens_per_second(&self) -> Option<f64> {
        let after_first =
            self.usage?.completion_tokens?.checked_sub(1).filter(|count| *count > 0)?;
        let seconds = self.streaming.filter(|time| !time.is_zero())?.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "no answer has 2^53 tokens")]
        return Some(after_first as f64 / seconds);
    }
}

/// Notes when output arrives.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stopwatch {
    pub(super) first: Option<Instant>,
    pub(super) last: Option<Instant>,
}

impl Stopwatch {
    /// Records a piece of output that arrives now.
    pub(super) fn output(&mut self) {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
    }
}

impl Emit for Stopwatch {
    fn phase(&mut self, _phase: Phase) {}

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        match delta.piece {
            Piece::Text(text) | Piece::Reasoning(text) if text.is_empty() => {}
            Piece::Text(_) | Piece::Reasoning(_) | Piece::ToolCall(_) => self.output(),
            Piece::Logprobs(_) => {}
        }
        Ok(())
    }

    fn flush(&mut self) {}
}

#[cfg(test)]
pub(super) mod tests {
    use std::borrow::Cow;

    use super::*;

    pub(in crate::cli::bench) fn sample(tokens: u64, streaming: u64) -> Sample {
        let usage =
            Usage { prompt_tokens: Some(10), completion_tokens: Some(tokens), ..Usage::default() };
        Sample {
            scenario: 0,
            round: 1,
            start: Duration::ZERO,
            latency: Duration::from_millis(100 + streaming),
            first_token: Some(Duration::from_millis(100)),
            streaming: Some(Duration::from_millis(streaming)),
            usage: Some(usage),
            attempts: 1,
            is_reused: false,
            cost: Some(7),
            failure: None,
        }
    }

    #[test]
    fn the_first_token_is_not_counted_in_the_rate() {
        assert_eq!(sample(11, 2000).tokens_per_second(), Some(5.0));
        assert_eq!(sample(1, 2000).tokens_per_second(), None);
        assert_eq!(sample(0, 2000).tokens_per_second(), None);
        assert_eq!(sample(11, 0).tokens_per_second(), None);
    }

    #[test]
    fn only_output_starts_the_clock() {
        let mut watch = Stopwatch::default();
        for piece in [Piece::Text(Cow::Borrowed("")), Piece::Logprobs(Cow::Borrowed("{}"))] {
            watch.delta(Delta { choice: 0, piece }).unwrap();
        }
        assert!(watch.first.is_none());
        watch.delta(Delta { choice: 0, piece: Piece::Reasoning(Cow::Borrowed("so")) }).unwrap();
        assert!(watch.first.is_some() && watch.first == watch.last);
    }
}
