//! The encoding of events as bytes: line ends, comments, pings and byte order marks.

use std::{borrow::Cow, fmt::Write};

use bytes::Bytes;
use serde_json::Value;

/// The framing of one stream's events.
#[derive(Debug, Clone, Default)]
pub(crate) struct Framing {
    pub(crate) line_end: LineEnd,
    pub(crate) comments: bool,
    pub(crate) pings: bool,
    pub(crate) several_data_lines: bool,
    pub(crate) byte_order_mark: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum LineEnd {
    #[default]
    Lf,
    CrLf,
    Cr,
}

impl Framing {
    /// Returns the beginning of the body.
    pub(crate) fn preamble(&self) -> &'static str {
        if self.byte_order_mark { "\u{feff}" } else { "" }
    }

    /// Encodes one event, with the noise that precedes it.
    pub(crate) fn event(&self, name: Option<&str>, data: &str) -> Bytes {
        let end = self.line_end.text();
        let mut text = String::with_capacity(data.len() + 16);
        if self.comments {
            let _ = write!(text, ": heartbeat{end}{end}");
        }
        if self.pings {
            let _ = write!(text, "event: ping{end}data: still here{end}{end}");
        }
        if let Some(name) = name {
            let _ = write!(text, "event: {name}{end}");
        }
        // Not `lines`: empty data is one empty line, not none.
        for line in self.data(data).split('\n') {
            let _ = write!(text, "data: {line}{end}");
        }
        text.push_str(end);
        Bytes::from(text)
    }

    /// Encodes a field `error`, which is not part of SSE, as a block of its own.
    pub(crate) fn error_field(&self, data: &str) -> Bytes {
        let end = self.line_end.text();
        Bytes::from(format!("error: {data}{end}{end}"))
    }

    /// Returns the data, spread over several lines if requested and if it is JSON.
    fn data<'a>(&self, data: &'a str) -> Cow<'a, str> {
        if !self.several_data_lines {
            return Cow::Borrowed(data);
        }
        serde_json::from_str::<Value>(data)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .map_or(Cow::Borrowed(data), Cow::Owned)
    }
}

impl LineEnd {
    fn text(self) -> &'static str {
        match self {
            LineEnd::Lf => "\n",
            LineEnd::CrLf => "\r\n",
            LineEnd::Cr => "\r",
        }
    }
}
