//! `sparkler execute`: what goes out, what comes in, and on which stream.

use sparkler::proto::{
    CacheOutcome, CacheStatus, Choice, Completed, Cost, Delta, Progress, Restarted, Started,
    StoreStatus, Timing, ToolCall, Usage, execute_node_response::Event, output_options::Format,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::{
    cli::program::{Program, file, finish, interrupt, path},
    support::scripted_worker::{Script, ScriptedWorker},
};

fn started() -> Event {
    Event::Started(Started { execution_token: "token-1".to_owned(), ..Started::default() })
}

fn text(text: &str) -> Event {
    Event::Delta(Delta { text: text.to_owned(), ..Delta::default() })
}

fn reasoning(text: &str) -> Event {
    Event::Delta(Delta { reasoning: text.to_owned(), ..Delta::default() })
}

fn choice(index: u32, text: &str) -> Choice {
    Choice { index, text: text.to_owned(), finish_reason: "stop".to_owned(), ..Choice::default() }
}

fn completed(choices: Vec<Choice>) -> Event {
    Event::Completed(Completed { choices, attempts: 1, ..Completed::default() }.into())
}

/// A short answer with reasoning before it.
pub(crate) fn hello() -> Script {
    let answer = Choice { reasoning: "Greet.".to_owned(), ..choice(0, "Hello, world") };
    Script::events([
        started(),
        reasoning("Greet."),
        text("Hello, "),
        text("world"),
        completed(vec![answer]),
    ])
}

#[tokio::test]
async fn the_answer_goes_to_stdout_and_the_figures_to_stderr() {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let all = Completed {
        choices: vec![choice(0, "Hi.")],
        usage: Some(Usage {
            prompt_tokens: Some(5),
            completion_tokens: Some(2),
            ..Usage::default()
        }),
        cost: Some(Cost { spent_nanodollars: 15_800, ..Cost::default() }),
        timing: Some(Timing { first_token: seconds(1), total: seconds(2), ..Timing::default() }),
        attempts: 2,
        cache: Some(CacheOutcome {
            status: CacheStatus::Miss.into(),
            store: StoreStatus::Stored.into(),
            ..CacheOutcome::default()
        }),
        model: "accounts/fireworks/models/glm-5p3".to_owned(),
        ..Completed::default()
    };
    let worker = ScriptedWorker::start(Script::events([
        started(),
        text("Hi."),
        Event::Completed(all.into()),
    ]))
    .await;
    let run = Program::calling(&worker, &["execute", "--model", "m", "Say hi."]).run().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "Hi.\n"));
    assert_eq!(
        run.stderr,
        "5 tokens in · 2 out · $0.0000158 spent · first token 1.00s · total 2.00s · cache miss, \
         stored · 2 attempts · accounts/fireworks/models/glm-5p3\n"
    );
}

#[tokio::test]
async fn a_trace_shows_where_the_time_went() {
    let millis = |millis| Some(prost_types::Duration { seconds: 0, nanos: millis * 1_000_000 });
    let all = Completed {
        choices: vec![choice(0, "Hi.")],
        timing: Some(Timing {
            queue: millis(100),
            cache: millis(100),
            connect: millis(100),
            first_token: millis(600),
            total: millis(1000 - 1),
        }),
        ..Completed::default()
    };
    let worker = ScriptedWorker::start(Script::events([
        started(),
        text("Hi."),
        Event::Completed(all.into()),
    ]))
    .await;
    let run = Program::calling(&worker, &["execute", "--quiet", "--trace", "x"]).run().await;
    assert_eq!(run.stdout, "Hi.\n");
    let lines: Vec<&str> = run.stderr.lines().collect();
    let names = ["queue", "cache", "connect", "first token", "stream", "seen here: first token"];
    assert_eq!(lines.len(), names.len(), "{}", run.stderr);
    for (line, name) in lines.iter().zip(names) {
        assert!(line.starts_with(name), "{line}");
        assert!(line.chars().count() <= 80 && !line.contains('\u{1b}'), "{line}");
    }
    assert!(lines[3].ends_with(" 300ms") && lines[4].ends_with(" 399ms"), "{}", run.stderr);
}

#[tokio::test]
async fn reasoning_does_not_reach_a_pipe() {
    let worker = ScriptedWorker::start(hello()).await;
    let run = Program::calling(&worker, &["execute", "--quiet", "Greet me."]).run().await;
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("Hello, world\n", ""));
}

#[tokio::test]
async fn text_reaches_a_pipe_as_the_model_wrote_it() {
    let odd = "\u{1b}[31mred\u{1b}[0m\r\n글\n";
    let script = Script::events([text(odd), completed(vec![choice(0, odd)])]);
    let worker = ScriptedWorker::start(script).await;
    let run = Program::calling(&worker, &["execute", "-q", "p"]).run().await;
    assert_eq!(run.stdout, odd);
}

#[tokio::test]
async fn text_is_printed_as_it_comes_and_ctrl_c_stops_the_worker() {
    let mut worker =
        ScriptedWorker::start(Script::events([started(), text("Once")]).then_hangs()).await;
    let mut child = Program::calling(&worker, &["execute", "Write a long text."]).start().await;
    let mut once = [0; 4];
    let stdout = child.stdout.as_mut().expect("stdout is piped");
    stdout.read_exact(&mut once).await.expect("the first piece comes");
    assert_eq!(&once, b"Once");

    interrupt(&child);
    let run = finish(child).await;
    worker.abandoned().await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(130), "\n"));
    assert_eq!(run.stderr, "INTERRUPTED: stopped, and the provider with it\n");
}

