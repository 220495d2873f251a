//! How a simulator is set up: plain values with defaults, nothing to validate.

use std::time::Duration;

use crate::{answer::model::Model, gate::keys::Keys, script::rule::Rule};

/// The set-up of a simulator. `Options::default()` is quick but visible;
/// [`Options::instant`] is for tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which keys are let in.
    pub keys: Keys,
    /// The models there are; any other name answers 404.
    pub models: Vec<Model>,
    /// How fast answers come.
    pub pace: Pace,
    /// About how many tokens a free text has; it ends with a sentence.
    pub answer_tokens: u32,
    /// The most tokens that one delta carries; the real service sends 1 to 12.
    pub delta_tokens: u32,
    /// `max_tokens` where the request names none.
    pub default_max_tokens: u32,
    /// The largest `max_tokens` that is answered without `stream: true`.
    pub unstreamed_max_tokens: u32,
    /// Faults armed from the start, and again after a reset.
    pub rules: Vec<Rule>,
    /// How many of the last requests the report keeps.
    pub kept_requests: usize,
    /// HTTP/2 streams that one connection may have open.
    pub http2_streams: u32,
}

impl Options {
    /// No waiting anywhere.
    pub fn instant() -> Options {
        Options { pace: Pace::INSTANT, ..Options::default() }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            keys: Keys::Shaped,
            models: Model::catalogue(),
            pace: Pace::default(),
            answer_tokens: 60,
            delta_tokens: 4,
            default_max_tokens: 2048,
            unstreamed_max_tokens: 4096,
            rules: Vec::new(),
            kept_requests: 64,
            http2_streams: 1000,
        }
    }
}

/// How fast answers come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// From the request to the response head, which comes with the first token.
    pub first_token: Duration,
    /// Tokens a second after that, per choice; infinite for no waiting.
    pub tokens_per_second: f64,
}

impl Pace {
    /// No waiting.
    pub const INSTANT: Pace =
        Pace { first_token: Duration::ZERO, tokens_per_second: f64::INFINITY };

    /// How long that many tokens take.
    pub(crate) fn tokens(self, count: u32) -> Duration {
        let seconds = f64::from(count) / self.tokens_per_second;
        // A pace of zero or less, or not a number, means: do not wait.
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { first_token: Duration::from_millis(120), tokens_per_second: 160.0 }
    }
}
