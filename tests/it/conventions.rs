//! What CONTRIBUTING.md asks of names and doc comments, as far as it can be checked.

use std::collections::BTreeMap;

use super::source::{files, is_name, tokens};

const MOST_TEST_NAME: usize = 60;

/// Folders of all Rust code that is ours.
const FOLDERS: [&str; 5] = ["src", "crates", "tests", "benches", "fuzz/fuzz_targets"];

#[test]
fn no_two_types_share_a_name() {
    for folder in ["src", "crates/fireworks-simulator/src"] {
        let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in files(folder) {
            for name in types(&tokens(&file.text)) {
                places.entry(name.to_owned()).or_default().push(file.path.clone());
            }
        }
        places.retain(|_, places| places.len() > 1);
        assert!(places.is_empty(), "types that share a name: {places:#?}");
    }
}

#[test]
fn test_names_are_short_enough_to_be_filters() {
    let mut long = Vec::new();
    for file in FOLDERS.iter().flat_map(|folder| files(folder)) {
        let names = tests(&file.text).into_iter().filter(|name| name.len() > MOST_TEST_NAME);
        long.extend(names.map(|name| format!("{}: {name}", file.path)));
    }
    assert!(long.is_empty(), "more than {MOST_TEST_NAME} characters:\n{}", long.join("\n"));
}

#[test]
fn doc_summaries_are_sentences_that_begin_with_their_verb() {
    let mut wrong = Vec::new();
    for file in ["src", "crates"].iter().flat_map(|folder| files(folder)) {
        for doc in docs(&file.text) {
            if let Some(why) = objection(&doc) {
                wrong.push(format!("{}:{}: {why}: {}", file.path, doc.line, doc.summary));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Returns the types that a file defines; those of traits and their implementations are
/// the trait's.
fn types<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    const KINDS: [&str; 4] = ["struct", "enum", "trait", "type"];
    let mut types = Vec::new();
    let mut bodies: Vec<bool> = Vec::new();
    // The next brace opens the body of a trait or of an implementation.
    let mut announced = false;
    for (at, token) in tokens.iter().enumerate() {
        let begins =
            at == 0 || [";", "{", "}", "]", ")", "pub", "unsafe"].contains(&tokens[at - 1]);
        match *token {
            "{" => bodies.push(std::mem::take(&mut announced)),
            "}" => drop(bodies.pop()),
            ";" => announced = false,
            "impl" | "trait" if begins => announced = true,
            _ => {}
        }
        let is_associated = *token == "type" && bodies.last() == Some(&true);
        if KINDS.contains(token) && begins && !is_associated {
            types.extend(tokens.get(at + 1).filter(|name| is_name(name)));
        }
    }
    types
}

/// Returns the functions that an attribute makes a test.
fn tests(text: &str) -> Vec<&str> {
    let tokens = tokens(text);
    let is_attribute = |at: usize| {
        let before = &tokens[..at];
        before.ends_with(&["#", "["]) || before.ends_with(&["#", "[", "tokio", "::"])
    };
    let begins = (0..tokens.len()).filter(|at| tokens[*at] == "test" && is_attribute(*at));
    let name = |at: usize| {
        let after = &tokens[at..];
        let function = after.iter().position(|token| *token == "fn")?;
        after.get(function + 1).copied()
    };
    begins.filter_map(name).collect()
}

/// A doc comment's first paragraph, and the line of code that it documents.
struct Doc<'a> {
    line: usize,
    summary: String,
    item: &'a str,
    is_test: bool,
}

fn docs(text: &str) -> Vec<Doc<'_>> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_doc = |at: usize| lines[at].starts_with("///");
    let begins = (0..lines.len()).filter(|at| is_doc(*at) && (*at == 0 || !is_doc(at - 1)));
    begins.map(|at| doc(&lines, at)).collect()
}

fn doc<'a>(lines: &[&'a str], at: usize) -> Doc<'a> {
    let comment = lines[at..].iter().map_while(|line| line.strip_prefix("///"));
    let words = comment.map(str::trim).take_while(|line| !line.is_empty());
    let summary = words.collect::<Vec<_>>().join(" ");
    let after = lines[at..].iter().skip_while(|line| line.starts_with("///"));
    let attributes = after.clone().take_while(|line| line.starts_with("#["));
    let is_test = attributes.clone().any(|line| line.contains("test"));
    let item = after.clone().find(|line| !line.starts_with("#[")).copied().unwrap_or_default();
    Doc { line: at + 1, summary, item, is_test }
}

/// Says what is wrong with a summary.
fn objection(doc: &Doc<'_>) -> Option<&'static str> {
    const QUESTIONS: [&str; 9] =
        ["What", "Whether", "How", "Who", "Whose", "Where", "When", "Why", "Which"];
    let first = doc.summary.split_whitespace().next().unwrap_or_default();
    if !ends(&doc.summary) {
        return Some("a summary ends in a full stop");
    }
    if QUESTIONS.contains(&first) {
        return Some("a summary is not a question");
    }
    let is_third_person = first.trim_end_matches(',').ends_with('s');
    if is_function(doc.item) && !doc.is_test && !is_third_person {
        return Some("a function's summary begins with a verb in the third person");
    }
    None
}

/// Returns true if a summary is a whole sentence, introduces a list, or is the help of an
/// option that ends in its default.
fn ends(summary: &str) -> bool {
    summary.ends_with(['.', ':']) || summary.ends_with(".)") || summary.contains("[default: ")
}

fn is_function(item: &str) -> bool {
    let (before, _) = item.split_once("fn ").unwrap_or(("no function", ""));
    let visibility = before.trim().trim_start_matches("pub").trim_start();
    let after = if visibility.starts_with('(') {
        visibility.split_once(')').map_or("", |(_, after)| after)
    } else {
        visibility
    };
    after.split_whitespace().all(|word| ["const", "async", "unsafe"].contains(&word))
}

#[test]
fn types_are_found_except_those_of_traits() {
    let text = "pub(crate) struct A<T>(T); trait B { type C; } impl B for A<u8> { type C = u8; }
        mod tests { enum D { E } fn f() { struct G; } } type H = u8; // struct I;
        fn j(k: impl B) -> impl B { type L = u8; k }";
    assert_eq!(types(&tokens(text)), ["A", "B", "D", "G", "H", "L"]);
}

#[test]
fn tests_are_found_by_their_attributes() {
    let text = "#[test] fn a() {} #[tokio::test(flavor = \"x\")] async fn b() {} fn c() {}
        #[cfg(test)] mod d { #[test] #[ignore] fn e() {} }";
    assert_eq!(tests(text), ["a", "b", "e"]);
}

#[test]
fn summaries_that_are_not_as_asked_are_objected_to() {
    let why = |text: &str| docs(text).iter().find_map(objection);
    for wrong in [
        "/// Returns it\nfn a() {}",
        "/// Whether it is.\nstruct A;",
        "/// The length.\n#[must_use]\npub(crate) const fn a() {}",
        "    /// Return it.\n    pub async fn a() {}",
    ] {
        assert!(why(wrong).is_some(), "{wrong}");
    }
    for right in [
        "/// Returns it,\n/// whole.\nfn a() {}",
        "/// The length.\nstruct A;",
        "/// The length.\n#[test]\nfn a() {}",
        "/// The most at once [default: 4]\nmost: u32,",
    ] {
        assert_eq!(why(right), None, "{right}");
    }
}
