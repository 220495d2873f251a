//! Modules beside each other, in one folder, use each other in one direction only: no
//! circle among them. A folder's `mod.rs` and the files of the folder are one: either may
//! use the other. A re-exported item counts where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{SourceFile, files, is_name, tokens};

/// Circles that stand: a folder, its modules that use each other, and why. A circle that
/// is opened leaves this list.
const STANDING: &[(&str, &[&str], &str)] = &[
    (
        "src/flight",
        &["publisher", "registry"],
        "a flight is made in the registry, and its publisher takes it out at the end",
    ),
    (
        "src/execution/leader",
        &["job", "texts"],
        "the job of a batch has a job for each flight of a text",
    ),
];

/// The folders of the crates that are read.
const CRATES: [&str; 3] = ["src", "crates/fireworks-simulator/src", "benches/compare"];

#[test]
fn modules_beside_each_other_form_no_circle() {
    let crates = CRATES.map(Crate::read);
    let sizes = crates.iter().map(|read| read.modules.len());
    assert!(sizes.min() > Some(15), "modules are missing");
    let found: BTreeMap<String, Circle> = crates.iter().flat_map(Crate::circles).collect();
    let standing = STANDING.iter().map(|(folder, modules, _why)| {
        (*folder, modules.iter().map(|module| (*module).to_owned()).collect())
    });
    let standing: BTreeMap<&str, BTreeSet<String>> = standing.collect();
    let mut wrong = Vec::new();
    for (folder, circle) in &found {
        if standing.get(folder.as_str()) != Some(&circle.keys().cloned().collect()) {
            wrong.push(format!("in {folder}: {circle:#?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    let opened: Vec<_> = standing.keys().filter(|folder| !found.contains_key(**folder)).collect();
    assert!(opened.is_empty(), "opened by now, so take off the list: {opened:?}");
}

/// Names from the root of a crate.
type Path = Vec<String>;

/// The modules that each module of a circle uses, with the files that do.
type Circle = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// The files of a crate, as modules.
struct Crate {
    folder: &'static str,
    modules: BTreeMap<Path, Module>,
}

/// The paths that a file names.
#[derive(Default)]
struct Module {
    imports: BTreeMap<String, Path>,
    paths: BTreeSet<Path>,
}

impl Crate {
    fn read(folder: &'static str) -> Crate {
        let files = files(folder);
        let files = files.iter().filter(|file| !file.path.ends_with("/main.rs"));
        let modules = files.map(|file| (file.module(folder), Module::read(file)));
        Crate { folder, modules: modules.collect() }
    }

    /// Returns the circles by their folders. Modules that only lead to a circle, or away
    /// from one, are not part of it.
    fn circles(&self) -> BTreeMap<String, Circle> {
        let mut folders = self.siblings();
        folders.values_mut().for_each(reduce);
        folders.retain(|_, uses| !uses.is_empty());
        let name = |folder: Path| [vec![self.folder.to_owned()], folder].concat().join("/");
        folders.into_iter().map(|(folder, uses)| (name(folder), uses)).collect()
    }

    /// Returns, by folder, which of its modules use which others.
    fn siblings(&self) -> BTreeMap<Path, Circle> {
        let mut folders: BTreeMap<Path, Circle> = BTreeMap::new();
        for (from, to) in self.uses() {
            let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            let (Some(user), Some(used)) = (from.get(shared), to.get(shared)) else { continue };
            let uses = folders.entry(from[..shared].to_vec()).or_default();
            let files = uses.entry(user.clone()).or_default().entry(used.clone()).or_default();
            files.push(format!("{} uses {}", from.join("::"), to.join("::")));
        }
        folders
    }

    fn uses(&self) -> BTreeSet<(Path, Path)> {
        let mut uses = BTreeSet::new();
        for (from, module) in &self.modules {
            let paths = module.paths.iter().filter_map(|path| self.absolute(from, path));
            uses.extend(paths.map(|path| (from.clone(), self.defined_in(path, 0))));
        }
        uses
    }

    /// Returns a path of a module from the root of the crate, if it is of the crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let supers = path.iter().take_while(|name| *name == "super").count();
                let above = &module[..module.len().checked_sub(supers)?];
                Some([above, &path[supers..]].concat())
            }
            _ if self.modules.contains_key(&[module, &path[..1]].concat()) => {
                Some([module, path].concat())
            }
            name => {
                let import = self.modules[module].imports.get(name)?;
                let is_local = import.first() != Some(first);
                let import = is_local.then(|| self.absolute(module, import)).flatten()?;
                Some([&import, rest].concat())
            }
        }
    }

    /// Returns the file whose item a path names: where the file imports that name, the
    /// file from which it does.
    fn defined_in(&self, path: Path, steps: usize) -> Path {
        const MOST_STEPS: usize = 8;
        let ends = (0..=path.len()).rev();
        let end = ends.into_iter().find(|end| self.modules.contains_key(&path[..*end]));
        let (file, rest) = path.split_at(end.unwrap_or(0));
        let import = rest.first().and_then(|name| self.modules.get(file)?.imports.get(name));
        match import.and_then(|import| self.absolute(file, import)) {
            Some(import) if steps < MOST_STEPS => {
                self.defined_in([&import, &rest[1..]].concat(), steps + 1)
            }
            _ => file.to_vec(),
        }
    }
}

/// Removes modules that use none of the others or are used by none, until those that are
/// left use each other in a circle.
fn reduce(uses: &mut Circle) {
    loop {
        let users: BTreeSet<String> = uses.keys().cloned().collect();
        let used: BTreeSet<String> = uses.values().flat_map(BTreeMap::keys).cloned().collect();
        uses.retain(|user, _| used.contains(user));
        uses.values_mut().for_each(|used| used.retain(|module, _| users.contains(module)));
        uses.retain(|_, used| !used.is_empty());
        if uses.keys().eq(&users) {
            return;
        }
    }
}

impl Module {
    fn read(file: &SourceFile) -> Module {
        let all = tokens(&file.text);
        let tokens = without_inner_modules(&all);
        let mut module = Module::default();
        let mut at = 0;
        while at < tokens.len() {
            at += match tokens[at] {
                "use" => 1 + module.import(&tokens[at + 1..], &[]),
                token if is_name(token) => module.mention(&tokens[at..]),
                _ => 1,
            };
        }
        module
    }

    /// Reads one tree of a `use`; returns how many tokens it has.
    fn import(&mut self, tokens: &[&str], before: &[String]) -> usize {
        let mut path = before.to_vec();
        let mut at = 0;
        while let Some(token) = tokens.get(at).filter(|token| is_name(token) || **token == "::") {
            match *token {
                "::" => at += 1,
                "as" => {
                    self.imports.insert(tokens[at + 1].to_owned(), path.clone());
                    self.paths.insert(path);
                    return at + 2;
                }
                name => {
                    path.push(name.to_owned());
                    at += 1;
                }
            }
        }
        if tokens.get(at) == Some(&"{") {
            return at + 1 + self.import_all(&tokens[at + 1..], &path);
        }
        path.pop_if(|last| last == "self");
        if tokens.get(at) != Some(&"*") {
            self.imports.extend(path.last().map(|name| (name.clone(), path.clone())));
        }
        self.paths.insert(path);
        at + usize::from(tokens.get(at) == Some(&"*"))
    }

    /// Reads the trees of a `use` in braces, with the closing one.
    fn import_all(&mut self, tokens: &[&str], before: &[String]) -> usize {
        let mut at = 0;
        while tokens[at] != "}" {
            at += if tokens[at] == "," { 1 } else { self.import(&tokens[at..], before) };
        }
        at + 1
    }

    /// Reads a path in code; returns how many tokens it has.
    fn mention(&mut self, tokens: &[&str]) -> usize {
        let pairs = tokens[1..].chunks(2);
        let is_next = |pair: &&[&str]| matches!(pair, ["::", name] if is_name(name));
        let names = pairs.take_while(is_next).map(|pair| pair[1]);
        let path: Path = [tokens[0]].into_iter().chain(names).map(str::to_owned).collect();
        let length = path.len() * 2 - 1;
        if path.len() > 1 {
            self.paths.insert(path);
        }
        length
    }
}

/// Leaves modules in braces out: they are tests.
fn without_inner_modules<'a>(tokens: &[&'a str]) -> Vec<&'a str> {
    let mut left = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let ["mod", _, "{", ..] = tokens[at..] {
            at += 3 + body_length(&tokens[at + 3..]);
        } else {
            left.push(tokens[at]);
            at += 1;
        }
    }
    left
}

