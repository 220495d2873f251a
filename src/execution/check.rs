//! CheckNode: validates a node and its credential. Spends no tokens, and never
//! guesses.

use std::{
    mem,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, timeout};
use url::Url;

use crate::execution::{
    Services,
    credential::credential,
    observe::spans::{self, PROVIDER},
    request::Check,
};
use crate::{
    credentials::ApiKey,
    error::{Error, MAX_LOGGED_BYTES, Violation, shorten},
    fireworks::{Conclusion, ModelRecord, Probe, ProbeVerdict},
    node::Checked,
    telemetry::{
        self, Kind, Span,
        names::{otel, span, sparkler},
    },
};

/// The results of a check.
#[derive(Debug)]
pub struct Findings {
    /// Invalid fields.
    pub violations: Vec<Violation>,
    /// Acceptance of the credential.
    pub credential: ProbeVerdict,
    /// Access of the credential to the model.
    pub model: ProbeVerdict,
    /// True if the provider is not known to take the service tier.
    pub odd_tier: bool,
}

/// The subject of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// The node's fields.
    Config,
    /// Acceptance of the credential.
    Credential,
    /// Access of the credential to the model.
    Model,
}

impl Question {
    /// Returns the subject's name in the API.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Question::Config => "config",
            Question::Credential => "credential",
            Question::Model => "model",
        }
    }
}

/// The reasons of a model that the provider does not serve.
const NOT_FOUND: &str = "MODEL_NOT_FOUND";
const RETIRED: &str = "MODEL_RETIRED";

/// Longest time a check waits for the provider.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

impl Findings {
    /// Checks a node's fields, and its credential if there is one.
    pub(super) async fn of(services: &Services, mut check: Check) -> Result<Findings, Error> {
        let node = services.registry.find(&check.node_type)?;
        let checked = match node.check(mem::take(&mut check.config)) {
            Ok(checked) => checked,
            Err(violations) => return Ok(Findings::unasked(violations, "the config is not valid")),
        };
        let findings = Findings::of_credential(services, check, &checked).await?;
        Ok(Findings { odd_tier: !checked.tier.is_known(), ..findings })
    }

    /// Checks what the credential can do with the model of a valid node.
    async fn of_credential(
        services: &Services,
        check: Check,
        checked: &Checked,
    ) -> Result<Findings, Error> {
        let Check { credential: given, caller, deadline, .. } = check;
        if given.is_none() && checked.secret_name.is_none() {
            return Ok(Findings::unasked(Vec::new(), "no credential was given"));
        }
        let configured = checked.secret_name.as_deref();
        match credential(&services.secrets, given, configured, &caller.secrets) {
            Ok(credential) => {
                // A little before the caller's deadline, so that the findings known
                // by then still arrive.
                let deadline = deadline.map(|deadline| deadline.mul_f64(0.9));
                let limit = deadline.unwrap_or(PROBE_LIMIT).min(PROBE_LIMIT);
                Ok(Findings::of_model(services, &checked.model, &credential, limit).await)
            }
            Err(Error::InvalidNodeConfig(violations)) => {
                Ok(Findings::unasked(violations, "the credential cannot be read"))
            }
            Err(error) => Err(error),
        }
    }

    async fn of_model(
        services: &Services,
        model: &str,
        credential: &ApiKey,
        limit: Duration,
    ) -> Findings {
        let span = probe_span(services.fireworks.base_url(), model);
        let began = Instant::now();
        let probe = services.fireworks.probe(model, credential, limit).await;
        log(&probe, &span);
        let Probe { findings, .. } = probe;
        if findings.model.answer == Conclusion::Yes {
            let payer = services.cache_secret.fingerprint(credential);
            services.cooldowns.forget(payer.as_bytes(), model);
        }
        let left = limit.saturating_sub(began.elapsed());
        let model = with_end(services, findings.model, model, credential, left).await;
        Findings { violations: Vec::new(), credential: findings.credential, model, odd_tier: false }
    }

    fn unasked(violations: Vec<Violation>, why: &str) -> Findings {
        let unknown = || ProbeVerdict {
            answer: Conclusion::Unknown,
            basis: format!("the provider was not asked: {why}"),
            reason: None,
        };
        Findings { violations, credential: unknown(), model: unknown(), odd_tier: false }
    }
}

/// Adds what the provider's record says about the end of the model. Without an
/// answer in time the verdict stays as it is.
async fn with_end(
    services: &Services,
    verdict: ProbeVerdict,
    model: &str,
    credential: &ApiKey,
    limit: Duration,
) -> ProbeVerdict {
    let is_asked = verdict.answer == Conclusion::Yes || verdict.reason == Some(NOT_FOUND);
    if !is_asked {
        return verdict;
    }
    match timeout(limit, services.models.record(model, credential)).await {
        Ok(Ok(Some(record))) => end_of(&record, verdict),
        Ok(Ok(None) | Err(_)) | Err(_) => verdict,
    }
}

/// Returns the probe's span. It has no GenAI attributes of a model call, since
/// it generates nothing.
fn probe_span(base_url: &Url, model: &str) -> Span {
    let span = telemetry::current().child(Kind::Client, span::PROBE);
    span.record(|span| {
        span.set(otel::PROVIDER, PROVIDER);
        span.set_text(sparkler::MODEL, &shorten(model, MAX_LOGGED_BYTES));
        spans::server(base_url, span);
    });
    span
}

/// Adds the end of a model to the verdict on it.
fn end_of(record: &ModelRecord, verdict: ProbeVerdict) -> ProbeVerdict {
    let Some(end) = record.end else { return verdict };
    let successor = record.succession();
    let basis = verdict.basis;
    match verdict.answer {
        Conclusion::No if record.ended(SystemTime::now()).is_some() => ProbeVerdict {
            basis: format!("{basis}; by the provider's record it ended on {end}{successor}"),
            reason: Some(RETIRED),
            ..verdict
        },
        _ => ProbeVerdict {
            basis: format!("{basis}; by the provider's record it ends on {end}{successor}"),
            ..verdict
        },
    }
}

/// Records the findings. A refusal is an answer; only a missing response fails the
/// span.
fn log(probe: &Probe, span: &Span) {
    let Probe { http_status, findings } = probe;
    span.record(|span| {
        span.set_some(otel::HTTP_STATUS, http_status.map(i64::from));
        span.set(sparkler::CHECK_CREDENTIAL, findings.credential.answer.as_str());
        span.set(sparkler::CHECK_MODEL, findings.model.answer.as_str());
    });
    match http_status {
        Some(_) => span.end(),
        None => span.fail("PROVIDER_UNAVAILABLE"),
    }
}
