//! Compares the output that the documents show with what the program prints.
//!
//! A fenced block of README.md or docs/*.md right below
//! `<!-- output of: sparkler demo -->` is run and compared, without what changes
//! from run to run. `UPDATE=1 cargo test --test it readme::` rewrites the
//! blocks that differ. Commands run in a shell, with a simulated Fireworks and a key
//! in the environment; lines that begin with `$ ` are the reader's.

mod document;
mod settled;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use fireworks_simulator::{Options, Simulator};
use tokio::process::Command;

use self::{
    document::Document,
    settled::{exact, settled},
};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command as a reader would, and gives what a terminal would show.
async fn output(command: &str, fireworks: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_sparkler"));
    let folder = program.parent().expect("a folder");
    let path = format!("{}:{}", folder.display(), env::var("PATH").expect("a PATH"));
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{{ {command}\n}} 2>&1"))
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if !is_help(command) {
        shell.env("SPARKLER_FIREWORKS_BASE_URL", fireworks).env("FIREWORKS_API_KEY", "fw_readme");
    }
    let output = tokio::time::timeout(LIMIT, shell.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command} does not end"));
    String::from_utf8(output.expect("a shell").stdout).expect("text")
}

/// Help is the same in every run, the times in it included; and it shows what
/// the environment says.
fn is_help(command: &str) -> bool {
    command.contains("--help")
}

/// The documents that may show output.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).into_iter().flatten();
    let docs = docs.map(|entry| entry.expect("a readable folder").path());
    let mut documents: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|name| name == "md")).collect();
    documents.sort();
    documents.insert(0, root.join("README.md"));
    documents
}

/// Shows in every block what the program says now, where that is something
/// else; returns where each such block begins to differ.
async fn renew(document: &mut Document, fireworks: &str) -> Vec<String> {
    let mut differences = Vec::new();
    for block in &mut document.blocks {
        let now = output(&block.command, fireworks).await;
        let settle = if is_help(&block.command) { exact } else { settled };
        if let Some(difference) = difference(&settle(&block.shown.join("\n")), &settle(&now)) {
            differences.push(format!("output of {}: {difference}", block.command));
            block.shown = exact(&now);
        }
    }
    differences
}

/// Where two texts begin to differ.
fn difference(shown: &[String], now: &[String]) -> Option<String> {
    let same = shown.iter().zip(now).take_while(|(shown, now)| shown == now).count();
    let line = |lines: &[String]| lines.get(same).cloned().unwrap_or("(the end)".to_owned());
    (shown != now)
        .then(|| format!("line {}\n  shown: {}\n  now:   {}", same + 1, line(shown), line(now)))
}

#[tokio::test]
async fn what_the_documents_show_is_what_the_program_says() {
    let loopback = ([127, 0, 0, 1], 0).into();
    let simulator = Simulator::bind(loopback, Options::instant()).await.expect("a free port");
    let fireworks = simulator.base_url();
    tokio::select! {
        ended = simulator.run(std::future::pending()) => panic!("the simulator ended: {ended:?}"),
        () = check_documents(&fireworks) => {}
    }
}

async fn check_documents(fireworks: &str) {
    let update = env::var("UPDATE").is_ok_and(|update| update == "1");
    let mut blocks = 0;
    for path in documents() {
        let name = path.display();
        let text = fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        let mut document =
            Document::read(&text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        blocks += document.blocks.len();
        let differences = renew(&mut document, fireworks).await;
        if update && !differences.is_empty() {
            fs::write(&path, document.text()).expect("a writable document");
        } else {
            assert!(
                differences.is_empty(),
                "{name} differs from the program's output (UPDATE=1 rewrites it):\n{}",
                differences.join("\n")
            );
        }
    }
    assert!(blocks > 0, "no document has a block below <!-- output of: … -->");
}
