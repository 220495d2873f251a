//! A crash leaves nobody's keys in a file.

use std::fs;

use crate::support::Program;

/// What the system says of a process's core files.
fn core_limit(process: &str) -> String {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).expect("it runs");
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    line.expect("a limit").split_whitespace().skip(4).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_worker_leaves_no_core_file_by_default() {
    let provider = "http://127.0.0.1:9/inference/v1";
    let worker = Program::serve(provider, &[]).await;
    assert_eq!(core_limit(&worker.id().to_string()), "0 0 bytes");
    worker.stop().await;
    let worker = Program::serve(provider, &["--core-dumps"]).await;
    assert_eq!(core_limit(&worker.id().to_string()), core_limit("self"), "as the system has it");
    worker.stop().await;
}
