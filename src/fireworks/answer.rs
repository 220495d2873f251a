//! Assembles the events of one attempt into an answer: emits deltas as they
//! arrive and ends with a finish or with the reason for failure.
//!
//! An answer is good when every choice has ended with a good finish reason and
//! nothing reported a failure; the end of the body alone proves nothing. No
//! I/O, and provider text is never prepared for display here: `failure` does
//! that.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::{
    api::{
        self, ChoicePiece, Chunk, FunctionPiece, MessageContent, MessagePiece, ObjectShape, Raw,
    },
    calls::{Calls, Fragment, TooManyCalls},
    error_body::ErrorBody,
    reasoning::{Splitter, TextKind},
    sse::{Event, EventTooLong},
    template::{ChunkTemplate, Place},
    text,
};
use crate::{
    emit::Emit,
    error::Error,
    event::{Delta, FinishReason, Phase, Piece, Usage},
};

/// The answer received so far.
#[derive(Debug)]
pub struct Answer {
    choices: Vec<Progress>,
    template: ChunkTemplate,
    logprobs: bool,
    begun: bool,
    emitted: bool,
    done: bool,
    /// The text of an event that had neither output nor usage: the explanation
    /// if the answer proves incomplete.
    remark: Option<String>,
    /// Token counts, as far as known.
    pub usage: Option<Usage>,
    /// The model that answers, as the provider names it.
    pub model: Option<String>,
    /// The provider's id of the answer.
    pub id: Option<String>,
    /// The service tier that answers, if the provider says so.
    pub service_tier: Option<String>,
}

/// The progress of one choice.
#[derive(Debug, Default)]
struct Progress {
    splitter: Splitter,
    calls: Calls,
    begun: bool,
    has_refused: bool,
    finish: Option<FinishReason>,
}

