//! `sparkler serve` as a process: how it starts, or says that it cannot, what
//! signals do to it, and a reader of its log that stands still.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// On a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// It stops at once.
const QUICK: &[&str] = &["--pre-drain-delay=0s", "--drain-limit=1s"];

fn serve(more: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sparkler"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .args(more)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// One that does not start; what it says, by its exit code.
fn refused(more: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = serve(more, variables).output().expect("it runs");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

/// One that runs; killed at the end of its test.
struct Running {
    child: Child,
    log: Option<BufReader<std::process::ChildStderr>>,
    listen: String,
    admin: String,
}

impl Running {
    fn start(more: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut child =
            serve(&[&["--log-format=json"], more].concat(), variables).spawn().expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("a pipe"));
        let (listen, admin) = Default::default();
        let mut running = Running { child, log: Some(log), listen, admin };
        let line = running.line("listening");
        let address = |name: &str| line[name].as_str().expect("an address").to_owned();
        (running.listen, running.admin) = (address("listen"), address("admin_listen"));
        running
    }

    /// The next line with this message.
    fn line(&mut self, message: &str) -> Value {
        let log = self.log.as_mut().expect("it is read");
        let mut lines = log.lines().map_while(Result::ok);
        let mut lines = lines.by_ref().map(|line| {
            serde_json::from_str::<Value>(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
        });
        lines.find(|line| line["message"] == message).unwrap_or_else(|| panic!("no {message}"))
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(id).expect("a process id"), signal).expect("sent");
    }

    fn ended(&mut self) -> Option<i32> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code();
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }

    /// Pings the gRPC port over HTTP/2, whose library logs each frame at trace level.
    fn ping(&self, times: usize) {
        const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let mut stream = TcpStream::connect(&self.listen).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings.as_slice()].concat();
        stream.write_all(&preface).expect("sent");
        for _ in 0..times {
            stream.write_all(&PING).expect("sent");
            stream.read_exact(&mut [0; PING.len()]).expect("an answer");
        }
    }

    fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("sent");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("an answer");
        page
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn all_wrong_settings_are_reported_at_once_by_their_origin() {
    let (code, said) = refused(
        &["--queue-timeout=99999999999999d", "--prices=/nonexistent", "--max-executions", "many"],
        &[
            ("SPARKLER_MAX_ATTEMPTS", "0"),
            ("SPARKLER_DRAIN_LIMIT", "soon"),
            ("SPARKLER_CACHE_TTL", ""),
            ("SPARKLER_QUEUE_LENGHT", "7"),
        ],
    );
    assert_eq!(code, Some(2), "{said}");
    for word in [
        "--queue-timeout",
        "--prices",
        "--max-executions",
        "SPARKLER_MAX_ATTEMPTS",
        "SPARKLER_DRAIN_LIMIT",
        "SPARKLER_QUEUE_LENGHT is not a setting and is ignored; did you mean SPARKLER_QUEUE_LENGTH?",
    ] {
        assert!(said.contains(word), "{word} is missing in: {said}");
    }
    assert!(!said.contains("CACHE_TTL"), "an empty variable is none: {said}");
}

#[test]
fn a_failed_start_is_json_where_lines_are_json() {
    for (more, variables) in [
        (&["--log-format=json", "--queue-timeout=soon"][..], &[][..]),
        (&["--log-format", "json", "surplus"], &[]),
        (&["--prices=/nonexistent"], &[("SPARKLER_LOG_FORMAT", "json")]),
        (&["--listen=192.0.2.1:1", "--insecure", "--log-format=json"], &[]),
    ] {
        let (code, said) = refused(more, variables);
        assert!(code.is_some_and(|code| code > 0), "{more:?}");
        assert!(!said.is_empty(), "{more:?}");
        for line in said.lines() {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{said}"));
            assert!(line["message"].is_string() && line["timestamp"].is_string(), "{line}");
        }
    }
}

#[test]
fn no_file_holds_a_start_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("it runs").success());
    let pipe = format!("--callers-file={}", pipe.display());
    let began = Instant::now();
    let (code, said) = refused(&[&pipe, "--prices=/dev/urandom"], &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--callers-file") && said.contains("larger than"), "{said}");
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
}

#[test]
fn odd_standard_variables_are_warned_of() {
    let odd = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote"),
        ("OTEL_RESOURCE_ATTRIBUTES", "junk"),
    ];
    let mut running = Running::start(QUICK, &odd);
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), Some(0));
    let (_, said) = refused(&["--max-attempts=0"], &odd);
    assert!(said.contains("OTEL_TRACES_SAMPLER") && said.contains("RESOURCE"), "{said}");
}

#[test]
fn the_settings_are_fields() {
    let child = serve(&["--log-format=json", "--queue-length=7"], &[]).spawn().expect("it starts");
    let mut child = Running { child, log: None, listen: String::new(), admin: String::new() };
    child.log = child.child.stderr.take().map(BufReader::new);
    let settings = child.line("effective settings")["settings"].clone();
    assert_eq!(settings["queue_length"], 7);
    assert_eq!(settings["queue_timeout"], "10s");
    assert_eq!(settings["reflection"], true);
}

#[test]
fn a_hang_up_reads_followed_files_again_and_ends_nothing() {
    let mut running = Running::start(QUICK, &[]);
    for _ in 0..3 {
        running.signal(Signal::HUP);
        running.line("reading the followed files again");
    }
    assert!(running.page("/readyz").contains("200 OK"));
    running.signal(Signal::INT);
    assert_eq!(running.ended(), Some(0));
}

#[test]
fn a_second_signal_ends_the_worker_at_once() {
    for (first, second, code) in
        [(Signal::TERM, Signal::TERM, 143), (Signal::TERM, Signal::INT, 130)]
    {
        let mut running = Running::start(&["--pre-drain-delay=1h"], &[]);
        running.signal(first);
        running.line("stopping; a second signal ends the worker at once");
        running.signal(second);
        assert_eq!(running.ended(), Some(code));
    }
}

#[test]
fn a_reader_of_the_log_that_stands_still_costs_lines_only() {
    let mut running = Running::start(&[&["--log=trace"], QUICK].concat(), &[]);
    // Not read from here on, and not closed.
    let unread = running.log.take();
    let began = Instant::now();
    let lost = |page: &str| {
        let is_count = |line: &&str| line.contains(r#"dropped_total{"#) && line.contains("logs");
        page.lines().find(is_count).is_some_and(|line| !line.ends_with(" 0"))
    };
    while !lost(&running.page("/metrics")) {
        assert!(began.elapsed() < PATIENCE, "no line is lost");
        running.ping(500);
        assert!(running.page("/livez").contains("alive"));
    }
    running.signal(Signal::TERM);
    assert_eq!(running.ended(), Some(0));
    drop(unread);
}
