//! The drawing of the architecture, held to: arrows between modules only go
//! down. Reads the paths that start with `crate` in every file under `src`.

use std::{collections::BTreeSet, fs, mem, path::Path};

use super::source::{SourceFile, files, tokens};

/// The layers from the top. A module may use those of every layer below its
/// own, and none beside it.
const LAYERS: &[&[&str]] = &[
    &["cli"],
    &["server"],
    &["grpc", "config"],
    &["proto"],
    &["execution"],
    &["node", "quota", "cache", "fleet", "flight"],
    &["callers", "fireworks", "recording", "redis", "seal", "tls"],
    &["admission", "cooldown", "lifecycle", "output", "price", "secrets"],
    &["metrics"],
    &["descriptors", "emit", "file_watcher", "telemetry"],
    &["changes", "credentials", "error", "event", "files"],
];

/// Modules that not everybody above may use, and who may.
const ONLY_FOR: &[(&str, &[&str])] = &[
    // Protobuf stops at the door.
    ("proto", &["grpc", "server", "cli"]),
    // The provider is the nodes' affair; who puts them together sets it up, and
    // who checks a node asks it. `sparkler bench` measures it without a worker.
    ("fireworks", &["node", "execution", "grpc", "config", "server", "cli"]),
];

/// Modules that stand alone: they use none of the others.
const ALONE: &[&str] = &["changes", "descriptors", "lifecycle", "telemetry", "files"];

/// The plain values at the bottom know each other.
const VALUES: &[&str] = &["credentials", "error", "event"];

