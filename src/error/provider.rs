//! Failures of the provider, classified, with advice on each.

use std::time::Duration;

use super::{Error, Fault, Retry};
use crate::event::Phase;

/// A failure of the provider, or of the network in between.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderError {
    /// The kind of failure.
    pub kind: ProviderErrorKind,
    /// The HTTP status, or the one inside a failed stream.
    pub http_status: Option<u16>,
    /// The provider's own code, such as `NOT_FOUND`.
    pub code: Option<String>,
    /// The provider's message: checked, truncated and redacted.
    pub message: Option<String>,
    /// The provider's request id.
    pub request_id: Option<String>,
    /// The wait the provider asks for.
    pub retry_after: Option<Duration>,
    /// The model that the provider names as the successor of a retired one.
    pub successor: Option<String>,
    /// True if it affects every request of the account, not only this model: a
    /// rate limit on all requests.
    pub account_wide: bool,
    /// True if it came in the form of an API error. Anything else may come from
    /// an intermediary, and is not remembered.
    pub is_known_form: bool,
    /// The phase in which it happened.
    pub phase: Phase,
}

/// The kinds of provider failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProviderErrorKind {
    /// 401: the key is rejected.
    CredentialRejected,
    /// 403: the key may not use this model.
    ModelForbidden,
    /// 404: missing, not deployed, or no access; the provider does not say which.
    ModelNotFound,
    /// 404 or 410, and the provider's record says that the model has ended.
    ModelRetired,
    /// 402: no paid plan, or its limits are exceeded.
    BillingRequired,
    /// 412: the account is suspended.
    AccountSuspended,
    /// 400, 413, 422 and other refusals of the request itself.
    RequestRejected,
    /// 400: the prompt is longer than the model's context window.
    ContextTooLong,
    /// 429: a rate limit was reached.
    RateLimited,
    /// 5xx, or no connection.
    Unavailable,
    /// 503: a deployment is scaling up from zero.
    DeploymentScalingUp,
    /// The stream was cut, malformed, or reported a failure itself.
    StreamInterrupted,
    /// The response is complete but not a usable answer: another attempt would
    /// return the same.
    AnswerInvalid,
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Error {
        Error::Provider(Box::new(error))
    }
}

impl ProviderErrorKind {
    /// Every kind, for tables and tests.
    pub const ALL: [ProviderErrorKind; 13] = [
        ProviderErrorKind::CredentialRejected,
        ProviderErrorKind::ModelForbidden,
        ProviderErrorKind::ModelNotFound,
        ProviderErrorKind::ModelRetired,
        ProviderErrorKind::BillingRequired,
        ProviderErrorKind::AccountSuspended,
        ProviderErrorKind::RequestRejected,
        ProviderErrorKind::ContextTooLong,
        ProviderErrorKind::RateLimited,
        ProviderErrorKind::Unavailable,
        ProviderErrorKind::DeploymentScalingUp,
        ProviderErrorKind::StreamInterrupted,
        ProviderErrorKind::AnswerInvalid,
    ];

    /// Returns the kind with this reason.
    pub fn named(reason: &str) -> Option<ProviderErrorKind> {
        ProviderErrorKind::ALL.into_iter().find(|kind| kind.reason() == reason)
    }

