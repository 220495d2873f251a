//! One attempt: sends the request, judges the response's head and reads its
//! body.
//!
//! Every error of an attempt is created here, because only this file knows the
//! phase it was in, and which key must not appear in it. No retries.

use std::{
    future::{Future as _, poll_fn},
    pin::pin,
    task::Poll,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::Instant;

use super::{
    Attempt, ClientState, EmbeddingRequest, Endpoint, Request,
    answer::{Answer, StreamError},
    connections::StreamSlot,
    embeddings::{self, EmbeddingReply},
    failure::{self, ErrorContext},
    head::{self, BodyKind},
    sending::{RequestBody, SentFlag},
    stream::{self, ResponseBody},
    transport,
};
use crate::{
    descriptors,
    emit::Emit,
    error::{Deadline, Error, ProviderErrorKind},
    event::{Embeddings, Finish, Phase, Usage},
};

/// The longest wait for the body of a refusal.
const REFUSAL_LIMIT: Duration = Duration::from_secs(2);

/// Maximum times a request is sent again, within one attempt, after the
/// provider had already closed the pooled connection.
const MAX_RESENT: u32 = 2;

/// The reason no response arrived.
enum Unsent {
    NotConnected(Duration),
    OutOfDescriptors,
    /// A pooled connection proved closed; this says nothing about the
    /// provider's health.
    Stale,
    Failed(&'static str),
}

/// An attempt under way.
pub(super) struct Exchange<'a> {
    client: &'a ClientState,
    attempt: Attempt<'a>,
    began: Instant,
    phase: Phase,
    request_id: Option<String>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(client: &'a ClientState, attempt: Attempt<'a>) -> Exchange<'a> {
        Exchange { client, attempt, began: Instant::now(), phase: Phase::Waiting, request_id: None }
    }

    /// Runs the attempt. The answer keeps what arrived even if this fails.
    /// Dropping the future at any point closes the provider's stream: it owns
    /// request and body, and spawns nothing.
    pub(super) async fn run(
        &mut self,
        request: &Request,
        answer: &mut Answer,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Error> {
        let place = self.client.connections.place();
        let post = self.post(request.endpoint, &request.body, "text/event-stream");
        // Boxed: no part of what an open stream keeps.
        let opened = Box::pin(self.open(&place, post, &mut answer.usage, emit)).await;
        let (content, mut body) = opened?;
        let read = self.read(content, &mut body, answer, emit).await;
        if answer.has_begun() {
            self.phase = Phase::Streaming;
        }
        let finish_reasons = read
            .and_then(|()| answer.finish(emit))
            .map_err(|stream_error| self.halted(stream_error, &answer.id))?;
        if answer.take_emitted() {
            emit.flush();
        }
        Ok(Finish {
            finish_reasons,
            usage: answer.usage,
            model: self.presentable_word(&answer.model),
            provider_request_id: self.provider_request_id(answer),
            unchecked: Vec::new(),
            embeddings: None,
            service_tier: self.presentable_word(&answer.service_tier),
        })
    }

    /// Runs the attempt for embeddings, likewise.
    pub(super) async fn embed(
        &mut self,
        request: &EmbeddingRequest,
        usage: &mut Option<Usage>,
        emit: &mut dyn Emit,
    ) -> Result<Finish, Error> {
        let place = self.client.connections.place();
        let post = self.post(Endpoint::Embeddings, &request.body, "application/json");
        let (_, mut body) = self.open(&place, post, usage, emit).await?;
        let read = body.read_whole(embeddings::most_bytes(request.texts)).await;
        let reply = read.and_then(|json| EmbeddingReply::read(&json, request));
        let reply = reply.map_err(|stream_error| self.halted(stream_error, &None))?;
        *usage = reply.usage.or(*usage);
        if let Some(usage) = usage {
            emit.used(usage);
        }
        Ok(Finish {
            usage: *usage,
            model: self.presentable_word(&reply.model),
            provider_request_id: self.request_id.clone(),
            embeddings: Some(Embeddings { vectors: reply.vectors, ..Embeddings::default() }),
            ..Finish::default()
        })
    }

    /// Sends the request and judges the response's head. Returns its body, with the
    /// content that the head declares.
    async fn open(
        &mut self,
        place: &StreamSlot<'_>,
        post: (HeaderMap, url::Url, bytes::Bytes),
        usage: &mut Option<Usage>,
        emit: &mut dyn Emit,
    ) -> Result<(BodyKind, ResponseBody), Error> {
        let response = self.send(place, post, emit).await?;
        let headers = response.headers();
        self.request_id = head::request_id(headers, self.attempt.credential);
        if let Some(counted) = head::usage(headers) {
            *usage = Some(counted);
            emit.used(&counted);
        }
        let content = head::content(headers);
        if response.status() != http::StatusCode::OK {
            return Err(self.refused(response).await);
        }
        Ok((content, ResponseBody::new(response)))
    }

    fn post(
        &self,
        endpoint: Endpoint,
        body: &bytes::Bytes,
        accept: &'static str,
    ) -> (HeaderMap, url::Url, bytes::Bytes) {
        let mut headers = json_headers(self.attempt.credential.authorization());
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        self.attempt.affinity.add_to(&mut headers);
        (headers, self.client.urls.of(endpoint).clone(), body.clone())
    }

    /// Sends a request, reports its phase, and waits for the response's head.
    /// The deadline only runs while a connection is being opened.
    async fn send(
        &mut self,
        place: &StreamSlot<'_>,
        post: (HeaderMap, url::Url, bytes::Bytes),
        emit: &mut dyn Emit,
    ) -> Result<reqwest::Response, Error> {
        let mut resent = 0;
        loop {
            match self.send_once(place, post.clone(), emit).await {
                Err(Unsent::Stale) if resent < MAX_RESENT => resent += 1,
                sent => return sent.map_err(|unsent| self.unsent(unsent)),
            }
        }
    }

    async fn send_once(
        &mut self,
        place: &StreamSlot<'_>,
        (headers, url, body): (HeaderMap, url::Url, bytes::Bytes),
        emit: &mut dyn Emit,
    ) -> Result<reqwest::Response, Unsent> {
        let sent = SentFlag::default();
        let mut request = reqwest::Request::new(Method::POST, url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(reqwest::Body::wrap(RequestBody::new(body, sent.clone())));

        let limit = self.attempt.connect.min(self.client.config.connect_timeout);
        let mut deadline = pin!(tokio::time::sleep(limit));
        let mut sending = pin!(place.send(request, &sent));
        let mut emitted = None;
        let mut is_fresh = false;
        let response = poll_fn(|context| {
            sent.register(context.waker());
            let response = sending.as_mut().poll(context);
            is_fresh |= place.is_connecting();
            let connecting = response.is_pending() && !sent.is_sent() && place.is_connecting();
            let phase = if connecting { Phase::Connecting } else { Phase::Waiting };
            if emitted != Some(phase) {
                emitted = Some(phase);
                emit.phase(phase);
            }
            if connecting && deadline.as_mut().poll(context).is_ready() {
                return Poll::Ready(None);
            }
            response.map(Some)
        })
        .await;
        self.phase = emitted.unwrap_or(Phase::Waiting);
        match response {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) if error.is_connect() && error.is_timeout() => {
                Err(Unsent::NotConnected(self.client.config.connect_timeout))
            }
            Some(Err(error)) if error.is_connect() && descriptors::ran_out(&error) => {
                Err(Unsent::OutOfDescriptors)
            }
            Some(Err(error)) if !is_fresh && transport::was_closed(&error) => Err(Unsent::Stale),
            Some(Err(error)) => Err(Unsent::Failed(transport::describe(&error))),
            None => Err(Unsent::NotConnected(limit)),
        }
    }

    fn unsent(&self, unsent: Unsent) -> Error {
        match unsent {
            Unsent::NotConnected(limit) => self.not_connected(limit),
            Unsent::OutOfDescriptors => transport::out_of_descriptors(),
            Unsent::Failed(message) => self.own_error(ProviderErrorKind::Unavailable, message),
            Unsent::Stale => {
                self.own_error(ProviderErrorKind::Unavailable, "the connection was closed")
            }
        }
    }

    async fn read(
        &self,
        content: BodyKind,
        body: &mut ResponseBody,
        answer: &mut Answer,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        let max_bytes = self.client.config.max_event_bytes;
        match body.content(content).await? {
            BodyKind::Events => {
                stream::read_events(body, answer, max_bytes, self.began, emit).await
            }
            BodyKind::Json => {
                let whole = body.read_whole(max_bytes).await?;
                answer.take_whole(whole.trim_ascii(), emit)?;
                emit.flush();
                Ok(())
            }
            BodyKind::Other => Err(StreamError::Unusable(
                "what came is neither a stream of events nor JSON; the base URL may be wrong"
                    .into(),
            )),
        }
    }

    /// Classifies a status other than 200. The body is read up to a size and a
    /// time limit; whatever has arrived by then is used.
    async fn refused(&self, response: reqwest::Response) -> Error {
        let status = response.status();
        let retry_after = head::retry_after(response.headers(), SystemTime::now());
        let account_wide = head::no_requests_left(response.headers());
        if status.is_redirection() {
            let message = "the provider redirects; the base URL may be wrong";
            let mut error =
                failure::own(ProviderErrorKind::RequestRejected, message, self.context(None));
            error.http_status = Some(status.as_u16());
            return error.into();
        }
        let text = read_refusal(response, self.client.config.max_error_bytes).await;
        let context = ErrorContext { account_wide, ..self.context(retry_after) };
        failure::from_status(status.as_u16(), &text, context).into()
    }

    /// Returns the error of a response that cannot be used; `id` is the answer's own.
    fn halted(&self, stream_error: StreamError, id: &Option<String>) -> Error {
        let mut error = match stream_error {
            StreamError::Refused(error) => return error,
            StreamError::Reported(text) => failure::from_stream(&text, self.context(None)),
            StreamError::Malformed(message) | StreamError::Cut(message) => {
                failure::own(ProviderErrorKind::StreamInterrupted, message, self.context(None))
            }
            StreamError::Unusable(message) => {
                failure::own(ProviderErrorKind::AnswerInvalid, &message, self.context(None))
            }
            StreamError::BadFinish(reason) => {
                failure::from_finish_reason(&reason, self.context(None))
            }
        };
        error.request_id = error.request_id.or_else(|| self.presentable_word(id));
        error.into()
    }

    fn provider_request_id(&self, answer: &Answer) -> Option<String> {
        let from_header = self.request_id.clone();
        from_header.or_else(|| self.presentable_word(&answer.id))
    }

    fn presentable_word(&self, text: &Option<String>) -> Option<String> {
        failure::word(text.as_deref()?, self.attempt.credential)
    }

    fn not_connected(&self, limit: Duration) -> Error {
        Error::Deadline { deadline: Deadline::Connect, limit, phase: Phase::Connecting }
    }

    fn own_error(&self, kind: ProviderErrorKind, message: &str) -> Error {
        failure::own(kind, message, self.context(None)).into()
    }

    fn context(&self, retry_after: Option<Duration>) -> ErrorContext<'_> {
        ErrorContext {
            credential: self.attempt.credential,
            phase: self.phase,
            request_id: self.request_id.as_deref(),
            retry_after,
            account_wide: false,
        }
    }
}

/// Returns the headers of every request with a JSON body.
pub(super) fn json_headers(authorization: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::AUTHORIZATION, authorization);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// Reads the beginning of a refusal's body, within the time limit.
pub(super) async fn read_refusal(response: reqwest::Response, max_bytes: usize) -> String {
    let mut body = ResponseBody::new(response);
    let mut text = Vec::new();
    let read = body.read_beginning(max_bytes, &mut text);
    let _ = tokio::time::timeout(REFUSAL_LIMIT, read).await;
    String::from_utf8_lossy(&text).into_owned()
}
