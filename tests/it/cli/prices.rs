//! `sparkler prices`: the table, and what differs from another.

use std::io::Write;

use tempfile::NamedTempFile;

use crate::cli::program::Program;

/// A file with these prices of models.
fn table(models: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    write!(file, r#"{{"date": "2026-12-01", "models": [{models}]}}"#).expect("written");
    file
}

fn path(file: &NamedTempFile) -> &str {
    file.path().to_str().expect("text")
}

#[tokio::test]
async fn every_rate_of_the_table_is_printed() {
    let file = table(
        r#"{"model": "m", "input": 1.4, "cached_input": 0.26, "output": 4.4,
            "tiers": {"flex": {"input": 0.7, "output": 2.2}}}"#,
    );
    let run = Program::new(&["prices", "--prices", path(&file)]).run().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(run.stdout);
}

#[tokio::test]
async fn what_differs_from_another_file_is_printed() {
    let [from, to] = [
        r#"{"model": "gone", "input": 1, "output": 2}, {"model": "m", "input": 0.225, "output": 1}"#,
        r#"{"model": "m", "input": 0.15, "output": 1}, {"model": "new", "input": 2, "output": 10}"#,
    ]
    .map(table);
    let run = Program::new(&["prices", "--prices", path(&from), "--file", path(&to)]).run().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    insta::assert_snapshot!(run.stdout);
    let same = Program::new(&["prices", "--prices", path(&to), "--file", path(&to)]).run().await;
    assert!(same.stdout.contains("The prices are the same."), "{}", same.stdout);
}

#[tokio::test]
async fn a_bad_file_is_bad_usage() {
    let file = table(r#"{"model": "m", "input": -1, "output": 1}"#);
    for arguments in [["prices", "--file", path(&file)], ["prices", "--prices", "/nonexistent"]] {
        let run = Program::new(&arguments).run().await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(run.stderr.contains(arguments[1]), "{}", run.stderr);
    }
}