    /// Returns the reason in one word: see [`Error::reason`].
    pub fn reason(self) -> &'static str {
        match self {
            ProviderErrorKind::CredentialRejected => "CREDENTIAL_REJECTED",
            ProviderErrorKind::ModelForbidden => "MODEL_FORBIDDEN",
            ProviderErrorKind::ModelNotFound => "MODEL_NOT_FOUND",
            ProviderErrorKind::ModelRetired => "MODEL_RETIRED",
            ProviderErrorKind::BillingRequired => "BILLING_REQUIRED",
            ProviderErrorKind::AccountSuspended => "ACCOUNT_SUSPENDED",
            ProviderErrorKind::RequestRejected => "REQUEST_REJECTED",
            ProviderErrorKind::ContextTooLong => "CONTEXT_TOO_LONG",
            ProviderErrorKind::RateLimited => "PROVIDER_RATE_LIMITED",
            ProviderErrorKind::Unavailable => "PROVIDER_UNAVAILABLE",
            ProviderErrorKind::DeploymentScalingUp => "DEPLOYMENT_SCALING_UP",
            ProviderErrorKind::StreamInterrupted => "STREAM_INTERRUPTED",
            ProviderErrorKind::AnswerInvalid => "PROVIDER_ANSWER_INVALID",
        }
    }

    pub(super) fn fault(self) -> Fault {
        match self {
            ProviderErrorKind::CredentialRejected
            | ProviderErrorKind::ModelForbidden
            | ProviderErrorKind::ModelNotFound
            | ProviderErrorKind::ModelRetired
            | ProviderErrorKind::BillingRequired
            | ProviderErrorKind::AccountSuspended
            | ProviderErrorKind::RequestRejected
            | ProviderErrorKind::ContextTooLong => Fault::Caller,
            ProviderErrorKind::RateLimited
            | ProviderErrorKind::Unavailable
            | ProviderErrorKind::DeploymentScalingUp
            | ProviderErrorKind::StreamInterrupted
            | ProviderErrorKind::AnswerInvalid => Fault::Provider,
        }
    }

    /// Returns true if another credential might succeed.
    pub fn is_about_the_credential(self) -> bool {
        match self {
            ProviderErrorKind::CredentialRejected
            | ProviderErrorKind::ModelForbidden
            | ProviderErrorKind::ModelNotFound
            | ProviderErrorKind::ModelRetired
            | ProviderErrorKind::BillingRequired
            | ProviderErrorKind::AccountSuspended => true,
            ProviderErrorKind::RequestRejected
            | ProviderErrorKind::ContextTooLong
            | ProviderErrorKind::RateLimited
            | ProviderErrorKind::Unavailable
            | ProviderErrorKind::DeploymentScalingUp
            | ProviderErrorKind::StreamInterrupted
            | ProviderErrorKind::AnswerInvalid => false,
        }
    }

    /// Returns true if the worker itself may retry the request.
    pub fn is_transient(self) -> bool {
        self.fault() == Fault::Provider && self != ProviderErrorKind::AnswerInvalid
    }

    fn advice(self) -> &'static str {
        match self {
            ProviderErrorKind::CredentialRejected => {
                "the provider does not accept the API key; check the credential"
            }
            ProviderErrorKind::ModelForbidden => {
                "the API key may not use this model; use a key with access to it, or another model"
            }
            ProviderErrorKind::ModelRetired => {
                "the provider no longer serves this model; use its successor or another model"
            }
            ProviderErrorKind::ModelNotFound => {
                "the provider does not serve this model to this key: it is missing, not deployed, \
                 or out of the account's reach; check the full name, such as \
                 accounts/fireworks/models/…"
            }
            ProviderErrorKind::BillingRequired => {
                "the provider's account has no paid plan or is beyond it; add a payment method or \
                 raise the budget"
            }
            ProviderErrorKind::AccountSuspended => {
                "the provider's account is suspended; settle its billing"
            }
            ProviderErrorKind::RequestRejected => "the provider refused the request; correct it",
            ProviderErrorKind::ContextTooLong => {
                "the prompt is longer than the model's context window; shorten it, or use a model \
                 with a larger window"
            }
            ProviderErrorKind::RateLimited => {
                "the provider limits the rate of this account or deployment; try again later, or \
                 raise the limit"
            }
            ProviderErrorKind::Unavailable => "the provider could not answer; try again later",
            ProviderErrorKind::DeploymentScalingUp => {
                "the deployment is waking from zero replicas, which takes minutes; try again later"
            }
            ProviderErrorKind::StreamInterrupted => {
                "the provider's answer broke off before its end; execute again"
            }
            ProviderErrorKind::AnswerInvalid => {
                "the provider's answer cannot be used; check the model and the base URL"
            }
        }
    }
}

impl ProviderError {
    /// Creates the error for a stream that broke off for an unknown reason.
    pub fn interrupted(phase: Phase) -> ProviderError {
        ProviderError {
            kind: ProviderErrorKind::StreamInterrupted,
            http_status: None,
            code: None,
            message: None,
            request_id: None,
            retry_after: None,
            successor: None,
            account_wide: false,
            is_known_form: false,
            phase,
        }
    }

    pub(super) fn retry(&self) -> Retry {
        match (self.kind.is_transient(), self.retry_after) {
            (false, _) => Retry::No,
            (true, None) => Retry::Yes,
            (true, Some(wait)) => Retry::After(wait),
        }
    }

    pub(super) fn public_message(&self) -> String {
        let mut text = self.kind.advice().to_owned();
        match (self.http_status, &self.message) {
            (Some(status), Some(message)) => {
                text.push_str(&format!(" (HTTP {status}: {message})"));
            }
            (Some(status), None) => text.push_str(&format!(" (HTTP {status})")),
            (None, Some(message)) => text.push_str(&format!(" ({message})")),
            (None, None) => {}
        }
        text
    }
}