/// The reason an answer cannot continue.
#[derive(Debug, PartialEq)]
pub enum StreamError {
    /// The data is malformed; another attempt may succeed.
    Malformed(&'static str),
    /// The data is well-formed but not part of the provider's API: another
    /// attempt would return the same.
    Unusable(Cow<'static, str>),
    /// The provider reported a failure: its text, as JSON or verbatim.
    Reported(String),
    /// A choice ended with a finish reason that is a failure.
    BadFinish(String),
    /// The connection failed: a description in the worker's own words.
    Cut(&'static str),
    /// The receiver of the deltas refused one.
    Refused(Error),
}

impl From<EventTooLong> for StreamError {
    fn from(_: EventTooLong) -> StreamError {
        StreamError::Malformed("an event of the stream is larger than allowed")
    }
}

impl From<TooManyCalls> for StreamError {
    fn from(_: TooManyCalls) -> StreamError {
        StreamError::Unusable("the answer has more tool calls than any model makes".into())
    }
}

impl Answer {
    /// Creates an empty answer that expects `choices` choices; `logprobs` are
    /// emitted only if they were requested.
    pub fn new(choices: u32, logprobs: bool) -> Answer {
        let count = choices.max(1) as usize;
        Answer {
            choices: std::iter::repeat_with(Progress::default).take(count).collect(),
            template: ChunkTemplate::default(),
            logprobs,
            begun: false,
            emitted: false,
            done: false,
            remark: None,
            usage: None,
            model: None,
            id: None,
            service_tier: None,
        }
    }

    /// Returns true once the provider has signalled the end of the stream.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Returns true once any output has arrived.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Returns true if anything was emitted since the last call, and resets the mark.
    pub fn take_emitted(&mut self) -> bool {
        std::mem::take(&mut self.emitted)
    }

    /// Processes one event of a stream. Events after `[DONE]` are ignored.
    pub fn take_event(&mut self, event: Event<'_>, emit: &mut dyn Emit) -> Result<(), StreamError> {
        if self.done {
            return Ok(());
        }
        match event.name {
            b"" | b"message" => {}
            b"error" => return Err(StreamError::Reported(lossy(event.data))),
            _ => return Ok(()),
        }
        match event.data.trim_ascii() {
            b"" => Ok(()),
            b"[DONE]" => {
                self.done = true;
                Ok(())
            }
            data => match self.template.read(data) {
                Some((Place { choice, part }, text)) => self.take_part(choice, part, text, emit),
                None => self.take_json(data, emit),
            },
        }
    }

    /// Processes an unstreamed answer, which has the form of a chunk.
    pub fn take_whole(&mut self, json: &[u8], emit: &mut dyn Emit) -> Result<(), StreamError> {
        if json.is_empty() {
            return Err(self.incomplete());
        }
        if serde_json::from_slice::<IgnoredAny>(json).is_err_and(|error| error.is_syntax()) {
            return Err(unreadable("what came"));
        }
        self.take_json(json, emit)?;
        self.done = true;
        let is_empty = self.choices.iter().all(|choice| !choice.begun && choice.finish.is_none());
        if is_empty && self.remark.is_none() {
            return Err(StreamError::Unusable(
                "what came is JSON without an answer; the base URL may be wrong".into(),
            ));
        }
        Ok(())
    }

    /// Parses a chunk in full and processes it, even after `[DONE]`.
    pub(super) fn take_json(
        &mut self,
        json: &[u8],
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        let text = text::mend(json);
        let Some(chunk) = parse(&text)? else {
            return Ok(());
        };
        if chunk.has_failed() {
            return Err(StreamError::Reported(text.into_owned()));
        }
        if chunk.choices.is_odd() {
            return Err(unreadable("choices"));
        }
        self.take_usage(chunk.usage, emit);
        if chunk.choices.is_empty() && chunk.usage.json().is_none() {
            self.take_remark(&text)?;
        }
        let only_text = chunk.only_text();
        keep_first(&mut self.id, chunk.id);
        keep_first(&mut self.model, chunk.model);
        keep_first(&mut self.service_tier, chunk.service_tier);
        for (place, choice) in chunk.choices.into_iter().enumerate() {
            match choice {
                ObjectShape::Absent => {}
                ObjectShape::Odd => return Err(unreadable("a choice")),
                ObjectShape::There(choice) if choice.error.json().is_some() => {
                    return Err(StreamError::Reported(text.into_owned()));
                }
                ObjectShape::There(choice) => self.take_choice(place, choice, emit)?,
            }
        }
        // Only once the whole chunk has proved good.
        if let Some((choice, part, text)) = only_text {
            self.template.learn(json, text, Place { choice, part });
        }
        Ok(())
    }

    /// Ends the answer: emits what was held back and returns the finish reason
    /// of each choice, if every one ended well.
    pub fn finish(&mut self, emit: &mut dyn Emit) -> Result<Vec<FinishReason>, StreamError> {
        let reasons: Option<Vec<FinishReason>> =
            self.choices.iter().map(|choice| choice.finish).collect();
        let reasons = reasons.ok_or_else(|| self.incomplete())?;
        for index in 0..self.choices.len() {
            let left: Vec<_> = self.choices[index].calls.finish().collect();
            for fragment in left {
                self.emit(index as u32, Piece::ToolCall(fragment), emit)?;
            }
        }
        Ok(reasons)
    }

    /// Returns the reason an ended answer is incomplete.
    fn incomplete(&mut self) -> StreamError {
        if let Some(remark) = self.remark.take() {
            return StreamError::Reported(remark);
        }
        let ended = self.choices.iter().filter(|choice| choice.finish.is_some()).count();
        let is_cut = self.choices.iter().any(|choice| choice.begun && choice.finish.is_none());
        if self.done && ended > 0 && !is_cut {
            let asked = self.choices.len();
            return StreamError::Unusable(format!("{ended} of {asked} answers came").into());
        }
        StreamError::Malformed("the stream ended before every choice had a finish reason")
    }

    /// Processes an event without output or usage: a failure, or a remark to keep.
    fn take_remark(&mut self, text: &str) -> Result<(), StreamError> {
        let error_body = ErrorBody::read(text);
        if error_body.is_failure() {
            return Err(StreamError::Reported(text.to_owned()));
        }
        self.remark = error_body.message.map(|_| text.to_owned()).or(self.remark.take());
        Ok(())
    }

    /// Processes a choice, identified by its position if it has no index.
    fn take_choice(
        &mut self,
        place: usize,
        choice: ChoicePiece<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        let index = choice.index.count().unwrap_or(place as u32);
        if index as usize >= self.choices.len() {
            return Err(StreamError::Unusable(
                "the stream has a choice that was not asked for".into(),
            ));
        }
        self.take_usage(choice.usage, emit);
        for message in [choice.delta, choice.message] {
            match message {
                ObjectShape::Absent => {}
                ObjectShape::Odd => return Err(unreadable("a message")),
                ObjectShape::There(message) => self.take_message(index, message, emit)?,
            }
        }
        self.take_content(index, choice.text.content(), emit)?;
        if let Some(logprobs) = choice.logprobs.json().filter(|json| json.starts_with('{'))
            && self.logprobs
        {
            self.emit(index, Piece::Logprobs(Cow::Borrowed(logprobs)), emit)?;
        }
        match choice.finish_reason.text() {
            Some(reason) => self.take_finish(index, reason, emit),
            None => Ok(()),
        }
    }

    fn take_message(
        &mut self,
        index: u32,
        message: MessagePiece<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        if let Some(text) = message.thought().reasoning() {
            self.take_part(index, TextKind::Reasoning, text, emit)?;
        }
        self.take_content(index, message.content.content(), emit)?;
        if let Some(text) = message.refusal.text() {
            self.choices[index as usize].has_refused = true;
            self.take_part(index, TextKind::Text, text, emit)?;
        }
        self.take_calls(index, message, emit)
    }

    fn take_content(
        &mut self,
        index: u32,
        content: MessageContent<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        match content {
            MessageContent::Absent => Ok(()),
            MessageContent::Text(text) => self.take_part(index, TextKind::Text, text, emit),
            MessageContent::Parts(parts) => parts
                .into_iter()
                .try_for_each(|(part, text)| self.take_part(index, part, text.into(), emit)),
            MessageContent::Odd => Err(unreadable("the content of a message")),
        }
    }

    fn take_calls(
        &mut self,
        index: u32,
        message: MessagePiece<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        if message.tool_calls.is_odd() {
            return Err(unreadable("the tool calls of a message"));
        }
        let old_form = FunctionPiece::read(message.function_call);
        if message.tool_calls.is_empty() && !old_form.is_empty() {
            let fragment = Fragment { index: Some(0), ..Fragment::of(old_form) };
            return self.take_call(index, fragment, emit);
        }
        let calls =
            message.tool_calls.into_iter().filter(|call| !matches!(call, ObjectShape::Absent));
        for (place, call) in calls.enumerate() {
            let call = call.there().ok_or_else(|| unreadable("a tool call"))?;
            let fragment = Fragment {
                place,
                index: call.index.count(),
                id: call.id.text(),
                ..Fragment::of(FunctionPiece::read(call.function))
            };
            self.take_call(index, fragment, emit)?;
        }
        Ok(())
    }

    fn take_call(
        &mut self,
        index: u32,
        fragment: Fragment<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        match self.choices[index as usize].calls.take(fragment)? {
            Some(fragment) => self.emit(index, Piece::ToolCall(fragment), emit),
            None => Ok(()),
        }
    }

    /// Processes text, which may contain reasoning, or reasoning from a field
    /// of its own.
    fn take_part(
        &mut self,
        index: u32,
        part: TextKind,
        text: Cow<'_, str>,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        match part {
            TextKind::Text => {
                self.with_splitter(index, emit, |splitter, emit| splitter.split(text, emit))
            }
            TextKind::Reasoning if text.is_empty() => Ok(()),
            TextKind::Reasoning => {
                self.with_splitter(index, emit, |splitter, emit| {
                    splitter.reasoning_comes_apart(emit)
                })?;
                self.emit(index, Piece::Reasoning(text), emit)
            }
        }
    }

    /// Records the finish reason of a choice. `stop` says the least: it never
    /// replaces a more specific reason.
    fn take_finish(
        &mut self,
        index: u32,
        reason: Cow<'_, str>,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        let Some(reason) = FinishReason::from_provider(&reason) else {
            return Err(StreamError::BadFinish(reason.into_owned()));
        };
        self.with_splitter(index, emit, |splitter, emit| splitter.finish(emit))?;
        let choice = &mut self.choices[index as usize];
        choice.finish = match (reason, choice.finish) {
            (FinishReason::Stop, Some(earlier)) => Some(earlier),
            (FinishReason::Stop, None) if choice.has_refused => Some(FinishReason::Refusal),
            (reason, _) => Some(reason),
        };
        Ok(())
    }

    /// Runs the splitter of a choice and emits the pieces it produces.
    fn with_splitter(
        &mut self,
        index: u32,
        emit: &mut dyn Emit,
        work: impl FnOnce(
            &mut Splitter,
            &mut dyn FnMut(TextKind, Cow<'_, str>) -> Result<(), StreamError>,
        ) -> Result<(), StreamError>,
    ) -> Result<(), StreamError> {
        let mut splitter = self.choices[index as usize].splitter;
        let result = work(&mut splitter, &mut |part, text| {
            let piece = match part {
                TextKind::Text => Piece::Text(text),
                TextKind::Reasoning => Piece::Reasoning(text),
            };
            self.emit(index, piece, emit)
        });
        self.choices[index as usize].splitter = splitter;
        result
    }

    fn emit(
        &mut self,
        choice: u32,
        piece: Piece<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), StreamError> {
        if !self.begun {
            self.begun = true;
            emit.phase(Phase::Streaming);
        }
        self.emitted = true;
        self.choices[choice as usize].begun = true;
        emit.delta(Delta { choice, piece }).map_err(StreamError::Refused)
    }

    /// Records token counts; unreadable counts are treated as absent.
    fn take_usage(&mut self, json: Raw<'_>, emit: &mut dyn Emit) {
        if let Some(usage) = api::usage(json, self.usage.unwrap_or_default()) {
            self.usage = Some(usage);
            emit.used(&usage);
        }
    }
}

impl<'a> Fragment<'a> {
    fn of(function: FunctionPiece<'a>) -> Fragment<'a> {
        Fragment {
            name: function.name.text(),
            arguments: function.arguments.arguments(),
            ..Fragment::default()
        }
    }
}

/// Parses the chunk; `None` if the event says nothing. Text that is not JSON is
/// how some servers report a failure.
fn parse(text: &str) -> Result<Option<Chunk<'_>>, StreamError> {
    match serde_json::from_str(text) {
        Ok(ObjectShape::There(chunk)) => Ok(Some(chunk)),
        Ok(ObjectShape::Absent) => Ok(None),
        Ok(ObjectShape::Odd) if text.starts_with('"') => {
            Err(StreamError::Reported(text.to_owned()))
        }
        Ok(ObjectShape::Odd) => Err(unreadable("an event of the stream")),
        Err(_) if text.starts_with(['{', '[', '"']) => {
            Err(StreamError::Malformed("an event of the stream is not the JSON that was expected"))
        }
        Err(_) => Err(StreamError::Reported(text.to_owned())),
    }
}

fn unreadable(what: &str) -> StreamError {
    StreamError::Unusable(format!("{what} has a shape that cannot be read").into())
}

/// Keeps the first value that says something: ids and names come with every chunk.
fn keep_first(kept: &mut Option<String>, text: Raw<'_>) {
    if kept.is_none() {
        *kept = text.text().map(Cow::into_owned);
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
