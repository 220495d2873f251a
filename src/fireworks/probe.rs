//! Determines what a credential can do with a model, without spending a token.
//!
//! The provider has no API for it, and its list of models is known to fail for
//! good keys. So the probe sends a request without messages, which no model can
//! answer; the sender and the form of the refusal show how far it got: the
//! gateway checks the key, looks up the model, then hands over to the model's
//! server, which rejects the empty request. Nothing is concluded beyond that.
//!
//! A gateway that answers on its own may do anything with such a request, even
//! run a model. So if the base URL is not Fireworks' own, the probe first finds
//! out who answers there.

use std::time::Duration;

use serde::Serialize;
use url::Url;

use super::{ClientState, Endpoint, error_body::ErrorBody, exchange, extend};
use crate::credentials::ApiKey;

/// The outcome of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The HTTP status, if a response arrived.
    pub http_status: Option<u16>,
    /// The conclusions drawn from it.
    pub findings: Verdicts,
}

/// The conclusions of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdicts {
    /// Acceptance of the credential.
    pub credential: ProbeVerdict,
    /// Access to the model with the credential.
    pub model: ProbeVerdict,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeVerdict {
    /// The answer.
    pub answer: Conclusion,
    /// The evidence, as a sentence.
    pub basis: String,
    /// The reason, as errors name it, if the answer is not yes and a reason is known.
    pub reason: Option<&'static str>,
}

/// Yes, no or unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conclusion {
    /// Confirmed.
    Yes,
    /// Refuted.
    No,
    /// The response allows no conclusion.
    Unknown,
}

/// A response to the probe, and its sender.
struct ProbeResponse {
    status: u16,
    error_body: ErrorBody,
    /// True if the sender is not recognised.
    is_stranger: bool,
}

/// A request that no model can answer.
#[derive(Serialize)]
struct EmptyRequest<'a> {
    model: &'a str,
    messages: [(); 0],
    max_tokens: u32,
}

pub(super) async fn run(
    client: &ClientState,
    model: &str,
    credential: &ApiKey,
    limit: Duration,
) -> Probe {
    match tokio::time::timeout(limit, ask(client, model, credential)).await {
        Ok(Ok(answered)) => {
            Probe { http_status: Some(answered.status), findings: answered.findings() }
        }
        Ok(Err(failure)) => Probe::unanswered(failure, Some("PROVIDER_UNAVAILABLE")),
        Err(_) => Probe::unanswered("the provider did not answer in time", None),
    }
}

/// Probes in two steps: first finds out who answers, by a request without key
/// and body, for which no server runs a model; then, if the sender speaks like
/// Fireworks, asks about the key and the model.
async fn ask(
    client: &ClientState,
    model: &str,
    credential: &ApiKey,
) -> Result<ProbeResponse, &'static str> {
    let base_url = &client.config.base_url;
    if !is_fireworks(base_url) {
        let url = extend(base_url, &["models"]).map_err(|_| "the base URL cannot be extended")?;
        let stranger = send(client, reqwest::Request::new(http::Method::GET, url)).await?;
        if !(stranger.error_body.is_from_gateway() || stranger.error_body.is_from_model_server()) {
            return Ok(ProbeResponse { is_stranger: true, ..stranger });
        }
    }
    let body = serde_json::to_vec(&EmptyRequest { model, messages: [], max_tokens: 1 })
        .map_err(|_| "the request could not be made")?;
    let url = client.urls.of(Endpoint::ChatCompletions).clone();
    let mut request = reqwest::Request::new(http::Method::POST, url);
    *request.headers_mut() = exchange::json_headers(credential.authorization());
    *request.body_mut() = Some(body.into());
    send(client, request).await
}

async fn send(
    client: &ClientState,
    request: reqwest::Request,
) -> Result<ProbeResponse, &'static str> {
    let response = client.connections.questions().execute(request).await;
    let response = response.map_err(|error| super::transport::describe(&error))?;
    let status = response.status().as_u16();
    // The body of a success is not needed: dropping it stops any generation.
    let body = match status {
        200 => String::new(),
        _ => exchange::read_refusal(response, client.config.max_error_bytes).await,
    };
    Ok(ProbeResponse { status, error_body: ErrorBody::read(&body), is_stranger: false })
}

pub(super) fn is_fireworks(base_url: &Url) -> bool {
    let host = base_url.host_str().unwrap_or("");
    host == "fireworks.ai" || host.ends_with(".fireworks.ai")
}

