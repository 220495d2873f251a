//! Plots as inline SVG. Colours come from the page's style, so that they follow light
//! and dark; dashes distinguish lines without them.

use std::fmt::Write as _;

use super::escape::escaped;

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 44.0;

/// About how many ticks an axis has.
const TICKS: f64 = 5.0;
/// The number of colours in the page's style; beyond it, dots are open.
const COLOURS: usize = 8;
const DASHES: [&str; 4] = ["none", "6 3", "2 3", "8 3 2 3"];

/// A plot of several series.
pub(super) struct Plot {
    pub(super) title: String,
    /// The axes' labels.
    pub(super) x: String,
    pub(super) y: String,
    /// True if the horizontal axis starts at 0; the vertical one always does.
    pub(super) from_zero: bool,
    pub(super) mark: Mark,
    pub(super) series: Vec<Points>,
}

/// A series of a plot.
pub(super) struct Points {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// The way in which points are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Line,
    Dots,
    LineAndDots,
}

/// A linear axis, from values to places in the drawing.
struct Axis {
    from: f64,
    to: f64,
    step: f64,
    start: f64,
    length: f64,
}

impl Axis {
    /// Creates an axis from `start` over `length` (negative for upward), with round
    /// numbers at its ends.
    fn new(values: impl Iterator<Item = f64>, from_zero: bool, start: f64, length: f64) -> Axis {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let low = if from_zero { 0.0 } else { low };
        let high = if high > low { high } else { low + low.abs().max(1.0) * 0.1 };
        let step = round_step((high - low) / TICKS);
        Axis {
            from: (low / step).floor() * step,
            to: (high / step).ceil() * step,
            step,
            start,
            length,
        }
    }

    fn place(&self, value: f64) -> f64 {
        self.start + (value - self.from) / (self.to - self.from) * self.length
    }

    /// Returns the ticks, each with its text.
    fn ticks(&self) -> impl Iterator<Item = (f64, String)> {
        let decimals = (-self.step.log10().floor()).max(0.0) as usize;
        let count = ((self.to - self.from) / self.step).round() as u32;
        (0..=count).map(move |index| {
            let value = self.from + f64::from(index) * self.step;
            (self.place(value), format!("{value:.decimals$}"))
        })
    }
}

/// Returns the least of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step);
    factor.unwrap_or(10.0) * power
}

/// Returns the plot with its legend, as a figure.
pub(super) fn figure(plot: &Plot) -> String {
    let title = escaped(&plot.title);
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let x = Axis::new(points().map(|point| point.0), plot.from_zero, LEFT, WIDTH - LEFT - RIGHT);
    let y = Axis::new(points().map(|point| point.1), true, HEIGHT - BOTTOM, TOP + BOTTOM - HEIGHT);
    let mut figure = format!(
        "<figure>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}. The \
         table under Figures has the numbers.\">\n"
    );
    figure += &axes(plot, &x, &y);
    for (index, series) in plot.series.iter().enumerate() {
        figure += &drawn(series, index, plot.mark, &x, &y);
    }
    figure + "</svg>\n" + &legend(plot) + "</figure>\n"
}

fn axes(plot: &Plot, x: &Axis, y: &Axis) -> String {
    let mut drawing = String::new();
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for (place, text) in y.ticks() {
        let _ = writeln!(
            drawing,
            "<path class=\"grid\" d=\"M{LEFT} {place:.1}H{right}\"/><text class=\"y\" x=\"{}\" \
             y=\"{:.1}\">{text}</text>",
            LEFT - 6.0,
            place + 4.0
        );
    }
    for (place, text) in x.ticks() {
        let _ = writeln!(
            drawing,
            "<path class=\"grid\" d=\"M{place:.1} {TOP}V{bottom}\"/><text class=\"x\" \
             x=\"{place:.1}\" y=\"{}\">{text}</text>",
            bottom + 16.0
        );
    }
    let middle = (TOP + bottom) / 2.0;
    let _ = writeln!(
        drawing,
        "<text class=\"x\" x=\"{}\" y=\"{}\">{}</text>\n<text class=\"x\" \
         transform=\"translate(14 {middle}) rotate(-90)\">{}</text>",
        (LEFT + right) / 2.0,
        HEIGHT - 6.0,
        escaped(&plot.x),
        escaped(&plot.y)
    );
    drawing
}

