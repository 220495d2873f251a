//! The price of a model's tokens, by which the simulator keeps its bill.

/// US dollars per million tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Tokens of the prompt that were not in the prompt cache.
    pub input: f64,
    /// Tokens of the prompt that were.
    pub cached_input: f64,
    /// Tokens of the answer.
    pub output: f64,
}

impl Price {
    /// The price of a model that states none: a cached token costs a tenth.
    pub const PLAIN: Price = Price { input: 1.0, cached_input: 0.1, output: 4.0 };

    /// Returns the dollars for a prompt.
    pub(crate) fn prompt(self, tokens: u32, cached: u32) -> f64 {
        let cached = cached.min(tokens);
        (f64::from(tokens - cached) * self.input + f64::from(cached) * self.cached_input) / 1e6
    }

    /// Returns the dollars for tokens of an answer.
    pub(crate) fn answer(self, tokens: u32) -> f64 {
        f64::from(tokens) * self.output / 1e6
    }
}
