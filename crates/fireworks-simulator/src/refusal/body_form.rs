//! The forms of error bodies at Fireworks. The first is the gateway's of 2026;
//! the others are older, from other servers in the chain, from the edge, or from
//! gateways.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::refusal::foreign::ForeignError;

/// The form of an error body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BodyForm {
    /// `{"error":{"message","param","code","type":"error"},"request_id"}`.
    Gateway {
        /// The code, such as `NOT_FOUND` or `DEPLOYMENT_SCALING_UP`.
        code: String,
        /// The message.
        message: String,
        /// The field it is about.
        #[serde(default)]
        param: Option<String>,
    },
    /// `{"error":{"object":"error","type":"invalid_request_error",…},"request_id"}`;
    /// also the form of a 429, including its wrong type.
    ModelServer {
        /// The message.
        message: String,
    },
    /// `{"error":"…"}`, with `"message"` beside it if there is one.
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
        /// The message.
        message: String,
    },
    /// `{"fault":{"faultstring","detail":{"errorcode"}}}`.
    Apigee {
        /// The message.
        faultstring: String,
    },
    /// An error in the form of another server.
    Foreign(ForeignError),
    /// Any JSON, verbatim.
    Json(Value),
    /// Plain text.
    Text(String),
    /// An HTML page of the edge.
    Html,
    /// An empty body.
    Empty,
}

impl BodyForm {
    /// Returns the content type and the body.
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
            BodyForm::Foreign(error) => error.json(),
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
