//! Collects all problems of a call, each with its path, so that the caller can
//! correct them in one go.
//!
//! Bounded: a status travels in an HTTP header. Of the caller's text only names
//! of fields are quoted, because any value may be a key pasted into the wrong
//! field.

use std::fmt;

use crate::error::{Violation, shorten};

/// Maximum problems reported individually.
const MAX_REPORTED_PROBLEMS: usize = 24;
/// Maximum bytes quoted of a caller's name.
const QUOTED_BYTES: usize = 64;
/// Maximum bytes of a reported path.
const PATH_BYTES: usize = 256;

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems {
    reported: Vec<Violation>,
    unreported: usize,
}

impl Problems {
    /// Adds a problem: its field, and a sentence without its subject.
    pub fn add(&mut self, field: impl fmt::Display, description: impl Into<String>) {
        if self.reported.len() < MAX_REPORTED_PROBLEMS {
            let path = field.to_string();
            self.reported.push(Violation::new(shorten(&path, PATH_BYTES), description));
        } else {
            self.unreported += 1;
        }
    }

    /// Adds a problem, and returns the proof that it was reported.
    pub(super) fn report(&mut self, field: impl fmt::Display, description: String) -> Reported {
        self.add(field, description);
        Reported
    }

    /// Returns true if further problems will only be counted.
    pub(super) fn is_full(&self) -> bool {
        self.reported.len() == MAX_REPORTED_PROBLEMS
    }

    /// Returns `Ok` if there are no problems, or else all of them.
    pub fn into_result(mut self) -> Result<(), Vec<Violation>> {
        if self.reported.is_empty() {
            return Ok(());
        }
        if self.unreported > 0 {
            self.reported.push(Violation::more(self.unreported));
        }
        Err(self.reported)
    }
}

/// Proof that a problem has been reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reported;

/// The path of a value, kept on the stack and formatted only for a problem:
/// `config.tools[0].function.name`.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// The start of a path, such as `config`.
    Root(&'a str),
    /// A member of an object.
    Member(&'a Path<'a>, &'a str),
    /// An item of a list.
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// Returns the path of a member.
    pub fn member(&'a self, name: &'a str) -> Path<'a> {
        Path::Member(self, name)
    }

    /// Returns the path of an item.
    pub fn item(&'a self, index: usize) -> Path<'a> {
        Path::Item(self, index)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(name) => formatter.write_str(name),
            Path::Member(parent, name) => write!(formatter, "{parent}.{}", printable(name)),
            Path::Item(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}

/// Makes a caller's name fit for a message.
fn printable(name: &str) -> String {
    shorten(name, QUOTED_BYTES).replace(char::is_control, "\u{fffd}")
}

/// Returns `; did you mean temperature?` if a known name is similar, or else an
/// empty text.
pub(super) fn did_you_mean<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    if given.len() > QUOTED_BYTES {
        return String::new();
    }
    let nearest = known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest {
        Some((likeness, name)) if likeness > 0.85 => format!("; did you mean {name}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_the_caller_wrote_it() {
        let root = Path::Root("config");
        let tools = root.member("tools");
        let first = tools.item(0);
        assert_eq!(first.member("name").to_string(), "config.tools[0].name");
        let long = "x".repeat(1000);
        assert!(root.member(&long).to_string().len() < 80);
        assert_eq!(root.member("a\nb").to_string(), "config.a\u{fffd}b");
    }

    #[test]
    fn a_flood_of_problems_is_counted_not_listed() {
        let mut problems = Problems::default();
        for _ in 0..1000 {
            problems.add("config", "is wrong");
        }
        let reported = problems.into_result().expect_err("problems");
        assert_eq!(reported.len(), MAX_REPORTED_PROBLEMS + 1);
        assert_eq!(reported[MAX_REPORTED_PROBLEMS].description, "has these problems and 976 more");
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let known = ["temperature", "topP", "topK"];
        assert_eq!(did_you_mean("temprature", known), "; did you mean temperature?");
        assert_eq!(did_you_mean("zebra", known), "");
        assert_eq!(did_you_mean(&"t".repeat(1 << 20), known), "");
    }
}