fn drawn(series: &Points, index: usize, mark: Mark, x: &Axis, y: &Axis) -> String {
    let places: Vec<(f64, f64)> =
        series.points.iter().map(|point| (x.place(point.0), y.place(point.1))).collect();
    let mut drawing = format!("<g class=\"{}\">", class(index));
    if mark != Mark::Dots && !places.is_empty() {
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let dashes = dashes(index);
        let path = path.join("L");
        let _ = write!(drawing, "<path class=\"line\" {dashes} d=\"M{path}\"/>");
    }
    if mark != Mark::Line {
        for (x, y) in places {
            let _ = write!(drawing, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>");
        }
    }
    drawing + "</g>\n"
}

/// Returns the class of a series: its colour, and open dots in every other cycle.
fn class(index: usize) -> String {
    let open = if index / COLOURS % 2 == 1 { " open" } else { "" };
    format!("s{}{open}", index % COLOURS)
}

fn dashes(index: usize) -> String {
    // Shifted with each cycle of the colours, so that no pair of both comes again soon.
    format!("stroke-dasharray=\"{}\"", DASHES[(index + index / COLOURS) % DASHES.len()])
}

fn legend(plot: &Plot) -> String {
    let mut legend = format!("<figcaption>{}<ul>\n", escaped(&plot.title));
    for (index, series) in plot.series.iter().enumerate() {
        let mark = match plot.mark {
            Mark::Dots => "<circle cx=\"14\" cy=\"5\" r=\"4\"/>".to_owned(),
            Mark::Line | Mark::LineAndDots => {
                format!("<path class=\"line\" {} d=\"M0 5H28\"/>", dashes(index))
            }
        };
        let _ = writeln!(
            legend,
            "<li><svg class=\"key {}\" viewBox=\"0 0 28 10\" aria-hidden=\"true\">{mark}</svg>\
             {}</li>",
            class(index),
            escaped(&series.name)
        );
    }
    legend + "</ul></figcaption>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: &[f64], from_zero: bool) -> (Vec<String>, f64, f64) {
        let axis = Axis::new(values.iter().copied(), from_zero, 0.0, 100.0);
        let ticks = axis.ticks().map(|(_, text)| text).collect();
        (ticks, axis.from, axis.to)
    }

    #[test]
    fn an_axis_has_round_numbers_around_its_values() {
        assert_eq!(axis(&[0.31, 1.24], true).0, ["0.0", "0.5", "1.0", "1.5"]);
        assert_eq!(axis(&[310.0, 342.0], false).0, ["310", "320", "330", "340", "350"]);
        for values in [&[][..], &[0.0], &[5.0], &[5.0, 5.0], &[1e-6, 1e6]] {
            for from_zero in [true, false] {
                let (ticks, from, to) = axis(values, from_zero);
                assert!(from < to && (2..20).contains(&ticks.len()), "{values:?} {ticks:?}");
                assert!(values.iter().all(|value| (from..=to).contains(value)), "{values:?}");
            }
        }
    }

    #[test]
    fn the_first_32_series_all_look_different() {
        let looks: std::collections::HashSet<String> =
            (0..4 * COLOURS).map(|index| format!("{} {}", class(index), dashes(index))).collect();
        assert_eq!(looks.len(), 4 * COLOURS);
        let dots: std::collections::HashSet<String> = (0..2 * COLOURS).map(class).collect();
        assert_eq!(dots.len(), 2 * COLOURS);
    }

    #[test]
    fn a_name_cannot_write_into_the_page() {
        let plot = Plot {
            title: "a < b".to_owned(),
            x: "x".to_owned(),
            y: "y".to_owned(),
            from_zero: true,
            mark: Mark::LineAndDots,
            series: vec![Points { name: "<script>".to_owned(), points: vec![(1.0, 2.0)] }],
        };
        let figure = figure(&plot);
        assert!(!figure.contains("<script>") && figure.contains("&lt;script&gt;"), "{figure}");
        assert!(!figure.contains("NaN"), "{figure}");
    }
}