/// Returns how many tokens come up to the end of the open brace.
fn body_length(tokens: &[&str]) -> usize {
    let mut depth = 1;
    let end = tokens.iter().position(|token| {
        depth += i32::from(*token == "{") - i32::from(*token == "}");
        depth == 0
    });
    end.map_or(tokens.len(), |end| end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_crate(files: &[(&str, &str)]) -> Crate {
        let module = |(path, text): &(&str, &str)| {
            let file = SourceFile { path: format!("src/{path}"), text: (*text).to_owned() };
            (file.module("src"), Module::read(&file))
        };
        Crate { folder: "src", modules: files.iter().map(module).collect() }
    }

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let circles = a_crate(files).circles();
        let members = circles.into_iter().map(|(folder, circle)| {
            format!("{folder}: {}", circle.into_keys().collect::<Vec<_>>().join(" "))
        });
        members.collect()
    }

    #[test]
    fn circles_are_found_however_they_are_written() {
        for b in [
            "use crate::x::a::{self, C};",
            "use super::a as other;",
            "fn f() { super::a::g() }",
            "use super::A;",
            "use crate::x; fn f() { x::a::g() }",
        ] {
            let files = [
                ("lib.rs", "mod x;"),
                ("x/mod.rs", "mod a; mod b; mod c; pub use a::A; use b::{B};"),
                ("x/a.rs", "use super::{b::B as Other, c};"),
                ("x/b.rs", b),
                ("x/c.rs", "// use super::b"),
            ];
            assert_eq!(circles(&files), ["src/x: a b"], "{b}");
        }
    }

    #[test]
    fn a_folder_and_its_files_are_one() {
        let files = [
            ("lib.rs", "mod x; mod y;"),
            ("x/mod.rs", "mod a; pub use a::A; pub struct X; use crate::y::Y;"),
            ("x/a.rs", "use super::X; use crate::y::Y; mod tests { use crate::y; }"),
            ("y.rs", "mod tests { use crate::x::X; }"),
        ];
        assert!(circles(&files).is_empty());
    }
}
