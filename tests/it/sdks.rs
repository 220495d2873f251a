//! Clients that nobody here wrote take the simulator for Fireworks: the official
//! Python SDK, OpenAI's, LangChain and the AI SDK, streaming and not, with tools and JSON.
//!
//! They are installed by `tests/setup`; a missing one fails, it is never
//! skipped.

use std::{path::Path, process::Stdio, time::Duration};

use fireworks_simulator::{Fault, Options, Rule, Simulator};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(120);

/// Runs a script of `tests/sdks` against a fresh simulator.
async fn run(interpreter: &str, script: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdks");
    let installed = if interpreter == "node" { "node_modules/pins" } else { ".venv/pins" };
    assert!(
        folder.join(installed).exists(),
        "tests/sdks/{installed} is missing: run ./test, which installs it (or tests/setup)"
    );
    let interpreter = match interpreter {
        "node" => "node".into(),
        path => folder.join(path),
    };
    let options = Options {
        rules: vec![Rule::always(Fault::status(429)).prompt("rate limited")],
        ..Options::instant()
    };
    let simulator = Simulator::bind(([127, 0, 0, 1], 0).into(), options).await.expect("a port");
    let origin = format!("http://{}", simulator.local_addr());
    let handle = simulator.handle();
    let mut command = Command::new(&interpreter);
    command.arg(folder.join(script)).arg(&origin).stdin(Stdio::null()).kill_on_drop(true);
    // Proxies of the machine are not for the loopback.
    command.env("NO_PROXY", "127.0.0.1").env("no_proxy", "127.0.0.1");
    let script = async { tokio::time::timeout(LIMIT, command.output()).await };
    let output = tokio::select! {
        served = simulator.run(std::future::pending()) => panic!("the simulator ended: {served:?}"),
        output = script => output.expect("the script to end in time").expect("the script to start"),
    };
    assert!(
        output.status.success(),
        "{}\n{}\nlast requests: {:#?}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        handle.report().requests.iter().rev().take(2).collect::<Vec<_>>(),
    );
}

#[tokio::test]
async fn the_official_python_sdk_takes_it_for_fireworks() {
    run(".venv/bin/python", "fireworks_sdk.py").await;
}

#[tokio::test]
async fn openais_sdk_takes_its_embeddings_for_fireworks() {
    run(".venv/bin/python", "openai_sdk.py").await;
}

#[tokio::test]
async fn langchain_takes_it_for_fireworks() {
    run(".venv/bin/python", "langchain_sdk.py").await;
}

#[tokio::test]
async fn the_ai_sdk_takes_it_for_fireworks() {
    run("node", "ai_sdk.mjs").await;
}
