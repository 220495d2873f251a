//! Prints an answer piece by piece.
//!
//! On a terminal: dimmed reasoning, then the text, with control characters made
//! visible. Elsewhere: the text as the model wrote it. Tool calls and further
//! choices follow when the answer is complete.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use super::super::terminal::{DIM, HEADING, WARNING, printable};
use crate::proto::{Choice, Completed, Delta, Embeddings, Restarted, ToolCall};

/// The layout of an answer.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Layout {
    /// True for a terminal, rather than a file or a pipe.
    pub(in crate::cli) terminal: bool,
    /// True to print nothing before the answer is complete.
    pub(in crate::cli) held: bool,
}

/// The kind of output printed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Nothing,
    Reasoning,
    Text,
}

/// Prints an answer. Every method flushes, so that output appears as it arrives.
#[derive(Debug)]
pub(in crate::cli) struct Transcript<W> {
    out: W,
    layout: Layout,
    section: Section,
    at_line_start: bool,
}

impl<W: Write> Transcript<W> {
    /// Numbers of a vector that a terminal shows.
    const FEW_NUMBERS: usize = 4;

    pub(in crate::cli) fn new(out: W, layout: Layout) -> Transcript<W> {
        Transcript { out, layout, section: Section::Nothing, at_line_start: true }
    }

    /// Returns true if [`delta`](Transcript::delta) would print anything. Only the
    /// first choice streams: two cannot share a line.
    pub(in crate::cli) fn prints(&self, delta: &Delta) -> bool {
        let reasoning = self.layout.terminal && !delta.reasoning.is_empty();
        !self.layout.held && delta.choice == 0 && (reasoning || !delta.text.is_empty())
    }

    /// Prints a piece of the first choice.
    pub(in crate::cli) fn delta(&mut self, delta: &Delta) -> io::Result<()> {
        if self.prints(delta) {
            self.reasoning(&delta.reasoning)?;
            self.text(&delta.text)?;
        }
        self.out.flush()
    }

    /// Marks the output so far as void, if there is any. Returns true if it
    /// printed.
    pub(in crate::cli) fn restarted(&mut self, restarted: &Restarted) -> io::Result<bool> {
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

    /// Prints the rest of the answer.
    pub(in crate::cli) fn completed(&mut self, completed: &Completed) -> io::Result<()> {
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
        if let Some(embeddings) = &completed.embeddings {
            self.vectors(embeddings)?;
        }
        self.out.flush()
    }

    /// Prints each vector as a line of JSON; on a terminal, the beginning of it.
    fn vectors(&mut self, embeddings: &Embeddings) -> io::Result<()> {
        let dimensions = embeddings.dimensions as usize;
        for vector in embeddings.vectors.chunks_exact((dimensions * size_of::<f32>()).max(1)) {
            let (floats, _) = vector.as_chunks();
            let numbers: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            if self.layout.terminal && dimensions > Transcript::<W>::FEW_NUMBERS {
                let few = &numbers[..Transcript::<W>::FEW_NUMBERS];
                writeln!(self.out, "{few:?} {DIM}and {} more{DIM:#}", dimensions - few.len())?;
            } else {
                writeln!(self.out, "{}", serde_json::to_string(&numbers)?)?;
            }
        }
        Ok(())
    }

    /// Ends the current line, if it has text.
    pub(in crate::cli) fn end_line(&mut self) -> io::Result<()> {
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

/// Returns a choice's answer: with JSON output, the checked JSON without fences or
/// surrounding text.
fn answer(choice: &Choice) -> &str {
    match choice.json.is_empty() {
        true => &choice.text,
        false => &choice.json,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(terminal: bool) -> Transcript<Vec<u8>> {
        let layout = Layout { terminal, held: false };
        Transcript::new(Vec::new(), layout)
    }

    fn printed(transcript: Transcript<Vec<u8>>) -> String {
        String::from_utf8(transcript.out).unwrap()
    }

    fn reasoning(text: &str) -> Delta {
        Delta { reasoning: text.to_owned(), ..Delta::default() }
    }

    fn text(text: &str) -> Delta {
        Delta { text: text.to_owned(), ..Delta::default() }
    }

    fn completed(text: &str, reasoning: &str) -> Completed {
        let choice =
            Choice { text: text.to_owned(), reasoning: reasoning.to_owned(), ..Choice::default() };
        Completed { choices: vec![choice], ..Completed::default() }
    }

    #[test]
    fn a_terminal_shows_the_reasoning_dimmed_and_apart() {
        let mut transcript = transcript(true);
        for delta in [reasoning("Hm, "), reasoning("so."), text("It "), text("is.")] {
            transcript.delta(&delta).unwrap();
        }
        transcript.completed(&completed("It is.", "Hm, so.")).unwrap();
        let shown = format!("{DIM}Hm, {DIM:#}{DIM}so.{DIM:#}\n\nIt is.\n");
        assert_eq!(printed(transcript), shown);
    }

    #[test]
    fn a_vector_is_a_line_of_json_and_its_beginning_on_a_terminal() {
        let numbers = [0.1_f32, -2.0, 3.5e-7, 4.0, 5.25];
        let vectors = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let embeddings = Embeddings { dimensions: 5, vectors, ..Embeddings::default() };
        let completed = Completed { embeddings: Some(embeddings), ..Completed::default() };
        let mut pipe = transcript(false);
        pipe.completed(&completed).unwrap();
        assert_eq!(printed(pipe), "[0.1,-2.0,3.5e-7,4.0,5.25]\n");
        let mut terminal = transcript(true);
        terminal.completed(&completed).unwrap();
        let shown = format!("[0.1, -2.0, 3.5e-7, 4.0] {DIM}and 1 more{DIM:#}\n");
        assert_eq!(printed(terminal), shown);
    }

    #[test]
    fn a_terminal_obeys_no_command_of_the_model() {
        let mut transcript = transcript(true);
        transcript.delta(&text("\x1b[2J")).unwrap();
        assert_eq!(printed(transcript), "\\u{1b}[2J");
    }

    #[test]
    fn an_answer_of_which_no_delta_came_is_printed_at_its_end() {
        let mut transcript = transcript(false);
        transcript.completed(&completed("It is.", "Hm.")).unwrap();
        assert_eq!(printed(transcript), "It is.\n");
    }

    #[test]
    fn what_is_void_is_called_so_and_the_answer_is_printed_again() {
        let mut transcript = transcript(true);
        let restarted = Restarted { attempt: 2, reason: "STREAM_INTERRUPTED".to_owned() };
        assert!(!transcript.restarted(&restarted).unwrap(), "nothing was printed yet");
        transcript.delta(&text("It w")).unwrap();
        assert!(transcript.restarted(&restarted).unwrap());
        transcript.delta(&text("It is.")).unwrap();
        transcript.completed(&completed("It is.", "")).unwrap();
        let shown = printed(transcript);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!((lines[0], lines[2], lines.len()), ("It w", "It is.", 3));
        assert!(lines[1].contains("STREAM_INTERRUPTED: starts again"), "{shown}");
    }
}
