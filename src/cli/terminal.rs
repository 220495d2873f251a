//! Terminal output: colours, text made safe to print, and the progress line. Used
//! by every command.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    pin::pin,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};

/// A title.
pub(super) const HEADING: Style = Style::new().bold();
/// Secondary text: reasoning, measurements, comments.
pub(super) const DIM: Style = Style::new().dimmed();
/// A success.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// A warning.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
/// A failure.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Makes foreign text safe for a terminal: control characters, which could move the
/// cursor or worse, become visible. Line ends and tabs are kept.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let harmless = |character: char| !character.is_control() || matches!(character, '\n' | '\t');
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if harmless(character) {
            safe.push(character);
        } else {
            safe.extend(character.escape_default());
        }
    }
    Cow::Owned(safe)
}

/// The progress line of a terminal: the current phase and its duration. Never shown
/// on anything but a terminal.
#[derive(Debug)]
pub(super) struct PhaseLine {
    shown: bool,
    wanted: bool,
    since: Instant,
    phase: Cow<'static, str>,
    next_frame: tokio::time::Instant,
    frame: usize,
}

impl PhaseLine {
    const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
    const TICK: Duration = Duration::from_millis(80);

    /// Creates the line, which is shown on stderr if `wanted` and stderr is a
    /// terminal.
    pub(super) fn new(phase: &'static str, wanted: bool) -> PhaseLine {
        PhaseLine {
            shown: false,
            wanted: wanted && io::stderr().is_terminal(),
            since: Instant::now(),
            phase: phase.into(),
            next_frame: tokio::time::Instant::now() + PhaseLine::TICK,
            frame: 0,
        }
    }

    /// Sets the phase to show.
    pub(super) fn set(&mut self, phase: impl Into<Cow<'static, str>>) {
        self.phase = phase.into();
    }

    /// Awaits `future` and shows the line meanwhile. Dropping this drops `future`;
    /// the line is cleared with the `PhaseLine`.
    pub(super) async fn during<T>(&mut self, future: impl Future<Output = T>) -> T {
        if !self.wanted {
            return future.await;
        }
        let mut future = pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return output,
                () = tokio::time::sleep_until(self.next_frame) => self.draw(),
            }
        }
    }

    /// Clears the line so that something else can be printed there.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            // Failing to clear the line must not fail the command.
            let _ = io::stderr().write_all(b"\r\x1b[2K");
        }
    }

    /// Clears the line for good.
    pub(super) fn end(&mut self) {
        self.clear();
        self.wanted = false;
    }

    fn draw(&mut self) {
        let spinner = PhaseLine::FRAMES[self.frame % PhaseLine::FRAMES.len()];
        let seconds = self.since.elapsed().as_secs_f64();
        let phase = &self.phase;
        self.frame += 1;
        self.next_frame = tokio::time::Instant::now() + PhaseLine::TICK;
        self.shown = true;
        // Cursor movement is needed even without colours, and `anstream` would
        // strip it along with them.
        let dim = match anstream::AutoStream::choice(&io::stderr()) {
            anstream::ColorChoice::Never => Style::new(),
            _ => DIM,
        };
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[2K{dim}{spinner} {phase} {seconds:.1}s{dim:#}");
        let _ = stderr.flush();
    }
}

impl Drop for PhaseLine {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_command_the_terminal() {
        assert_eq!(printable("plain 글\n\tline"), "plain 글\n\tline");
        assert_eq!(printable("\x1b[2Jgone\r"), "\\u{1b}[2Jgone\\r");
        assert_eq!(printable("\u{9b}31m"), "\\u{9b}31m");
    }
}
