//! The accepted counts, a file of the repository.

use std::{collections::BTreeMap, fmt::Write, fs};

use anyhow::Context;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts/accepted.tsv");

/// The accepted number of instructions of each step.
pub(crate) struct Accepted(BTreeMap<String, u64>);

impl Accepted {
    /// Reads the file.
    pub(crate) fn read() -> anyhow::Result<Accepted> {
        let text = fs::read_to_string(FILE).with_context(|| format!("cannot read {FILE}"))?;
        let line = |line: &str| {
            let (name, count) = line.split_once('\t')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        let counts = text.lines().map(line).collect::<Option<_>>();
        counts.map(Accepted).with_context(|| format!("{FILE}: a line is a name, a tab, a number"))
    }

    /// Writes the file.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let mut text = String::new();
        for (name, count) in &self.0 {
            writeln!(text, "{name}\t{count}")?;
        }
        fs::write(FILE, text).with_context(|| format!("cannot write {FILE}"))
    }

    /// Returns the accepted count of a step.
    pub(crate) fn of(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// Sets the count of a step.
    pub(crate) fn set(&mut self, name: &str, count: u64) {
        self.0.insert(name.to_owned(), count);
    }
}
