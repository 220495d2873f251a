//! The API keys that the simulator accepts.

use std::fmt;

use crate::refusal::Refusal;

/// Always refused with 401, as an unknown key.
pub const UNKNOWN_KEY: &str = "fw_unknown";
/// Always refused with 402, as an account without a plan.
pub const UNPAID_KEY: &str = "fw_unpaid";
/// Always refused with 403, as a key without the scope.
pub const FORBIDDEN_KEY: &str = "fw_forbidden";
/// Always refused with 412, as a suspended account.
pub const SUSPENDED_KEY: &str = "fw_suspended";

/// The API keys to accept. The four constants beside this type are refused regardless.
#[derive(Clone, Default)]
pub enum Keys {
    /// Any key of the right form: `fw_…`, or `fpk_…` (which may not list models).
    #[default]
    Shaped,
    /// These keys only.
    Only(Vec<String>),
}

impl Keys {
    /// Accepts the key, or refuses it as the real gateway does.
    pub(crate) fn admit(&self, key: Option<&str>) -> Result<(), Refusal> {
        let Some(key) = key else {
            return Err(Refusal::unauthorized("No API key was provided."));
        };
        match key {
            UNPAID_KEY => Err(Refusal::payment_required()),
            FORBIDDEN_KEY => Err(Refusal::forbidden(
                "The API key does not have the scope that this request needs.",
            )),
            SUSPENDED_KEY => Err(Refusal::suspended()),
            UNKNOWN_KEY => Err(Refusal::unauthorized("The API key you provided is invalid.")),
            key if self.knows(key) => Ok(()),
            _ => Err(Refusal::unauthorized("The API key you provided is invalid.")),
        }
    }

    fn knows(&self, key: &str) -> bool {
        match self {
            Keys::Shaped => key.starts_with("fw_") || is_fire_pass(key),
            Keys::Only(keys) => keys.iter().any(|known| known == key),
        }
    }
}

/// Returns true for a Fire Pass key, which is valid for generation only.
pub(crate) fn is_fire_pass(key: &str) -> bool {
    key.starts_with("fpk_")
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keys::Shaped => formatter.write_str("Shaped"),
            Keys::Only(keys) => write!(formatter, "Only([REDACTED]; {})", keys.len()),
        }
    }
}