impl ProbeResponse {
    fn findings(&self) -> Verdicts {
        let ProbeResponse { status, error_body, is_stranger } = self;
        if *is_stranger {
            return Verdicts::unknown(
                format!(
                    "a gateway answers at the base URL, not Fireworks (HTTP {status}), so key and \
                     model were not tried: that could run a model"
                ),
                None,
            );
        }
        judge(*status, error_body)
    }
}

fn judge(status: u16, error_body: &ErrorBody) -> Verdicts {
    match status {
        200 => Verdicts::unknown(
            "a request that no model can answer was answered: nothing follows from it",
            None,
        ),
        401 => Verdicts {
            credential: ProbeVerdict::no(
                "the provider answered 401: it does not accept the key",
                "CREDENTIAL_REJECTED",
            ),
            model: ProbeVerdict::unknown(
                "the key was refused before the model was looked for",
                None,
            ),
        },
        402 => paid_for_elsewhere(402, "BILLING_REQUIRED"),
        412 => paid_for_elsewhere(412, "ACCOUNT_SUSPENDED"),
        403 => forbidden(error_body),
        404 if error_body.is_from_gateway() => Verdicts {
            credential: ProbeVerdict::yes(
                "the provider answered 404 for the model, which it looks for after the key",
            ),
            model: ProbeVerdict::no(
                "the provider answered 404: the model is missing, not deployed, or out of reach for \
                 this key",
                "MODEL_NOT_FOUND",
            ),
        },
        404 => Verdicts::unknown(
            "the 404 that came is not in the provider's form; the base URL may be wrong",
            None,
        ),
        400 if error_body.is_from_model_server() => {
            both_yes("the model's server itself refused the empty request")
        }
        400 if error_body.is_from_gateway() => Verdicts {
            credential: ProbeVerdict::yes(
                "the provider's gateway answered 400 to the empty request, not 401",
            ),
            model: ProbeVerdict::unknown(
                "the provider's gateway refused the empty request before it reached a model",
                None,
            ),
        },
        _ => Verdicts::unknown(
            format!("the provider answered {status}, from which nothing follows"),
            None,
        ),
    }
}

/// Gateways of 2025 answered 403 to unknown keys as well. Either way this key
/// cannot use this model.
fn forbidden(error_body: &ErrorBody) -> Verdicts {
    let credential = if error_body.has_code("FORBIDDEN") {
        ProbeVerdict::yes(
            "the provider answered 403 with FORBIDDEN: the key is known, and may not do this",
        )
    } else {
        ProbeVerdict::unknown(
            "the provider answered 403, which can mean an unknown key as well as a missing permission",
            None,
        )
    };
    Verdicts {
        credential,
        model: ProbeVerdict::no(
            "the provider answered 403: this key may not use this model",
            "MODEL_FORBIDDEN",
        ),
    }
}

fn paid_for_elsewhere(status: u16, reason: &'static str) -> Verdicts {
    Verdicts {
        credential: ProbeVerdict::yes(format!(
            "the provider answered {status}: it knows the key's account"
        )),
        model: ProbeVerdict::unknown(
            format!(
                "the provider answered {status} about the account before looking for the model"
            ),
            Some(reason),
        ),
    }
}

fn both_yes(basis: &str) -> Verdicts {
    Verdicts { credential: ProbeVerdict::yes(basis), model: ProbeVerdict::yes(basis) }
}

impl Probe {
    fn unanswered(basis: &str, reason: Option<&'static str>) -> Probe {
        Probe { http_status: None, findings: Verdicts::unknown(basis, reason) }
    }
}

impl Verdicts {
    fn unknown(basis: impl Into<String>, reason: Option<&'static str>) -> Verdicts {
        let verdict = ProbeVerdict::unknown(basis, reason);
        Verdicts { credential: verdict.clone(), model: verdict }
    }
}

impl Conclusion {
    /// Returns the name used in logs and spans.
    pub fn as_str(self) -> &'static str {
        match self {
            Conclusion::Yes => "yes",
            Conclusion::No => "no",
            Conclusion::Unknown => "unknown",
        }
    }
}

impl ProbeVerdict {
    fn yes(basis: impl Into<String>) -> ProbeVerdict {
        ProbeVerdict { answer: Conclusion::Yes, basis: basis.into(), reason: None }
    }

    fn no(basis: impl Into<String>, reason: &'static str) -> ProbeVerdict {
        ProbeVerdict { answer: Conclusion::No, basis: basis.into(), reason: Some(reason) }
    }

    fn unknown(basis: impl Into<String>, reason: Option<&'static str>) -> ProbeVerdict {
        ProbeVerdict { answer: Conclusion::Unknown, basis: basis.into(), reason }
    }
}
