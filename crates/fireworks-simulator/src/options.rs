//! The options of a simulator: plain values with defaults, nothing to validate.

use std::{collections::HashMap, time::Duration};

use crate::{keys::Keys, model::Model, script::rule::Rule};

/// The options of a simulator. `Options::default()` is fast but visibly
/// streams; [`Options::instant`] is for tests.
#[derive(Debug, Clone)]
pub struct Options {
    /// The keys to accept.
    pub keys: Keys,
    /// The available models; any other name gets a 404.
    pub models: Vec<Model>,
    /// The speed of answers.
    pub pace: Pace,
    /// The speed of single models, by name, where it differs.
    pub paces: HashMap<String, Pace>,
    /// The approximate length of a free text in tokens; it ends with a sentence.
    pub answer_tokens: u32,
    /// Maximum tokens of one delta; the real service sends 1 to 12.
    pub delta_tokens: u32,
    /// The default of `max_tokens`.
    pub default_max_tokens: u32,
    /// The largest `max_tokens` that is answered without `stream: true`.
    pub unstreamed_max_tokens: u32,
    /// Faults armed at the start, and again after a reset.
    pub rules: Vec<Rule>,
    /// The number of recent requests that the report keeps.
    pub kept_requests: usize,
    /// Maximum concurrent HTTP/2 streams of one connection.
    pub http2_streams: u32,
    /// The replicas that serve each model, each with a prompt cache of its own.
    pub replicas: usize,
    /// Maximum blocks of 16 tokens in the prompt cache of a replica.
    pub replica_blocks: usize,
}

impl Options {
    /// Returns the pace of a model.
    pub(crate) fn pace_of(&self, model: &str) -> Pace {
        self.paces.get(model).copied().unwrap_or(self.pace)
    }

    /// Returns options without any delay.
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
            paces: HashMap::new(),
            answer_tokens: 60,
            delta_tokens: 4,
            default_max_tokens: 2048,
            unstreamed_max_tokens: 4096,
            rules: Vec::new(),
            kept_requests: 64,
            http2_streams: 1000,
            replicas: 1,
            replica_blocks: 65_536,
        }
    }
}

/// The speed of answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The time from the request to the response head, which comes with the
    /// first token.
    pub first_token: Duration,
    /// Tokens per second after that, per choice; infinite for no delay.
    pub tokens_per_second: f64,
}

impl Pace {
    /// No delay.
    pub const INSTANT: Pace =
        Pace { first_token: Duration::ZERO, tokens_per_second: f64::INFINITY };

    /// Returns the time that `count` tokens take.
    pub(crate) fn tokens(self, count: u32) -> Duration {
        let seconds = f64::from(count) / self.tokens_per_second;
        // A pace of zero or less, or not a number, means no delay.
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

impl Default for Pace {
    fn default() -> Pace {
        Pace { first_token: Duration::from_millis(120), tokens_per_second: 160.0 }
    }
}
