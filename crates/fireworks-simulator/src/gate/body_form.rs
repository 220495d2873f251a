//! The shapes that error bodies come in at Fireworks. The first is the gateway
//! of 2026; the others are older, of other servers in the chain, or of the edge.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The shape of an error body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BodyForm {
    /// `{"error":{"message","param","code","type":"error"},"request_id"}`.
    Gateway {
        /// `NOT_FOUND`, `UNAUTHORIZED`, `DEPLOYMENT_SCALING_UP`, …
        code: String,
        /// The sentence.
        message: String,
        /// The field it is about.
        #[serde(default)]
        param: Option<String>,
    },
    /// `{"error":{"object":"error","type":"invalid_request_error",…},"request_id"}`;
    /// also what a 429 looks like, wrong type included.
    ModelServer {
        /// The sentence.
        message: String,
    },
    /// `{"error":"…"}`, and `"message"` beside it where there is one.
    BareString {
        /// The text of `error`.
        error: String,
        /// The text of `message`.
        #[serde(default)]
        message: Option<String>,
    },
    /// `{"detail": …}`: a text, or the list of a 422.
    FastApi {
        /// The value of `detail`.
        detail: Value,
    },
    /// `{"code":5,"message","details":[]}`, as the control plane answers.
    ControlPlane {
        /// The gRPC code.
        code: i32,
        /// The sentence.
        message: String,
    },
    /// `{"fault":{"faultstring","detail":{"errorcode"}}}`.
    Apigee {
        /// The sentence.
        faultstring: String,
    },
    /// Any JSON, as it is.
    Json(Value),
    /// Plain text.
    Text(String),
    /// A page of the edge.
    Html,
    /// Nothing at all.
    Empty,
}

impl BodyForm {
    /// Content type and bytes.
    pub(crate) fn render(&self, request_id: &str) -> (Option<&'static str>, String) {
        let value = match self {
            BodyForm::Gateway { code, message, param } => json!({
                "error": {"message": message, "param": param, "code": code, "type": "error"},
                "request_id": request_id,
            }),
            BodyForm::ModelServer { message } => json!({
                "error": {
                    "object": "error",
                    "type": "invalid_request_error",
                    "code": "invalid_request_error",
                    "message": message,
                },
                "request_id": request_id,
            }),
            BodyForm::BareString { error, message: None } => json!({"error": error}),
            BodyForm::BareString { error, message } => json!({"error": error, "message": message}),
            BodyForm::FastApi { detail } => json!({"detail": detail}),
            BodyForm::ControlPlane { code, message } => {
                json!({"code": code, "message": message, "details": []})
            }
            BodyForm::Apigee { faultstring } => json!({
                "fault": {"faultstring": faultstring, "detail": {"errorcode": "policies.Failed"}},
            }),
            BodyForm::Json(value) => value.clone(),
            BodyForm::Text(text) => return (Some("text/plain; charset=utf-8"), text.clone()),
            BodyForm::Html => return (Some("text/html; charset=utf-8"), PAGE.to_owned()),
            BodyForm::Empty => return (None, String::new()),
        };
        (Some("application/json"), value.to_string())
    }
}

const PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n\
    <center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>cloudflare</center>\r\n\
    </body>\r\n</html>\r\n";
