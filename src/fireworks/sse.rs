//! Decodes a body of server-sent events: bytes in, events out, no I/O.
//!
//! It knows the framing of the [HTML standard][spec] and nothing of the events'
//! contents. The same bytes yield the same events, however the network splits
//! them. Every byte is scanned once and copied at most twice; an event that
//! lies within one read is not copied at all. Memory is bounded by the largest
//! event allowed.
//!
//! [spec]:
//! https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

use memchr::memchr2;

/// The decoder's state between two reads.
#[derive(Debug)]
pub struct Decoder {
    max_event_bytes: usize,
    /// A line whose end has not arrived.
    line: Vec<u8>,
    /// The data lines of the event so far, joined by line feeds.
    data: Vec<u8>,
    /// The event's name; empty if it has none.
    name: Vec<u8>,
    has_data: bool,
    /// The last read ended in a carriage return: a line feed that follows
    /// belongs to it.
    after_carriage_return: bool,
    at_start: bool,
}

/// One event. Borrowed from the read, or from the decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// The `event` field; empty if there was none.
    pub name: &'a [u8],
    /// The `data` lines, joined by line feeds. Unlike in a browser, an event
    /// with a name but no data is delivered too, with empty data: providers
    /// report failures that way.
    pub data: &'a [u8],
}

/// A line or an event exceeds the limit; the body cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTooLong;

/// The data of the current event that lies in the current read.
type Borrowed<'a> = Option<&'a [u8]>;

impl Decoder {
    /// Creates a decoder at the start of a body.
    pub fn new(max_event_bytes: usize) -> Decoder {
        Decoder {
            max_event_bytes,
            line: Vec::new(),
            data: Vec::new(),
            name: Vec::new(),
            has_data: false,
            after_carriage_return: false,
            at_start: true,
        }
    }

    /// Decodes one read and delivers every event it completes, in order. Stops
    /// at the first error, the receiver's or its own, and must not be called
    /// after one. An event that is unfinished when the body ends is never
    /// delivered.
    pub fn feed<E: From<EventTooLong>>(
        &mut self,
        read: &[u8],
        mut on_event: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = read;
        if self.after_carriage_return && !rest.is_empty() {
            self.after_carriage_return = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        let mut borrowed: Borrowed<'_> = None;
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            rest = self.skip_line_feed(rest[end], after);
            if self.line.is_empty() {
                self.take_line(line, &mut borrowed, &mut on_event)?;
            } else {
                self.keep_line(line, borrowed)?;
                let whole = std::mem::take(&mut self.line);
                let result = self.take_kept_line(&whole, &mut borrowed, &mut on_event);
                self.line = whole;
                self.line.clear();
                result?;
            }
        }
        if !rest.is_empty() {
            self.keep_line(rest, borrowed)?;
        }
        if let Some(data) = borrowed {
            self.data.extend_from_slice(data);
        }
        Ok(())
    }

    /// Returns the text after a line end: a line feed after a carriage return
    /// is part of it, even if it only arrives with the next read.
    fn skip_line_feed<'a>(&mut self, end: u8, after: &'a [u8]) -> &'a [u8] {
        if end == b'\n' {
            return after;
        }
        self.after_carriage_return = after.is_empty();
        after.strip_prefix(b"\n").unwrap_or(after)
    }

    fn keep_line(&mut self, part: &[u8], borrowed: Borrowed<'_>) -> Result<(), EventTooLong> {
        self.check_room(self.line.len() + part.len(), borrowed)?;
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Processes a line that began in an earlier read. Its data cannot stay borrowed.
    fn take_kept_line<E: From<EventTooLong>>(
        &mut self,
        line: &[u8],
        borrowed: &mut Borrowed<'_>,
        on_event: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut of_line = None;
        if let Some(data) = borrowed.take() {
            self.data.extend_from_slice(data);
        }
        self.take_line(line, &mut of_line, on_event)?;
        if let Some(data) = of_line {
            self.data.extend_from_slice(data);
        }
        Ok(())
    }

    #[inline]
    fn take_line<'a, E: From<EventTooLong>>(
        &mut self,
        line: &'a [u8],
        borrowed: &mut Borrowed<'a>,
        on_event: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.check_room(line.len(), *borrowed)?;
        let line = if self.at_start {
            self.at_start = false;
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            return self.end_event(borrowed.take(), on_event);
        }
        if let Some(value) = field(line, b"data") {
            self.take_data(value, borrowed);
        } else if let Some(value) = field(line, b"event") {
            self.name.clear();
            self.name.extend_from_slice(value);
        } else if let Some(value) = field(line, b"error").filter(|value| !value.is_empty()) {
            // Not in the standard: llama.cpp reports failures this way.
            self.name.clear();
            self.name.extend_from_slice(b"error");
            self.take_data(value, borrowed);
        }
        Ok(())
    }

    fn take_data<'a>(&mut self, value: &'a [u8], borrowed: &mut Borrowed<'a>) {
        if !self.has_data {
            self.has_data = true;
            *borrowed = Some(value);
            return;
        }
        if let Some(earlier) = borrowed.take() {
            self.data.extend_from_slice(earlier);
        }
        self.data.push(b'\n');
        self.data.extend_from_slice(value);
    }

    #[inline]
    fn end_event<E>(
        &mut self,
        borrowed: Borrowed<'_>,
        on_event: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.has_data && self.name.is_empty() {
            return Ok(());
        }
        let result = on_event(Event { name: &self.name, data: borrowed.unwrap_or(&self.data) });
        self.has_data = false;
        self.data.clear();
        self.name.clear();
        result
    }

    /// Counts every line, comments included, so that the limit does not depend
    /// on how the network splits the bytes.
    #[inline]
    fn check_room(&self, line: usize, borrowed: Borrowed<'_>) -> Result<(), EventTooLong> {
        let event = self.data.len() + borrowed.map_or(0, <[u8]>::len) + self.name.len();
        if event + line > self.max_event_bytes {
            return Err(EventTooLong);
        }
        Ok(())
    }
}

/// Returns the value of a line if it is of this field. A comment is a field
/// with an empty name.
#[inline]
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}
