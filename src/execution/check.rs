//! CheckNode: is this node ready to run? Spends no tokens, and never guesses.

use std::time::Duration;

use super::{Executor, order::Check};
use crate::{
    credentials::ApiKey,
    error::{Error, Violation},
    fireworks::{Conclusion, Verdict},
};

/// What was found out about a node.
#[derive(Debug)]
pub struct Findings {
    /// What is wrong with its fields.
    pub violations: Vec<Violation>,
    /// Whether the credential is accepted.
    pub credential: Verdict,
    /// Whether the credential can use the model.
    pub model: Verdict,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The node's fields.
    Config,
    /// Whether the credential is accepted.
    Credential,
    /// Whether the credential can use the model.
    Model,
}

impl Question {
    /// The subject as the API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Question::Config => "config",
            Question::Credential => "credential",
            Question::Model => "model",
        }
    }
}

/// A provider that has not answered by then is not asked any longer.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

impl Executor {
    /// Checks a node.
    pub async fn check(&self, check: Check) -> Result<Findings, Error> {
        let node = self.registry.find(&check.node_type)?;
        let checked = match node.check(check.config) {
            Ok(checked) => checked,
            Err(violations) => return Ok(Findings::unasked(violations, "the config is not valid")),
        };
        if check.credential.is_none() && checked.secret_name.is_none() {
            return Ok(Findings::unasked(Vec::new(), "no credential was given"));
        }
        let configured = checked.secret_name.as_deref();
        match self.credential(check.credential, configured, &check.caller.secrets) {
            Ok(credential) => {
                // A little before the caller's deadline, so that what is known
                // by then still arrives.
                let deadline = check.deadline.map(|deadline| deadline.mul_f64(0.9));
                let limit = deadline.unwrap_or(PROBE_LIMIT).min(PROBE_LIMIT);
                Ok(self.probe(&checked.model, &credential, limit).await)
            }
            Err(Error::InvalidNodeConfig(violations)) => {
                Ok(Findings::unasked(violations, "the credential cannot be read"))
            }
            Err(error) => Err(error),
        }
    }

    async fn probe(&self, model: &str, credential: &ApiKey, limit: Duration) -> Findings {
        let probe = self.fireworks.probe(model, credential, limit).await;
        if probe.model.answer == Conclusion::Yes {
            let payer = self.cache_secret.fingerprint(credential);
            self.cooldowns.forget(payer.as_bytes(), model);
        }
        Findings { violations: Vec::new(), credential: probe.credential, model: probe.model }
    }
}

impl Findings {
    fn unasked(violations: Vec<Violation>, why: &str) -> Findings {
        let unknown = || Verdict {
            answer: Conclusion::Unknown,
            basis: format!("the provider was not asked: {why}"),
            reason: None,
        };
        Findings { violations, credential: unknown(), model: unknown() }
    }
}
