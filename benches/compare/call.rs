//! One call: the bytes that go out, and counting the tokens that come back.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue, TE};
use memchr::{memchr_iter, memmem};
use prost::Message;
use sparkler::proto;

use crate::{
    answer::TOKEN_MARK,
    plan::{Call, Face, Plan},
    wire,
};

/// In the form that LiteLLM asks for; nobody else looks at it.
pub(crate) const API_KEY: &str = "sk-measured-and-not-a-secret";
const MODEL: &str = "accounts/fireworks/models/measured";

/// Replaced in every request that must be the first of its kind; as long as the
/// number that takes its place, so that no length around it changes.
const COUNTER: &[u8] = b"################";

fn prompt() -> String {
    let counter = String::from_utf8_lossy(COUNTER);
    format!(
        "Summarise ticket {counter} for the person who answers it next. The caller has written \
         three times, the last time on Monday, and asks why the second delivery came without the \
         parts that the first had promised. Say what is known, what is missing and what to do next."
    )
}

/// A request, complete but for its number.
#[derive(Debug)]
pub(crate) struct Template {
    request: http::request::Parts,
    body: Vec<u8>,
    counter: Option<usize>,
}

impl Template {
    pub(crate) fn new(plan: &Plan) -> anyhow::Result<Self> {
        let (body, path) = match &plan.face {
            Face::Grpc => (grpc_body(plan.call), wire::EXECUTE_NODE),
            Face::Http { path, model } => (http_body(plan.call, model)?, path.as_str()),
        };
        let mut request = http::Request::post(match plan.face {
            Face::Grpc => format!("http://{}{path}", plan.address),
            Face::Http { .. } => path.to_owned(),
        });
        if let Some(headers) = request.headers_mut() {
            if plan.face == Face::Grpc {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
                headers.insert(TE, HeaderValue::from_static("trailers"));
            } else {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                headers.insert(HOST, HeaderValue::from_str(&plan.address.to_string())?);
                let bearer = format!("Bearer {API_KEY}");
                headers.insert("authorization", HeaderValue::from_str(&bearer)?);
            }
        }
        let counter = memmem::find(&body, COUNTER).filter(|_| plan.call != Call::Hit);
        Ok(Self { request: request.body(())?.into_parts().0, body, counter })
    }

    pub(crate) fn request(&self, number: u64) -> http::Request<Full<Bytes>> {
        let mut body = self.body.clone();
        if let Some(start) = self.counter {
            let number = format!("{number:0width$}", width = COUNTER.len());
            body[start..start + COUNTER.len()].copy_from_slice(number.as_bytes());
        }
        http::Request::from_parts(self.request.clone(), Full::from(body))
    }
}

fn grpc_body(call: Call) -> Vec<u8> {
    use proto::{cache_policy::Mode, credential::Source, execute_node_request::Input};
    let value = |kind| prost_types::Value { kind: Some(kind) };
    let fields = [
        ("modelName", value(prost_types::value::Kind::StringValue(MODEL.into()))),
        ("temperature", value(prost_types::value::Kind::NumberValue(0.7))),
        ("maxTokens", value(prost_types::value::Kind::NumberValue(512.0))),
    ];
    let mode = if call == Call::Hit { Mode::ReadWrite } else { Mode::Off };
    let request = proto::ExecuteNodeRequest {
        node_type: "chatFireworks".to_owned(),
        config: Some(prost_types::Struct {
            fields: fields.map(|(name, value)| (name.to_owned(), value)).into(),
        }),
        input: Some(Input::Prompt(prompt())),
        credential: Some(proto::Credential { source: Some(Source::ApiKey(API_KEY.into())) }),
        cache: Some(proto::CachePolicy { mode: mode.into(), ..Default::default() }),
        output: Some(proto::OutputOptions {
            deltas: Some(call == Call::Stream),
            ..Default::default()
        }),
        ..Default::default()
    };
    // Not compressed, and as long as it is.
    let mut body = vec![0];
    body.extend((request.encoded_len() as u32).to_be_bytes());
    body.extend(request.encode_to_vec());
    body
}

fn http_body(call: Call, model: &str) -> anyhow::Result<Vec<u8>> {
    let mut body = serde_json::json!({
        "model": model,
        "messages": [{"role": "user", "content": prompt()}],
        "temperature": 0.7,
        "max_tokens": 512,
        "stream": call == Call::Stream,
    });
    if call == Call::Stream {
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    Ok(serde_json::to_vec(&body)?)
}

/// Counts the tokens of one answer as its bytes arrive.
#[derive(Debug)]
pub(crate) enum Reader {
    /// Messages, each behind its length.
    Grpc { unread: BytesMut, call: Call },
    /// Anything with text in it.
    Http,
}

impl Reader {
    pub(crate) fn new(plan: &Plan) -> Self {
        match plan.face {
            Face::Grpc => Self::Grpc { unread: BytesMut::new(), call: plan.call },
            Face::Http { .. } => Self::Http,
        }
    }

    /// How many tokens `data` adds.
    pub(crate) fn read(&mut self, data: &[u8]) -> anyhow::Result<u64> {
        let Self::Grpc { unread, call } = self else {
            return Ok(count(data));
        };
        unread.extend_from_slice(data);
        let mut tokens = 0;
        while let Some(head) = unread.first_chunk::<5>() {
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
            if unread.len() < head.len() + length {
                break;
            }
            unread.advance(5);
            let response = wire::Response::decode(unread.split_to(length).freeze())?;
            tokens += match call {
                Call::Stream => response.delta.map_or(0, |delta| count(&delta.text)),
                // A whole answer is in its last event, and only there.
                Call::Whole | Call::Hit => response.completed.map_or(0, |completed| {
                    completed.choices.iter().map(|choice| count(&choice.text)).sum()
                }),
            };
        }
        Ok(tokens)
    }
}

fn count(text: &[u8]) -> u64 {
    memchr_iter(TOKEN_MARK, text).count() as u64
}
