//! A worker starts with what the chart sets, and knows every name of it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::chart::{Rendered, rendered};

/// What `sparkler serve --help` says of a variable that it reads.
fn variable(name: &str) -> String {
    format!("[env: {name}=")
}

#[test]
fn the_chart_sets_what_the_worker_reads() {
    let help = Command::new(env!("CARGO_BIN_EXE_sparkler")).args(["serve", "--help"]).output();
    let help = String::from_utf8(help.expect("it runs").stdout).expect("text");
    for Rendered { name, environment } in rendered() {
        let ours = environment.iter().filter(|(name, _)| name.starts_with("SPARKLER_"));
        let unknown: Vec<_> = ours.filter(|(name, _)| !help.contains(&variable(name))).collect();
        assert!(unknown.is_empty(), "{name} sets {unknown:?}, which the worker does not read");
    }
}

#[test]
fn a_worker_starts_with_every_set_of_values() {
    for Rendered { name, environment } in rendered() {
        let mount = Mount::new();
        let mut worker = Command::new(env!("CARGO_BIN_EXE_sparkler"))
            .arg("serve")
            .env_clear()
            .envs(environment.into_iter().map(|(name, value)| mount.here(name, value)))
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = listening(&mut worker);
        worker.kill().expect("it runs");
        worker.wait().expect("it ends");
        assert!(said.contains("\"listening\""), "with {name}: {said}");
    }
}

/// What it says up to the line that it listens, or to its end.
fn listening(worker: &mut Child) -> String {
    let mut said = String::new();
    for line in BufReader::new(worker.stderr.take().expect("a pipe")).lines() {
        said += &line.expect("text");
        said.push('\n');
        if said.contains("\"listening\"") {
            break;
        }
    }
    said
}

/// The Secrets of the chart's values, in a folder of this machine.
struct Mount(tempfile::TempDir);

impl Mount {
    /// Where the chart, and the values that mount more, mount them.
    const THERE: [&str; 2] = ["/run/sparkler", "/etc/sparkler"];

    fn new() -> Mount {
        let folder = tempfile::tempdir().expect("a folder");
        let certified = rcgen::generate_simple_self_signed(["sparkler".to_owned()]).expect("made");
        let certificate = certified.cert.pem();
        let callers =
            r#"{"callers": [{"name": "flows", "tenant": "a", "tokens_sha256": ["TOKEN"]}]}"#;
        for (path, content) in [
            ("tls/tls.crt", certificate.as_str()),
            ("tls/tls.key", &certified.signing_key.serialize_pem()),
            ("client-ca/ca.crt", &certificate),
            ("redis-ca/ca.crt", &certificate),
            ("callers/callers.json", &callers.replace("TOKEN", &"ab".repeat(32))),
            ("credentials/team-a", "fw_of_team_a"),
            ("cache/secret", "sixteen bytes or more"),
            ("other-cache/secret", "sixteen other bytes"),
            ("redis/password", "a password"),
            ("limits/limits.json", r#"{"default": {"tokens_per_day": 2000000}}"#),
            ("prices/prices.json", include_str!("../../../src/price/table.json")),
            ("authority/ca.crt", &certificate),
        ] {
            write(&folder.path().join(path), content);
        }
        Mount(folder)
    }

    /// A variable as this machine can have it: files in the folder, free ports,
    /// and something where Kubernetes fills in.
    fn here(&self, name: String, value: Option<String>) -> (String, String) {
        let value = match value {
            None if name.ends_with("_HEADERS") => "authorization=there".to_owned(),
            None => "sparkler-0".to_owned(),
            Some(_) if name.ends_with("_LISTEN") => "127.0.0.1:0".to_owned(),
            Some(value) => {
                let here = self.0.path().to_string_lossy();
                Self::THERE.iter().fold(value, |value, there| value.replace(there, &here))
            }
        };
        (name, value)
    }
}

fn write(path: &PathBuf, content: &str) {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).expect("a folder");
    fs::write(path, content).expect("written");
}
