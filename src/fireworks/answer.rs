//! What a run's events amount to: deltas told as they come, and in the end a
//! finish or the reason why there is none.
//!
//! An answer is good when every choice has ended with a good finish reason and
//! nothing said otherwise; an end of the body alone proves nothing. No I/O, and
//! no words of the provider are read for people here: `failure` does that.
//!
//! Called by `stream` for every event.

use std::borrow::Cow;

use super::{
    api::{Chunk, Message, Text, ToolCall, UsageCounts},
    reasoning::{Part, Splitter},
    sse::{Event, EventTooLong},
    template::{Place, Template},
};
use crate::{
    error::Error,
    event::{Delta, Emit, FinishReason, Phase, Piece, Usage},
};

/// The answer so far.
#[derive(Debug)]
pub struct Answer {
    choices: Vec<Progress>,
    template: Template,
    logprobs: bool,
    begun: bool,
    told: bool,
    done: bool,
    /// Token counts, as far as known.
    pub usage: Option<Usage>,
    /// The model that answers, as the provider names it.
    pub model: Option<String>,
    /// The provider's id of the answer.
    pub id: Option<String>,
}

/// How far one choice is.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    splitter: Splitter,
    finish: Option<FinishReason>,
}

/// Why an answer cannot go on.
#[derive(Debug, PartialEq)]
pub enum Halt {
    /// What came is not what the provider's API sends.
    Malformed(&'static str),
    /// The provider says that it failed: its `error`, as JSON text or as it was.
    Reported(String),
    /// A choice ended for a reason that is a failure.
    BadFinish(String),
    /// The connection failed: how, in our words.
    Cut(&'static str),
    /// The receiver of the deltas refused.
    Refused(Error),
}

impl From<EventTooLong> for Halt {
    fn from(_: EventTooLong) -> Halt {
        Halt::Malformed("an event of the stream is larger than allowed")
    }
}

impl Answer {
    /// An answer of which nothing has come. `choices` is how many there will
    /// be; `logprobs` whether they were asked for.
    pub fn new(choices: u32, logprobs: bool) -> Answer {
        Answer {
            choices: vec![Progress::default(); choices.max(1) as usize],
            template: Template::default(),
            logprobs,
            begun: false,
            told: false,
            done: false,
            usage: None,
            model: None,
            id: None,
        }
    }

    /// Whether the provider has said that there is nothing more.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether any output has come.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether anything has been told since this was last asked.
    pub fn take_told(&mut self) -> bool {
        std::mem::take(&mut self.told)
    }

    /// Takes one event of a stream. What comes after `[DONE]` is ignored.
    pub fn take_event(&mut self, event: Event<'_>, emit: &mut dyn Emit) -> Result<(), Halt> {
        if self.done {
            return Ok(());
        }
        match event.name {
            b"" | b"message" => {}
            b"error" => return Err(Halt::Reported(lossy(event.data))),
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

    /// Takes one chunk of a stream, or a whole answer, which has the same form.
    pub fn take_json(&mut self, json: &[u8], emit: &mut dyn Emit) -> Result<(), Halt> {
        let chunk = parse(json)?;
        if let Some(error) = chunk.error {
            return Err(Halt::Reported(format!("{{\"error\":{}}}", error.get())));
        }
        if let Some(usage) = chunk.usage {
            self.take_usage(usage.get(), emit);
        }
        let only_text = chunk.only_text();
        keep_first(&mut self.id, chunk.id);
        keep_first(&mut self.model, chunk.model);
        for choice in chunk.choices {
            let index = choice.index.unwrap_or(0);
            if index as usize >= self.choices.len() {
                return Err(Halt::Malformed("the stream has a choice that was not asked for"));
            }
            if let Some(message) = choice.delta.or(choice.message) {
                self.take_message(index, message, emit)?;
            }
            if let Some(text) = choice.text {
                self.take_part(index, Part::Text, text, emit)?;
            }
            if let Some(logprobs) = choice.logprobs.filter(|_| self.logprobs) {
                self.tell(index, Piece::Logprobs(Cow::Borrowed(logprobs.get())), emit)?;
            }
            if let Some(reason) = choice.finish_reason {
                self.take_finish(index, reason, emit)?;
            }
        }
        // Not before all of it has proved good.
        if let Some((choice, part, text)) = only_text {
            self.template.learn(json, text, Place { choice, part });
        }
        Ok(())
    }

    /// Why each choice ended, if every one ended well.
    pub fn finish_reasons(&self) -> Result<Vec<FinishReason>, Halt> {
        self.choices
            .iter()
            .map(|choice| choice.finish)
            .collect::<Option<Vec<FinishReason>>>()
            .ok_or(Halt::Malformed("the stream ended before every choice had a finish reason"))
    }

    fn take_message(
        &mut self,
        index: u32,
        message: Message<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), Halt> {
        if let Some(text) = message.reasoning_content {
            self.take_part(index, Part::Reasoning, text, emit)?;
        }
        if let Some(text) = message.content {
            self.take_part(index, Part::Text, text, emit)?;
        }
        let old_form = message.function_call.map(ToolCall::from);
        for call in message.tool_calls.into_iter().chain(old_form) {
            let fragment = call
                .into_fragment()
                .map_err(|_| Halt::Malformed("the arguments of a tool call are no text"))?;
            self.tell(index, Piece::ToolCall(fragment), emit)?;
        }
        Ok(())
    }

    /// Text, which may have reasoning in it, or reasoning that comes apart.
    fn take_part(
        &mut self,
        index: u32,
        part: Part,
        Text(text): Text<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), Halt> {
        match part {
            Part::Text => {
                self.with_splitter(index, emit, |splitter, tell| splitter.split(text, tell))
            }
            Part::Reasoning if text.is_empty() => Ok(()),
            Part::Reasoning => {
                self.with_splitter(index, emit, |splitter, tell| {
                    splitter.reasoning_comes_apart(tell)
                })?;
                self.tell(index, Piece::Reasoning(text), emit)
            }
        }
    }

    fn take_finish(
        &mut self,
        index: u32,
        Text(reason): Text<'_>,
        emit: &mut dyn Emit,
    ) -> Result<(), Halt> {
        let Some(reason) = FinishReason::parse(&reason) else {
            return Err(Halt::BadFinish(reason.into_owned()));
        };
        self.with_splitter(index, emit, |splitter, tell| splitter.finish(tell))?;
        self.choices[index as usize].finish = Some(reason);
        Ok(())
    }

    /// Works with the splitter of a choice, and tells the pieces it makes.
    fn with_splitter(
        &mut self,
        index: u32,
        emit: &mut dyn Emit,
        work: impl FnOnce(
            &mut Splitter,
            &mut dyn FnMut(Part, Cow<'_, str>) -> Result<(), Halt>,
        ) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let mut splitter = self.choices[index as usize].splitter;
        let result = work(&mut splitter, &mut |part, text| {
            let piece = match part {
                Part::Text => Piece::Text(text),
                Part::Reasoning => Piece::Reasoning(text),
            };
            self.tell(index, piece, emit)
        });
        self.choices[index as usize].splitter = splitter;
        result
    }

    fn tell(&mut self, choice: u32, piece: Piece<'_>, emit: &mut dyn Emit) -> Result<(), Halt> {
        if !self.begun {
            self.begun = true;
            emit.phase(Phase::Streaming);
        }
        self.told = true;
        emit.delta(Delta { choice, piece }).map_err(Halt::Refused)
    }

    /// Counts that cannot be read are absent.
    fn take_usage(&mut self, json: &str, emit: &mut dyn Emit) {
        if let Ok(counts) = serde_json::from_str::<UsageCounts>(json) {
            let usage = counts.over(self.usage.unwrap_or_default());
            self.usage = Some(usage);
            emit.used(&usage);
        }
    }
}

fn parse(json: &[u8]) -> Result<Chunk<'_>, Halt> {
    let text = std::str::from_utf8(json)
        .map_err(|_| Halt::Malformed("an event of the stream is not valid UTF-8"))?;
    if !text.starts_with('{') {
        return Err(Halt::Malformed("an event of the stream is no JSON object"));
    }
    serde_json::from_str(text)
        .map_err(|_| Halt::Malformed("an event of the stream is not the JSON that was expected"))
}

/// Ids and names come with every chunk; the first is kept.
fn keep_first(kept: &mut Option<String>, text: Option<Text<'_>>) {
    if kept.is_none()
        && let Some(Text(text)) = text
    {
        *kept = Some(text.into_owned());
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
