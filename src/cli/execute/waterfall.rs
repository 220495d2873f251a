//! Shows the phases of an execution as a waterfall in the terminal: the worker's
//! own timing, and the times that this caller saw. Phases that the worker did not
//! report are left out.
//!
//! ```text
//! cache        ▏                                   58µs
//! connect      ▍                                   12ms
//! first token  ██████████████████████████████▌    161ms
//! stream                                     █     40ms
//! ```

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use anstyle::{AnsiColor, Style};

use super::super::{terminal::DIM, units};
use crate::proto::{Completed, Timing};

/// The times that a caller sees, from its call on.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Seen {
    called: Instant,
    first_output: Option<Duration>,
}

impl Seen {
    /// Starts the clock as the call is made.
    pub(super) fn from_now() -> Seen {
        Seen { called: Instant::now(), first_output: None }
    }

    /// Notes the first output; later ones change nothing.
    pub(super) fn output(&mut self) {
        self.first_output.get_or_insert(self.called.elapsed());
    }
}

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bar {
    name: &'static str,
    style: Style,
    from: Duration,
    took: Duration,
}

const NAME_WIDTH: usize = 13;
const TIME_WIDTH: usize = 8;
/// The most cells of a waterfall, however wide the terminal.
const MOST_CELLS: usize = 60;
/// With fewer cells, only times are shown.
const LEAST_CELLS: usize = 8;
/// The width assumed without a terminal.
const USUAL_WIDTH: usize = 80;

/// Returns the width available to a waterfall on stderr.
pub(in crate::cli) fn width() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0))
}

/// Writes the waterfall, at most `width` columns wide: the worker's times as bars,
/// the caller's below them.
pub(in crate::cli) fn write(
    completed: &Completed,
    seen: Seen,
    width: usize,
    out: &mut impl Write,
) -> io::Result<()> {
    let total = seen.called.elapsed();
    let bars = completed.timing.as_ref().map(bars).unwrap_or_default();
    let whole = bars.iter().map(|bar| bar.from + bar.took).max().unwrap_or_default();
    let cells = width.saturating_sub(NAME_WIDTH + TIME_WIDTH).min(MOST_CELLS);
    for bar in bars {
        let Bar { name, style, took, .. } = bar;
        let time = units::span(took);
        let drawn = if cells < LEAST_CELLS { String::new() } else { bar.drawn(whole, cells) };
        writeln!(out, "{name:NAME_WIDTH$}{style}{drawn}{style:#}{time:>TIME_WIDTH$}")?;
    }
    writeln!(out, "{DIM}{}{DIM:#}", seen_here(seen, total))
}

/// Formats the caller's times, kept short: they may be all that fits.
fn seen_here(seen: Seen, total: Duration) -> String {
    let first = seen.first_output.map(|first| format!("first token {}, ", units::span(first)));
    format!("seen here: {}all {}", first.unwrap_or_default(), units::span(total))
}

/// Returns the bars in order. Each phase begins where the previous one ended; the
/// first token is placed by the worker's own time.
fn bars(timing: &Timing) -> Vec<Bar> {
    let known = |time: Option<prost_types::Duration>| Duration::try_from(time?).ok();
    let total = known(timing.total).unwrap_or_default();
    let first_token = known(timing.first_token).map(|first| first.min(total));
    let mut bars = Vec::new();
    let mut at = Duration::ZERO;
    let mut push = |name, colour: AnsiColor, took: Option<Duration>| {
        let Some(took) = took else { return };
        bars.push(Bar { name, style: colour.on_default(), from: at, took });
        at += took;
    };
    push("queue", AnsiColor::Yellow, known(timing.queue));
    push("cache", AnsiColor::Cyan, known(timing.cache));
    push("connect", AnsiColor::Blue, known(timing.connect));
    let before: Duration =
        [timing.queue, timing.cache, timing.connect].into_iter().filter_map(known).sum();
    push("first token", AnsiColor::Magenta, first_token.map(|at| at.saturating_sub(before)));
    push("stream", AnsiColor::Green, first_token.map(|first| total - first));
    bars
}

impl Bar {
    /// Draws the bar on a line of `cells` cells that stands for `whole`. Exact to
    /// an eighth of a cell; the shortest bar is still visible.
    fn drawn(self, whole: Duration, cells: usize) -> String {
        const PARTS: [char; 8] = ['█', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
        let eighths = |time: Duration| {
            let share = time.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
            (share * (cells * 8) as f64).round() as usize
        };
        let start = (eighths(self.from) / 8).min(cells - 1);
        let end = eighths(self.from + self.took).clamp(start * 8 + 1, cells * 8);
        let mut drawn = " ".repeat(start);
        drawn.extend(std::iter::repeat_n('█', end / 8 - start));
        if !end.is_multiple_of(8) {
            drawn.push(PARTS[end % 8]);
        }
        format!("{drawn:cells$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Option<prost_types::Duration> {
        prost_types::Duration::try_from(Duration::from_millis(millis)).ok()
    }

    fn timing() -> Timing {
        Timing {
            queue: None,
            cache: millis(10),
            connect: millis(40),
            first_token: millis(200),
            total: millis(400),
        }
    }

    fn drawn(timing: Timing, width: usize) -> Vec<String> {
        let completed = Completed { timing: Some(timing), ..Completed::default() };
        let mut out = anstream::StripStream::new(Vec::new());
        write(&completed, Seen::from_now(), width, &mut out).expect("written");
        let text = String::from_utf8(out.into_inner()).expect("text");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_phase_begins_where_the_one_before_ended() {
        let lines = drawn(timing(), 61);
        assert_eq!(
            lines[..4],
            [
                "cache        █                                           10ms",
                "connect       ████                                       40ms",
                "first token       ███████████████                       150ms",
                "stream                           ████████████████████   200ms",
            ]
        );
        assert!(lines[4].starts_with("seen here: all "), "{}", lines[4]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 24..200 {
            for line in drawn(timing(), width) {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn a_narrow_terminal_shows_times_without_bars() {
        let lines = drawn(timing(), 24);
        assert_eq!(lines[1], "connect          40ms");
    }

    #[test]
    fn the_shortest_phase_is_seen_and_the_last_ends_with_the_line() {
        let lines = drawn(Timing { cache: millis(0), connect: None, ..timing() }, 61);
        assert!(lines[0].contains('▏'), "{}", lines[0]);
        assert!(lines[2].contains("█   200ms"), "{}", lines[2]);
    }

    #[test]
    fn what_the_worker_does_not_say_has_no_bar() {
        assert_eq!(drawn(Timing::default(), 80).len(), 1);
    }
}
