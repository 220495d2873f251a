//! The schema keeps the rules of good schemas, and what it has once promised.
//!
//! `buf` says so; `tests/setup` installs it with clients/typescript. A missing one
//! fails, it is never skipped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const SCHEMA: &str = "proto/sparkler/worker/v1/worker.proto";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What `buf` found to say, and whether it is content.
fn buf(arguments: &[&str]) -> (bool, String) {
    let program = root().join("clients/typescript/node_modules/.bin/buf");
    assert!(program.exists(), "buf is missing: run ./test, which installs it (or tests/setup)");
    let output = Command::new(program).current_dir(root()).args(arguments).output();
    let output = output.expect("buf starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn assert_content(arguments: &[&str]) {
    let (content, said) = buf(arguments);
    assert!(content, "buf {}:\n{said}", arguments.join(" "));
}

#[test]
fn the_schema_keeps_the_standard_rules() {
    assert_content(&["lint"]);
}

#[test]
fn the_schema_is_formatted() {
    assert_content(&["format", "--diff", "--exit-code"]);
}

/// Every release leaves its schema in `proto/released` (`buf build -o
/// proto/released/VERSION.binpb`); there is none before the first.
#[test]
fn callers_of_every_release_still_understand_the_schema() {
    let Ok(released) = fs::read_dir(root().join("proto/released")) else { return };
    for image in released {
        let image = image.expect("a readable folder").path();
        assert_content(&["breaking", "--against", image.to_str().expect("a path of text")]);
    }
}

#[test]
fn a_break_would_be_noticed() {
    let changes = [
        ("string execution_token = 1;", "", "field \"1\""),
        ("uint32 attempt = 1;", "string attempt = 1;", "changed type"),
        ("rpc CheckNode(", "rpc TestNode(", "RPC \"CheckNode\""),
    ];
    let schema = fs::read_to_string(root().join(SCHEMA)).expect("the schema");
    for (before, after, complaint) in changes {
        let folder = tempfile::tempdir().expect("a folder");
        let changed = folder.path().join(SCHEMA);
        fs::create_dir_all(changed.parent().expect("a parent")).expect("a folder");
        fs::copy(root().join("buf.yaml"), folder.path().join("buf.yaml")).expect("a copy");
        assert!(schema.contains(before), "{before} is no longer there to change");
        fs::write(&changed, schema.replacen(before, after, 1)).expect("a changed copy");
        let path = folder.path().to_str().expect("a path of text");
        let (content, said) = buf(&["breaking", path, "--against", "."]);
        assert!(!content && said.contains(complaint), "{before} became {after:?}: {said}");
    }
}
