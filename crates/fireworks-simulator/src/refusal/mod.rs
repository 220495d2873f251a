//! The refusal of a call: status, body and headers. Created by `gate`, by
//! `validation` and by scripts.

pub(crate) mod body_form;
pub(crate) mod foreign;

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::{Deserialize, Serialize};

use self::body_form::BodyForm;

/// An error response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// The HTTP status; an invalid one becomes 500.
    pub status: u16,
    /// The body; left out, the real service's body for the status.
    #[serde(default)]
    pub body: Option<BodyForm>,
    /// Headers to add, such as `retry-after`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

impl Refusal {
    /// Creates a refusal with the real service's body for the status.
    pub fn status(status: u16) -> Refusal {
        Refusal { status, body: None, headers: BTreeMap::new() }
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: BodyForm) -> Refusal {
        self.body = Some(body);
        self
    }

    /// Adds a header; invalid names and values are left out of the response.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Refusal {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Returns the live service's 429 for a model's tokens: the limit headers,
    /// no `retry-after`, and a body that calls itself an invalid request.
    pub fn rate_limited() -> Refusal {
        Refusal::status(429)
            .header("x-ratelimit-over-limit", "yes")
            .header("x-ratelimit-limit-requests", "60")
            .header("x-ratelimit-remaining-requests", "59")
            .header("x-ratelimit-limit-tokens-generated", "36000")
            .header("x-ratelimit-remaining-tokens-generated", "0")
    }

    /// Returns the 503 of a deployment that is scaling up.
    pub fn scaling_up() -> Refusal {
        Refusal::status(503).body(BodyForm::Gateway {
            code: "DEPLOYMENT_SCALING_UP".to_owned(),
            message: "Deployment is currently scaled to zero and is scaling up. \
                Please retry your request in a few minutes."
                .to_owned(),
            param: None,
        })
    }

    pub(crate) fn unauthorized(message: &str) -> Refusal {
        Refusal::gateway(401, "UNAUTHORIZED", message, None)
    }

    pub(crate) fn payment_required() -> Refusal {
        Refusal::gateway(
            402,
            "PAYMENT_REQUIRED",
            "The account has no paid plan, or has used it up. Add a payment method.",
            None,
        )
    }

    pub(crate) fn forbidden(message: &str) -> Refusal {
        Refusal::gateway(403, "FORBIDDEN", message, None)
    }

    pub(crate) fn suspended() -> Refusal {
        Refusal::gateway(
            412,
            "PRECONDITION_FAILED",
            "The account is suspended, possibly because of a billing problem.",
            None,
        )
    }

    pub(crate) fn model_not_found() -> Refusal {
        let message = "Model not found, inaccessible, and/or not deployed";
        Refusal::gateway(404, "NOT_FOUND", message, Some("model"))
    }

    /// Returns the account API's 404, in the form of its gRPC gateway.
    pub(crate) fn no_record(name: &str) -> Refusal {
        let body = serde_json::json!({
            "code": 5,
            "message": format!("rpc error: code = NotFound desc = {name} not found"),
            "details": [],
        });
        Refusal::status(404).body(BodyForm::Text(body.to_string()))
    }

    pub(crate) fn not_a_path(path: &str) -> Refusal {
        Refusal::gateway(404, "NOT_FOUND", &format!("Path not found: {path}"), None)
    }

    /// Returns the gateway's 400, about one field.
    pub(crate) fn bad_request(message: &str, param: &str) -> Refusal {
        Refusal::gateway(400, "BAD_REQUEST", message, Some(param))
    }

    /// Returns the model server's 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::status(400).body(BodyForm::ModelServer { message: message.into() })
    }

    fn gateway(status: u16, code: &str, message: &str, param: Option<&str>) -> Refusal {
        Refusal::status(status).body(BodyForm::Gateway {
            code: code.to_owned(),
            message: message.to_owned(),
            param: param.map(str::to_owned),
        })
    }

    pub(crate) fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn into_response(self, request_id: &str) -> Response {
        let body = self.body.clone().unwrap_or_else(|| usual_body(self.status));
        let (content_type, text) = body.render(request_id);
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status_code();
        let headers = response.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert("x-request-id", id);
        }
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// Returns the real service's body for a status, as far as it is on record.
fn usual_body(status: u16) -> BodyForm {
    let (code, message) = match status {
        400 => ("BAD_REQUEST", "The request is not valid."),
        401 => ("UNAUTHORIZED", "The API key you provided is invalid."),
        402 => ("PAYMENT_REQUIRED", "The account has no paid plan."),
        403 => ("FORBIDDEN", "Not allowed."),
        404 => ("NOT_FOUND", "Model not found, inaccessible, and/or not deployed"),
        412 => ("PRECONDITION_FAILED", "The account is suspended."),
        425 => ("TOO_EARLY", "The deployment is swapping its weights."),
        429 => {
            return BodyForm::ModelServer {
                message: "You have exceeded the rate limit of this model.".to_owned(),
            };
        }
        500 => return BodyForm::Text("Internal Server Error".to_owned()),
        502 | 520 => return BodyForm::Html,
        503 => ("SERVICE_UNAVAILABLE", "The service is overloaded. Try again later."),
        _ => return BodyForm::Empty,
    };
    BodyForm::Gateway { code: code.to_owned(), message: message.to_owned(), param: None }
}
