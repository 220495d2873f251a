//! The service tier that a request asks for, which sets its price.

use std::sync::Arc;

/// A service tier: the standard one, or another by the provider's word. The set of
/// words is open.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The tier of a request that names none.
    #[default]
    Standard,
    /// Another tier.
    Named(Arc<str>),
}

impl Tier {
    /// The words that Fireworks is known to take.
    pub const KNOWN: [&str; 5] = ["auto", "default", "flex", "priority", "spot"];

    /// The tier that is served first.
    pub const PRIORITY: &str = "priority";

    /// Returns the tier for the provider's word.
    pub fn named(word: &str) -> Tier {
        match word {
            "" | "auto" | "default" => Tier::Standard,
            word => Tier::Named(word.into()),
        }
    }

    /// Returns the word; `default` for the standard tier.
    pub fn as_str(&self) -> &str {
        match self {
            Tier::Standard => "default",
            Tier::Named(word) => word,
        }
    }

    /// Returns true if the provider is known to take the word.
    pub fn is_known(&self) -> bool {
        Tier::KNOWN.contains(&self.as_str())
    }

    /// Returns the word for telemetry, which repeats no caller's text: `unknown` unless
    /// the provider is known to take it.
    pub(crate) fn label(&self) -> &'static str {
        let known = Tier::KNOWN.into_iter().find(|known| *known == self.as_str());
        known.unwrap_or("unknown")
    }
}
