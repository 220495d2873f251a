//! Extracts the reasoning from text that has it inside `<think>…</think>`.
//!
//! Some models send their reasoning in a separate field, others write it in
//! tags at the start of the answer. Only a tag that opens the answer counts: a
//! later one is part of the text. White space after a tag belongs to the tag.
//! Tags may be split between two pieces; only a prefix of a known tag is ever
//! held back, so nothing is buffered.
//!
//! There is one instance per choice.

use std::borrow::Cow;

use memchr::memchr;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// The kind of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextKind {
    /// The answer itself.
    Text,
    /// The model's reasoning.
    Reasoning,
}

/// The position of a choice within its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Splitter {
    place: TagPosition,
    /// Bytes of the expected tag matched so far.
    matched: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TagPosition {
    /// Nothing but white space has arrived.
    #[default]
    Head,
    /// Right after the opening tag.
    Opened,
    Thinking,
    /// Right after the closing tag.
    Closed,
    Text,
}

impl Splitter {
    /// Splits a piece of text into its parts.
    pub(super) fn split<E>(
        &mut self,
        text: Cow<'_, str>,
        mut emit: impl FnMut(TextKind, Cow<'_, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.place {
            _ if text.is_empty() => return Ok(()),
            TagPosition::Text => return emit(TextKind::Text, text),
            TagPosition::Thinking
                if self.matched == 0 && memchr(b'<', text.as_bytes()).is_none() =>
            {
                return emit(TextKind::Reasoning, text);
            }
            _ => {}
        }
        let mut rest = text.as_ref();
        while !rest.is_empty() {
            let (piece, after) = self.step(rest);
            if let Some((part, piece)) = piece
                && !piece.is_empty()
            {
                emit(part, Cow::Borrowed(piece))?;
            }
            rest = after;
        }
        Ok(())
    }

    /// Marks that reasoning arrives in a separate field: tags in the text are text.
    pub(super) fn reasoning_comes_apart<E>(
        &mut self,
        emit: impl FnMut(TextKind, Cow<'_, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.place != TagPosition::Head {
            return Ok(());
        }
        self.finish(emit)
    }

    /// Ends the text: an unfinished tag turns out to be text.
    pub(super) fn finish<E>(
        &mut self,
        mut emit: impl FnMut(TextKind, Cow<'_, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (part, tag) = match self.place {
            TagPosition::Thinking => (TextKind::Reasoning, CLOSE),
            _ => (TextKind::Text, OPEN),
        };
        let held = &tag[..self.matched];
        *self = Splitter { place: TagPosition::Text, matched: 0 };
        if held.is_empty() {
            return Ok(());
        }
        emit(part, Cow::Borrowed(held))
    }

    /// Performs one step: returns a piece to emit, if any, and the remaining text.
    fn step<'a>(&mut self, text: &'a str) -> (Option<(TextKind, &'a str)>, &'a str) {
        match self.place {
            TagPosition::Head if self.matched == 0 => self.look_for_opening(text),
            TagPosition::Head => self.go_on_with_tag(text, OPEN, TextKind::Text),
            TagPosition::Opened => (None, self.after_white_space(text, TagPosition::Thinking)),
            TagPosition::Thinking if self.matched == 0 => self.look_for_closing(text),
            TagPosition::Thinking => self.go_on_with_tag(text, CLOSE, TextKind::Reasoning),
            TagPosition::Closed => (None, self.after_white_space(text, TagPosition::Text)),
            TagPosition::Text => (Some((TextKind::Text, text)), ""),
        }
    }

    fn look_for_opening<'a>(&mut self, text: &'a str) -> (Option<(TextKind, &'a str)>, &'a str) {
        let trimmed = text.trim_start();
        let (space, text) = text.split_at(text.len() - trimmed.len());
        if !text.is_empty() && !self.begin_tag(text, OPEN) {
            self.place = TagPosition::Text;
        }
        (Some((TextKind::Text, space)), self.after_tag(text, OPEN))
    }

    fn look_for_closing<'a>(&mut self, text: &'a str) -> (Option<(TextKind, &'a str)>, &'a str) {
        let mut from = 0;
        while let Some(at) = memchr(b'<', &text.as_bytes()[from..]).map(|at| at + from) {
            if self.begin_tag(&text[at..], CLOSE) {
                let after = self.after_tag(&text[at..], CLOSE);
                return (Some((TextKind::Reasoning, &text[..at])), after);
            }
            from = at + 1;
        }
        (Some((TextKind::Reasoning, text)), "")
    }

    /// Returns true if the text begins with the tag, or is a prefix of it.
    fn begin_tag(&mut self, text: &str, tag: &str) -> bool {
        let length = text.len().min(tag.len());
        if text.as_bytes()[..length] != tag.as_bytes()[..length] {
            return false;
        }
        self.advance(length, tag);
        true
    }

    /// Returns the text left over by [`begin_tag`](Self::begin_tag).
    fn after_tag<'a>(&self, text: &'a str, tag: &str) -> &'a str {
        match self.place {
            TagPosition::Text => text,
            _ => &text[text.len().min(tag.len())..],
        }
    }

    /// Continues a tag that began in an earlier piece.
    fn go_on_with_tag<'a>(
        &mut self,
        text: &'a str,
        tag: &'static str,
        part: TextKind,
    ) -> (Option<(TextKind, &'a str)>, &'a str) {
        let held = self.matched;
        let missing = &tag.as_bytes()[held..];
        let length = text.len().min(missing.len());
        if text.as_bytes()[..length] == missing[..length] {
            self.advance(held + length, tag);
            return (None, &text[length..]);
        }
        self.matched = 0;
        if part == TextKind::Text {
            self.place = TagPosition::Text;
        }
        (Some((part, &tag[..held])), text)
    }

    fn advance(&mut self, matched: usize, tag: &str) {
        self.matched = matched;
        if matched == tag.len() {
            self.matched = 0;
            self.place = match self.place {
                TagPosition::Head => TagPosition::Opened,
                _ => TagPosition::Closed,
            };
        }
    }

    fn after_white_space<'a>(&mut self, text: &'a str, next: TagPosition) -> &'a str {
        let text = text.trim_start();
        if !text.is_empty() {
            self.place = next;
        }
        text
    }
}