#[test]
fn arrows_between_modules_only_go_down() {
    let mut wrong = Vec::new();
    for file in files("src") {
        let Some(from) = module_of(&file) else { continue };
        for to in used_modules(&file.text, file.module("src").len()) {
            if let Some(why) = objection(&from, &to) {
                wrong.push(format!("{}: {why}", file.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_module_has_its_layer() {
    let there: BTreeSet<String> = files("src").iter().filter_map(module_of).collect();
    let drawn: BTreeSet<String> =
        LAYERS.iter().flat_map(|layer| layer.iter()).map(|module| (*module).to_owned()).collect();
    assert_eq!(there, drawn, "left: the modules there are; right: those in the drawing");
}

#[test]
fn the_steps_of_an_execution_use_services_alone() {
    let all = files("src/execution");
    let steps = || all.iter().filter(|file| file.path != "src/execution/mod.rs");
    let naming = |name| steps().filter(move |file| tokens(&file.text).contains(&name));
    assert!(naming("Services").count() > 10, "the steps use something else by now");
    let wrong: Vec<&str> = naming("Executor").map(|file| file.path.as_str()).collect();
    assert!(wrong.is_empty(), "steps that use the executor, which is above them: {wrong:?}");
}

#[test]
fn services_are_fields_without_methods() {
    let is_impl = |tokens: &[&str]| tokens.windows(2).any(|pair| pair == ["impl", "Services"]);
    let with_methods = |file: &SourceFile| is_impl(&tokens(&file.text));
    let wrong: Vec<String> =
        files("src").into_iter().filter(with_methods).map(|file| file.path).collect();
    assert!(wrong.is_empty(), "methods go to the noun that needs the services: {wrong:?}");
}

#[test]
fn the_drawing_in_the_architecture_is_this_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md");
    let text = fs::read_to_string(file).expect("a file");
    let (_, drawing) = text.split_once("<!-- layers -->\n```text\n").expect("a drawing");
    let (drawing, _) = drawing.split_once("```").expect("its end");
    let modules = drawing.lines().map(|line| line.split('│').next().unwrap_or_default());
    let drawn: Vec<Vec<&str>> = modules.map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(drawn, LAYERS, "left: ARCHITECTURE.md; right: this test");
}

/// What is wrong with one module using another, in a sentence.
fn objection(from: &str, to: &str) -> Option<String> {
    if from == to || VALUES.contains(&from) && VALUES.contains(&to) {
        return None;
    }
    let (Some(above), Some(below)) = (layer_of(from), layer_of(to)) else {
        return Some(format!("`{from}` uses `{to}`, and one of them is in no layer"));
    };
    if above >= below {
        let direction = if above == below { "stands beside" } else { "is above" };
        return Some(format!("`{from}` uses `{to}`, which {direction} it; arrows only go down"));
    }
    if ALONE.contains(&from) {
        return Some(format!("`{from}` uses `{to}`, and is to stand alone"));
    }
    let users = ONLY_FOR.iter().find(|(module, _)| *module == to).map(|(_, users)| *users);
    match users {
        Some(users) if !users.contains(&from) => {
            Some(format!("`{from}` uses `{to}`, which is only for {}", users.join(", ")))
        }
        _ => None,
    }
}

fn layer_of(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// Returns the module at the root of the crate that a file belongs to, if it is not the
/// crate itself.
fn module_of(file: &SourceFile) -> Option<String> {
    file.module("src").into_iter().next()
}

/// The modules at the root of the crate that a file names after `crate`, or
/// after as many `super` as lead there.
fn used_modules(text: &str, depth: usize) -> BTreeSet<String> {
    let tokens = tokens(text);
    let mut used = BTreeSet::new();
    let mut nesting = Nesting::default();
    let mut at = 0;
    while at < tokens.len() {
        nesting.step(&tokens[at..]);
        let supers = tokens[at..].chunks(2).take_while(|pair| **pair == ["super", "::"]).count();
        let is_root = tokens[at] == "crate" || (supers > 0 && supers == depth + nesting.modules());
        let steps = if supers > 0 { supers * 2 } else { 2 };
        if is_root && (supers > 0 || tokens.get(at + 1) == Some(&"::")) {
            used.extend(heads(&tokens[at + steps..]));
        }
        at += if supers > 0 { steps } else { 1 };
    }
    used
}

/// The first names of a path, or of each path in braces.
fn heads(tokens: &[&str]) -> Vec<String> {
    let Some((first, rest)) = tokens.split_first() else {
        return Vec::new();
    };
    if *first != "{" {
        return vec![(*first).to_owned()];
    }
    let mut heads = Vec::new();
    let mut depth = 1;
    let mut expects_head = true;
    for token in rest {
        match *token {
            "{" => depth += 1,
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," if depth == 1 => expects_head = true,
            name if expects_head => {
                heads.push(name.to_owned());
                expects_head = false;
            }
            _ => {}
        }
    }
    heads
}

/// Which of the open braces are modules in the file.
#[derive(Default)]
struct Nesting {
    braces: Vec<bool>,
    /// The next brace is a module's.
    announced: bool,
}

impl Nesting {
    fn step(&mut self, tokens: &[&str]) {
        match tokens {
            ["mod", _, "{", ..] => self.announced = true,
            ["{", ..] => self.braces.push(mem::take(&mut self.announced)),
            ["}", ..] => {
                self.braces.pop();
            }
            _ => {}
        }
    }

    fn modules(&self) -> usize {
        self.braces.iter().filter(|is_module| **is_module).count()
    }
}

#[test]
fn arrows_that_do_not_go_down_are_objected_to() {
    for (from, to) in [
        ("fireworks", "node"),
        ("cache", "flight"),
        ("execution", "proto"),
        ("flight", "fireworks"),
        ("lifecycle", "error"),
        ("error", "nobody"),
    ] {
        assert!(objection(from, to).is_some(), "`{from}` may use `{to}`");
    }
    assert_eq!(objection("execution", "flight"), None);
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = r##"
        //! crate::comment
        use crate::{a::B, c, d::{e, f}};
        fn g(x: &'static str) -> crate::h::I { "crate::text {" ; '{'; r#"crate::raw"#; super::j() }
        mod inner { use super::super::k; use super::l; }
        use super::m::N;
    "##;
    let expected = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let deep: BTreeSet<String> = expected(&["a", "c", "d", "h"]);
    assert_eq!(used_modules(text, 2), deep);
    let at_the_top: BTreeSet<String> = expected(&["a", "c", "d", "h", "j", "k", "m"]);
    assert_eq!(used_modules(text, 1), at_the_top);
}
