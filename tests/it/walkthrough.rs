//! The documents name only what exists: every path and identifier of the
//! walkthrough in ARCHITECTURE.md, and every reason in docs/errors.md.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::source::files;

const SECTION: &str = "## A call, file by file";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn sources(folder: &str) -> Vec<String> {
    files(folder).into_iter().map(|file| file.text).collect()
}

/// Returns what stands in backticks.
fn names(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Returns whether a line declares `name` as an item.
fn declares(line: &str, name: &str) -> bool {
    if !line.contains(name) {
        return false;
    }
    const ITEMS: [&str; 6] = ["fn", "struct", "enum", "trait", "type", "const"];
    let words: Vec<&str> = words(line).collect();
    words.windows(2).any(|pair| ITEMS.contains(&pair[0]) && pair[1] == name)
}

/// Returns whether a line begins a body that belongs to `owner`.
fn opens(line: &str, owner: &str) -> bool {
    let begins = ["impl", "enum", "pub enum", "pub(crate) enum", "pub(super) enum", "pub trait"];
    begins.iter().any(|begin| line.starts_with(begin)) && words(line).any(|word| word == owner)
}

/// Returns whether `owner` has a function or variant `name` in its own bodies:
/// from the line that opens one to the next line at the margin.
fn has(text: &str, owner: &str, name: &str) -> bool {
    let mut inside = false;
    text.lines().any(|line| {
        if !line.is_empty() && !line.starts_with([' ', ')', '}']) {
            inside = opens(line, owner);
        }
        inside && (declares(line, name) || words(line).next() == Some(name))
    })
}

fn exists(name: &str, sources: &[String]) -> bool {
    if name.contains('/') {
        return root().join(name).exists();
    }
    match name.split_once("::") {
        Some((owner, member)) => sources.iter().any(|text| has(text, owner, member)),
        None => sources.iter().any(|text| text.lines().any(|line| declares(line, name))),
    }
}

#[test]
fn every_name_in_the_walkthrough_exists() {
    let architecture = read("ARCHITECTURE.md");
    let (_, section) = architecture.split_once(SECTION).expect("the section");
    let section = section.split("\n## ").next().expect("its text");
    let mut sources = sources("src");
    // The generated messages.
    let proto = read("proto/sparkler/worker/v1/worker.proto");
    sources.push(proto.replace("message ", "struct "));
    let names = names(section);
    assert!(names.len() > 50, "only {} names", names.len());
    let missing: Vec<&str> = names.into_iter().filter(|name| !exists(name, &sources)).collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md names what does not exist: {missing:?}");
}

#[test]
fn a_name_that_does_not_exist_is_noticed() {
    let sources = sources("src");
    for name in ["src/nowhere.rs", "NoSuchType", "Session::no_such_fn", "Join::take", "let"] {
        assert!(!exists(name, &sources), "{name}");
    }
    assert!(exists("src/lib.rs", &sources) && exists("Session::next", &sources));
}

#[test]
fn the_page_of_errors_has_every_reason() {
    let is_reason = |text: &&str| {
        text.contains('_') && text.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let code = sources("src/error").concat();
    let sent: BTreeSet<&str> = code.split('"').filter(is_reason).collect();
    let page = read("docs/errors.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let first = rows.filter_map(|line| line.split(" | ").next());
    let listed: BTreeSet<&str> = first.flat_map(names).filter(is_reason).collect();
    assert!(sent.len() > 20, "only {} reasons", sent.len());
    assert_eq!(sent, listed, "left: what the code sends; right: what docs/errors.md lists");
}