#[tokio::test]
async fn a_reader_that_leaves_ends_the_run_quietly() {
    let many = (0..2000).map(|_| text(&"word ".repeat(100)));
    let mut worker = ScriptedWorker::start(Script::events(many).then_hangs()).await;
    let mut child = Program::calling(&worker, &["execute", "p"]).start().await;
    let mut stdout = child.stdout.take().expect("stdout is piped");
    stdout.read_u8().await.expect("the first piece comes");
    drop(stdout);
    let run = finish(child).await;
    worker.abandoned().await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn events_are_lines_of_proto_json() {
    let progress = Event::Progress(Progress {
        phase: 5,
        elapsed: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
    });
    let restarted =
        Event::Restarted(Restarted { attempt: 2, reason: "STREAM_INTERRUPTED".to_owned() });
    let script = Script::events([
        started(),
        text("a\nb"),
        progress,
        restarted,
        completed(vec![choice(0, "c")]),
    ]);
    let worker = ScriptedWorker::start(script).await;
    let run = Program::calling(&worker, &["execute", "--events", "p"]).run().await;
    assert_eq!(
        run.stdout.lines().collect::<Vec<_>>(),
        [
            r#"{"started":{"executionToken":"token-1"}}"#,
            r#"{"sequence":"1","delta":{"text":"a\nb"}}"#,
            r#"{"sequence":"2","progress":{"phase":"PHASE_RETRYING","elapsed":"1.500s"}}"#,
            r#"{"sequence":"3","restarted":{"attempt":2,"reason":"STREAM_INTERRUPTED"}}"#,
            r#"{"sequence":"4","completed":{"choices":[{"text":"c","finishReason":"stop"}],"attempts":1}}"#,
        ]
    );
}

#[tokio::test]
async fn several_choices_come_each_under_a_heading() {
    let mut second = text("two");
    if let Event::Delta(delta) = &mut second {
        delta.choice = 1;
    }
    let choices = vec![choice(0, "one\n"), choice(1, "two")];
    let script = Script::events([text("one\n"), second, completed(choices)]);
    let worker = ScriptedWorker::start(script).await;
    let run =
        Program::calling(&worker, &["execute", "-q", "--config", r#"{"n": "2"}"#, "p"]).run().await;
    assert_eq!(run.stdout, "── choice 0 ──\none\n── choice 1 ──\ntwo\n");
    let output = worker.executed().output.expect("output options");
    assert_eq!(output.deltas, Some(false), "what is not shown is not asked for");
}

#[tokio::test]
async fn tool_calls_are_readable() {
    let answer = Choice {
        tool_calls: vec![ToolCall {
            id: "call_1".to_owned(),
            name: "weather".to_owned(),
            arguments: r#"{"city": "Seoul"}"#.to_owned(),
        }],
        ..choice(0, "Let me look.")
    };
    let script = Script::events([text("Let me look."), completed(vec![answer])]);
    let worker = ScriptedWorker::start(script).await;
    let run = Program::calling(&worker, &["execute", "-q", "p"]).run().await;
    assert_eq!(run.stdout, "Let me look.\n→ weather({\"city\": \"Seoul\"})  call_1\n");
}

#[tokio::test]
async fn with_json_output_only_checked_json_is_printed() {
    let answer = Choice {
        json: r#"{"age": 12345678901234567890}"#.to_owned(),
        ..choice(0, "```json\n{\"age\": 12345678901234567890}\n```")
    };
    let worker = ScriptedWorker::start(Script::events([completed(vec![answer])])).await;
    let schema = file(r#"{"type": "object"}"#);
    let flag = format!("--json-output={}", path(&schema));
    let run = Program::calling(&worker, &["execute", "-q", &flag, "p"]).run().await;
    assert_eq!(run.stdout, "{\"age\": 12345678901234567890}\n");
    let output = worker.executed().output.expect("output options");
    assert_eq!(output.format(), Format::Json);
    assert_eq!(output.json_schema, r#"{"type": "object"}"#);

    let run = Program::calling(&worker, &["execute", "-q", "--json-output", "p"]).run().await;
    assert_eq!(run.code, Some(0));
    assert_eq!(worker.executed().output.expect("output options").json_schema, "");
}

#[tokio::test]
async fn what_may_start_again_reaches_a_pipe_only_when_it_is_whole() {
    let restarted =
        Event::Restarted(Restarted { attempt: 2, reason: "STREAM_INTERRUPTED".to_owned() });
    let script = Script::events([
        text("void"),
        restarted,
        text("whole"),
        completed(vec![choice(0, "whole")]),
    ]);
    let worker = ScriptedWorker::start(script).await;
    let run = Program::calling(&worker, &["execute", "-q", "--allow-restart", "p"]).run().await;
    assert_eq!(run.stdout, "whole\n");
}

#[tokio::test]
async fn the_first_piece_is_not_held_back() {
    let worker = ScriptedWorker::start(Script::events([text("line\n")]).then_hangs()).await;
    let mut child = Program::calling(&worker, &["execute", "p"]).start().await;
    let stdout = BufReader::new(child.stdout.as_mut().expect("stdout is piped"));
    let line = stdout.lines().next_line().await.expect("a line comes");
    assert_eq!(line.as_deref(), Some("line"));
}
