//! An answer as a person or a pipe reads it, piece by piece.
//!
//! On a terminal: reasoning, dimmed, then the text, with control characters made
//! visible. Anywhere else: the text as the model wrote it. Tool calls and
//! further choices follow when the answer is complete.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::super::terminal::{DIM, HEADING, WARNING, printable};
use crate::proto::{Choice, Completed, Delta, Restarted, ToolCall};

/// How the answer is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// For a person, rather than a file or a pipe.
    pub(super) terminal: bool,
    /// Nothing is printed before the answer is complete.
    pub(super) held: bool,
}

/// What was printed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Nothing,
    Reasoning,
    Text,
}

/// Prints an answer. Every call ends in a flush, so that what came is seen.
#[derive(Debug)]
pub(super) struct Transcript<W> {
    out: W,
    layout: Layout,
    section: Section,
    at_line_start: bool,
}

impl<W: Write> Transcript<W> {
    pub(super) fn new(out: W, layout: Layout) -> Transcript<W> {
        Transcript { out, layout, section: Section::Nothing, at_line_start: true }
    }

    /// Whether [`delta`](Transcript::delta) would print anything: only the first
    /// choice streams, since two cannot share a line.
    pub(super) fn prints(&self, delta: &Delta) -> bool {
        let reasoning = self.layout.terminal && !delta.reasoning.is_empty();
        !self.layout.held && delta.choice == 0 && (reasoning || !delta.text.is_empty())
    }

    /// Prints a piece of the first choice.
    pub(super) fn delta(&mut self, delta: &Delta) -> io::Result<()> {
        if self.prints(delta) {
            self.reasoning(&delta.reasoning)?;
            self.text(&delta.text)?;
        }
        self.out.flush()
    }

    /// Says that what came before is void, where it was printed; whether so.
    pub(super) fn restarted(&mut self, restarted: &Restarted) -> io::Result<bool> {
        if self.section == Section::Nothing {
            return Ok(false);
        }
        self.end_line()?;
        let reason = printable(&restarted.reason);
        writeln!(
            self.out,
            "{WARNING}── {reason}: starts again, what came before is void ──{WARNING:#}"
        )?;
        self.section = Section::Nothing;
        self.out.flush()?;
        Ok(true)
    }

    /// Prints what is still missing of the answer.
    pub(super) fn completed(&mut self, completed: &Completed) -> io::Result<()> {
        let streamed = self.section != Section::Nothing;
        let several = completed.choices.len() > 1;
        for choice in &completed.choices {
            let text_is_there = streamed && choice.index == 0;
            if several && !text_is_there {
                self.end_line()?;
                writeln!(self.out, "{}", self.heading(choice.index))?;
            }
            if !text_is_there {
                self.section = Section::Nothing;
                self.reasoning(&choice.reasoning)?;
                self.text(answer(choice))?;
            }
            self.end_line()?;
            for call in &choice.tool_calls {
                self.tool_call(call)?;
            }
        }
        self.out.flush()
    }

    /// Ends a line that was begun.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        if !self.at_line_start {
            writeln!(self.out)?;
            self.at_line_start = true;
        }
        self.out.flush()
    }

    fn reasoning(&mut self, reasoning: &str) -> io::Result<()> {
        if !self.layout.terminal || reasoning.is_empty() {
            return Ok(());
        }
        write!(self.out, "{DIM}{}{DIM:#}", printable(reasoning))?;
        self.section = Section::Reasoning;
        self.at_line_start = reasoning.ends_with('\n');
        Ok(())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.section == Section::Reasoning {
            self.end_line()?;
            writeln!(self.out)?;
        }
        self.out.write_all(self.shown(text).as_bytes())?;
        self.section = Section::Text;
        self.at_line_start = text.ends_with('\n');
        Ok(())
    }

    fn tool_call(&mut self, call: &ToolCall) -> io::Result<()> {
        let line = format!("→ {}({})", call.name, call.arguments);
        let id = self.shown(&call.id).into_owned();
        match self.layout.terminal {
            true => writeln!(self.out, "{}  {DIM}{id}{DIM:#}", printable(&line)),
            false => writeln!(self.out, "{line}  {id}"),
        }
    }

    fn heading(&self, choice: u32) -> String {
        match self.layout.terminal {
            true => format!("{HEADING}── choice {choice} ──{HEADING:#}"),
            false => format!("── choice {choice} ──"),
        }
    }

    fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.layout.terminal {
            true => printable(text),
            false => Cow::Borrowed(text),
        }
    }
}

/// With JSON output, the JSON that was checked: without a fence or anything
/// around it.
fn answer(choice: &Choice) -> &str {
    match choice.json.is_empty() {
        true => &choice.text,
        false => &choice.json,
    }
}
