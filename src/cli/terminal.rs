//! What a person sees: colours, texts made safe to show, and the line that says
//! what is waited for. Used by every command; knows nothing of what it shows.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    pin::pin,
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};

/// A title.
pub(super) const HEADING: Style = Style::new().bold();
/// What is beside the point: reasoning, figures, comments.
pub(super) const DIM: Style = Style::new().dimmed();
/// Something that went as it should.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Something to know about.
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
/// Something that failed.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();

/// A text of somebody else, safe for a terminal: its control characters, which
/// could move the cursor or worse, become visible. Lines and tabs stay.
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

/// The last line of a terminal while nothing else is there: what is waited for,
/// and since when. On anything but a terminal it does not exist.
#[derive(Debug)]
pub(super) struct PhaseLine {
    shown: bool,
    wanted: bool,
    since: Instant,
    phase: &'static str,
    frame: usize,
}

impl PhaseLine {
    const FRAMES: [char; 10] = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏'];
    const TICK: Duration = Duration::from_millis(80);

    /// A line on stderr, if `wanted` and stderr is a terminal.
    pub(super) fn new(phase: &'static str, wanted: bool) -> PhaseLine {
        PhaseLine {
            shown: false,
            wanted: wanted && io::stderr().is_terminal(),
            since: Instant::now(),
            phase,
            frame: 0,
        }
    }

    /// What is waited for from now on.
    pub(super) fn set(&mut self, phase: &'static str) {
        self.phase = phase;
    }

    /// Waits for `future` and shows the line meanwhile. Dropping it drops
    /// `future`; the line goes with the `PhaseLine`.
    pub(super) async fn during<T>(&mut self, future: impl Future<Output = T>) -> T {
        if !self.wanted {
            return future.await;
        }
        let mut future = pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return output,
                () = tokio::time::sleep(PhaseLine::TICK) => self.draw(),
            }
        }
    }

    /// Takes the line away, for something else to be printed there.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            // A line that cannot be cleared is no reason to fail.
            let _ = io::stderr().write_all(b"\r\x1b[2K");
        }
    }

    /// Takes the line away for good.
    pub(super) fn end(&mut self) {
        self.clear();
        self.wanted = false;
    }

    fn draw(&mut self) {
        let spinner = PhaseLine::FRAMES[self.frame % PhaseLine::FRAMES.len()];
        let seconds = self.since.elapsed().as_secs_f64();
        let phase = self.phase;
        self.frame += 1;
        self.shown = true;
        // The cursor's moves are needed without colours too, and `anstream`
        // would take them out with the colours.
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
