//! Tables for people. A long last column is wrapped between words, its lines
//! aligned.

use std::io::{self, Write};

use anstyle::Style;

use super::terminal::{DIM, printable};

/// The width of a table, if the columns before the last allow it.
const WIDTH: usize = 100;

/// The minimum width of the last column, however far right it begins.
const LEAST_LAST_WIDTH: usize = 40;

/// Rows under a heading.
#[derive(Debug)]
pub(super) struct Table<const COLUMNS: usize> {
    heading: [&'static str; COLUMNS],
    rows: Vec<[Cell; COLUMNS]>,
}

/// One cell of a table.
#[derive(Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Creates a cell whose text is made safe to print.
    pub(super) fn new(text: &str) -> Cell {
        Cell::styled(text, Style::new())
    }

    /// Creates a cell with a style, which the last column ignores.
    pub(super) fn styled(text: &str, style: Style) -> Cell {
        Cell { text: printable(text).replace(['\n', '\t'], " "), style }
    }
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    pub(super) fn new(heading: [&'static str; COLUMNS]) -> Table<COLUMNS> {
        Table { heading, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: [Cell; COLUMNS]) {
        self.rows.push(row);
    }

    /// Writes the table, each line indented by `indent` spaces.
    pub(super) fn write(&self, indent: usize, out: &mut impl Write) -> io::Result<()> {
        let widths = self.widths();
        write!(out, "{:indent$}{DIM}", "")?;
        for (title, width) in self.heading.iter().zip(widths) {
            write!(out, "{title:width$}")?;
        }
        writeln!(out, "{DIM:#}")?;
        let last_start = indent + widths.iter().sum::<usize>();
        let last_width = WIDTH.saturating_sub(last_start).max(LEAST_LAST_WIDTH);
        for row in &self.rows {
            write!(out, "{:indent$}", "")?;
            let (last, others) = row.split_last().expect("a table has columns");
            for (Cell { text, style }, width) in others.iter().zip(widths) {
                write!(out, "{style}{text:width$}{style:#}")?;
            }
            let lines = wrap(&last.text, last_width);
            writeln!(out, "{}", lines.join(&format!("\n{:last_start$}", "")))?;
        }
        Ok(())
    }

    /// Returns the column widths in characters: names and types of nodes are ASCII.
    /// The last column has none.
    fn widths(&self) -> [usize; COLUMNS] {
        const GAP: usize = 2;
        std::array::from_fn(|column| {
            if column + 1 == COLUMNS {
                return 0;
            }
            let cells = self.rows.iter().map(|row| row[column].text.chars().count());
            cells.chain([self.heading[column].len()]).max().unwrap_or(0) + GAP
        })
    }
}

/// Wraps a text between words; a longer word gets a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_breaks_between_words() {
        let mut table = Table::new(["NAME", "TYPE", "HELP"]);
        table.push(["topK", "integer", &"word ".repeat(25)].map(Cell::new));
        table.push(["a", "", "\x1b[2J short"].map(Cell::new));
        let mut out = anstream::StripStream::new(Vec::new());
        table.write(2, &mut out).unwrap();
        let words = |count| vec!["word"; count].join(" ");
        assert_eq!(
            String::from_utf8(out.into_inner()).unwrap(),
            format!(
                "  NAME  TYPE     HELP\n  topK  integer  {}\n{:17}{}\n  a              \
                 \\u{{1b}}[2J short\n",
                words(16),
                "",
                words(9)
            )
        );
    }
}
