//! The crate's own source, for the tests that hold its structure.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A Rust file, by its path from the root of the repository.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Returns all Rust files below a folder of the repository, in order.
pub(crate) fn files(folder: &str) -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| SourceFile {
            text: fs::read_to_string(&path).expect("a file"),
            path: path.strip_prefix(root).expect("below the root").to_str().expect("text").into(),
        })
        .collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !is_installed(&path) {
                collect(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Returns true for folders of what is installed, such as `.venv` and `node_modules`.
fn is_installed(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with('.') || name == "node_modules"
}

impl SourceFile {
    /// Returns the names of the file's module from the root of its crate, which is `folder`.
    pub(crate) fn module(&self, folder: &str) -> Vec<String> {
        let path = self.path.strip_prefix(folder).expect("in the folder").trim_start_matches('/');
        let names = path.trim_end_matches(".rs").split('/').map(str::to_owned);
        let mut names: Vec<String> = names.collect();
        names.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
        names
    }
}

/// Returns names and marks, without comments and texts.
pub(crate) fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => text_length(rest),
            'r' if rest.starts_with("r#\"") => rest.find("\"#").map_or(rest.len(), |end| end + 2),
            ':' if rest.starts_with("::") => 2,
            '\'' => character_length(rest),
            letter if letter.is_alphanumeric() || letter == '_' => rest
                .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
                .unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let is_code = !token.starts_with("//")
            && !token.starts_with('"')
            && !token.starts_with("r#\"")
            && !token.starts_with('\'');
        if is_code && !first.is_whitespace() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}

fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    rest.len()
}

/// Returns the length of a character in quotes, or of the quote alone where it begins a
/// lifetime.
fn character_length(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => rest[3..].find('\'').map_or(1, |end| end + 4),
        Some((at, letter)) if rest[at + letter.len_utf8()..].starts_with('\'') => {
            at + letter.len_utf8() + 1
        }
        _ => 1,
    }
}

/// Returns true for a name or a keyword, as opposed to a mark.
pub(crate) fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[test]
fn tokens_are_names_and_marks_without_comments_and_texts() {
    let text = r##"a::b /* c */; // d
        "e \" f" 'g' '\'' '\u{1F}' 'static r#"h"# i"##;
    let found = tokens(text);
    assert_eq!(found, ["a", "::", "b", "/", "*", "c", "*", "/", ";", "static", "i"]);
}
