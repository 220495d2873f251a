//! What the parts of a hit take: functions with all that they call.

use std::{collections::HashMap, env, process::Command};

use anyhow::Context;

use crate::callgrind;

const TIMES: u64 = 400;

/// Parts, by the end of the function's name. An indented part is within the one above.
const PARTS: &[(&str, &str)] = &[
    ("the whole hit, in the process", "counts::executions::execute::{{closure}}"),
    ("· planning and looking up", "sparkler::execution::begin"),
    ("· · fields of the node", "TypedNode<N>::read"),
    ("· · the provider's request", "node::request::write"),
    ("· · keyed hashes", "CacheSecret::hash"),
    ("· look-up in memory", "PreparedExecution>::look_up"),
    ("· the execution token", "ExecutionToken::seal"),
    ("· messages of the answer", "ExecuteNodeResponse>::from"),
    ("· the end of the call", "session::Session::log"),
    (
        "· · the log line",
        "fmt::Subscriber<N,E,F,W> as tracing_core::subscriber::Subscriber>::event",
    ),
    ("· · metrics", "internal::ValueMap<A>::measure"),
];

/// Prints the instructions of each part as a Markdown table.
pub(crate) fn print() -> anyhow::Result<()> {
    let (few, many) = (inclusive(TIMES)?, inclusive(TIMES * 3)?);
    let of = |part: &str| -> u64 {
        let count = |all: &HashMap<String, u64>| {
            all.iter()
                .filter(|(name, _)| name.ends_with(part))
                .map(|(_, count)| *count)
                .sum::<u64>()
        };
        count(&many).saturating_sub(count(&few)) / (TIMES * 2)
    };
    let (_, whole) = PARTS[0];
    println!("| part | instructions | share |\n|---|--:|--:|");
    // A part that the optimizer has spread over its callers has no count of its own.
    for (title, part) in PARTS.iter().filter(|(_, part)| of(part) > 0) {
        let share = of(part) as f64 / of(whole) as f64 * 100.0;
        println!("| {title} | {} | {share:.0} % |", of(part));
    }
    Ok(())
}

/// Returns the instructions of each function with all that it calls.
fn inclusive(times: u64) -> anyhow::Result<HashMap<String, u64>> {
    let file = env::temp_dir().join(format!("counts-{}-{times}", std::process::id()));
    callgrind::run("hit", times, &file)?;
    let output = Command::new("callgrind_annotate")
        .args(["--inclusive=yes", "--threshold=100"])
        .arg(&file)
        .output()
        .context("cannot start callgrind_annotate")?;
    std::fs::remove_file(&file)?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(function).collect())
}

/// Reads a line such as `1,234 (5.6%)  file:name [program]`.
fn function(line: &str) -> Option<(String, u64)> {
    let (count, rest) = line.trim().split_once(" (")?;
    let count = count.replace(',', "").parse().ok()?;
    let (_, named) = rest.split_once(")  ")?;
    let (_, name) = named.split_once(':')?;
    let name = name.rsplit_once(" [").map_or(name, |(name, _)| name);
    Some((name.trim().to_owned(), count))
}
