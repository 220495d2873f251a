//! `sparkler bench` against the simulated Fireworks, whose own counts it must equal.

use std::time::Duration;

use fireworks_simulator::{Fault, Options, Pace, Rule, UNKNOWN_KEY};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::cli::{
    in_process::Fireworks,
    program::{Run, finish, interrupt},
};

/// $0.15 and $0.50 per million tokens.
const MODEL: &str = "accounts/fireworks/models/glm-5p3-flash";
const OTHER: &str = "accounts/fireworks/models/kimi-k3";

async fn bench(fireworks: &Fireworks, arguments: &[&str]) -> Run {
    let arguments: Vec<&str> =
        ["bench", "--model", MODEL].into_iter().chain(arguments.iter().copied()).collect();
    fireworks.program(&arguments).run().await
}

fn report(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| {
        panic!("{error}: {:?}\n{}\n{}", run.code, run.stdout, run.stderr);
    })
}

fn sum(report: &Value, field: &str) -> u64 {
    let scenarios = report["scenarios"].as_array().expect("scenarios");
    scenarios.iter().map(|scenario| scenario[field].as_u64().expect(field)).sum()
}

#[tokio::test]
async fn every_combination_is_measured_and_counted_exactly() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let arguments = [
        "--model",
        OTHER,
        "--via",
        "direct,worker",
        "--prompt",
        "short,medium",
        "--concurrency",
        "1,3",
        "--requests",
        "4",
        "--rounds",
        "2",
        "--warm-up",
        "0",
        "--budget",
        "none",
        "--json",
        "-",
    ];
    let run = bench(&fireworks, &arguments).await;
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let report = report(&run);
    assert_eq!(report["scenarios"].as_array().expect("scenarios").len(), 16);
    let simulated = fireworks.handle.report();
    assert_eq!(simulated.calls, 16 * 4 * 2);
    assert_eq!(simulated.peak_in_flight, 3);
    assert_eq!(sum(&report, "answers"), simulated.completed);
    assert_eq!(sum(&report, "prompt_tokens"), simulated.prompt_tokens);
    assert_eq!(sum(&report, "cached_tokens"), simulated.cached_tokens);
    assert_eq!(sum(&report, "completion_tokens"), simulated.completion_tokens);
    let spent = report["spent_nanodollars"].as_u64().expect("a sum");
    assert_eq!(sum(&report, "cost_nanodollars"), spent);
    assert_eq!(report["unknown_at_most_nanodollars"], 0);
    assert_eq!(report["end"], "completed");
}

#[tokio::test]
async fn both_ways_ask_the_provider_for_the_same() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let config = r#"{"temperature": 0.5, "topK": 7}"#;
    let arguments =
        ["--via", "direct,worker", "--config", config, "--requests=1", "--rounds=1", "--warm-up=0"];
    let run = bench(&fireworks, &arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let simulated = fireworks.handle.report();
    assert_eq!((simulated.calls, simulated.distinct_requests), (2, 1));
    assert_eq!(simulated.requests[0].body, simulated.requests[1].body);
    assert_eq!(simulated.requests[0].body["max_tokens"], 256);
}

#[tokio::test]
async fn the_budget_is_never_passed() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let arguments =
        ["--budget", "0.003", "--concurrency", "4", "--requests", "1000", "--json", "-"];
    let run = bench(&fireworks, &arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let report = report(&run);
    assert_eq!(report["end"], "budget_reached");
    let simulated = fireworks.handle.report();
    let cached = simulated.cached_tokens;
    let cost =
        (simulated.prompt_tokens - cached) * 150 + cached * 30 + simulated.completion_tokens * 500;
    assert_eq!(report["spent_nanodollars"], cost);
    assert!(cost <= 3_000_000, "{cost}");
    // It stops when four at their dearest no longer fit beside what is spent.
    assert!(cost > 1_500_000, "{cost}: it stopped long before");
}

#[tokio::test]
async fn a_model_without_a_price_needs_a_budget_of_none() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let model = "accounts/simulator/models/plain";
    let run = fireworks.program(&["bench", "--model", model]).run().await;
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("no price is known for"), "{}", run.stderr);
    assert_eq!(fireworks.handle.report().calls, 0);
    let run = fireworks.program(&["bench", "--model", model, "--budget", "none"]).run().await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[tokio::test]
async fn ctrl_c_keeps_what_was_measured() {
    let pace = Pace { first_token: Duration::ZERO, tokens_per_second: 200.0 };
    let fireworks = Fireworks::start(Options { pace, ..Options::default() }).await;
    let arguments =
        ["bench", "--model", MODEL, "--concurrency=4", "--requests=10000", "--json", "-"];
    let mut child = fireworks.program(&arguments).start().await;
    let enough = Duration::from_secs(20);
    let some = fireworks.handle.wait_until(|report| report.completed >= 10, enough).await;
    some.expect("some requests end");
    interrupt(&child);
    let mut stdout = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut stdout).await.expect("text");
    let run = Run { stdout, ..finish(child).await };
    assert_eq!(run.code, Some(130), "{}", run.stderr);
    let report = report(&run);
    assert_eq!(report["end"], "interrupted");
    // One is the warm-up's, and four may not have been read.
    assert!(sum(&report, "answers") >= 5, "{}", run.stdout);
    assert!(report["unknown_at_most_nanodollars"].as_u64() > Some(0), "what was cut off");
    let left = fireworks.handle.wait_until(|report| report.in_flight == 0, enough).await;
    assert!(left.expect("all calls end").aborted <= 4);
}

#[tokio::test]
async fn errors_are_counted_by_reason_and_retries_apart() {
    for via in ["direct", "worker"] {
        let fireworks = Fireworks::start(Options::instant()).await;
        let refusal = r#"{"faults": [{"refuse": {"status": 429}}], "times": 3}"#;
        fireworks.handle.script(refusal.parse::<Rule>().expect("a rule"));
        let arguments = ["--via", via, "--requests=5", "--rounds=1", "--warm-up=0", "--json", "-"];
        let run = bench(&fireworks, &arguments).await;
        let report = report(&run);
        let scenario = &report["scenarios"][0];
        assert_eq!(scenario["errors"]["PROVIDER_RATE_LIMITED"], 3, "{via} {scenario}");
        assert_eq!((&scenario["answers"], &scenario["retries"]), (&2.into(), &0.into()), "{via}");
        assert_eq!(scenario["latency_ms"]["count"], 2, "{via}");
        assert_eq!(report["unknown_at_most_nanodollars"], 0, "{via}: a refusal is free");

        fireworks.handle.script(refusal.replace('3', "1").parse::<Rule>().expect("a rule"));
        let arguments = [
            "--via",
            via,
            "--max-attempts=2",
            "--requests=2",
            "--rounds=1",
            "--warm-up=0",
            "--json=-",
        ];
        let report = self::report(&bench(&fireworks, &arguments).await);
        let scenario = &report["scenarios"][0];
        assert_eq!((&scenario["answers"], &scenario["retries"]), (&2.into(), &1.into()), "{via}");
    }
}

#[tokio::test]
async fn a_key_that_is_refused_ends_it_at_the_first_request() {
    let fireworks = Fireworks::start(Options::instant()).await;
    for via in ["direct", "worker"] {
        let arguments = ["bench", "--model", MODEL, "--via", via];
        let run = fireworks.program(&arguments).env("FIREWORKS_API_KEY", UNKNOWN_KEY).run().await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{via}");
        assert!(run.stderr.contains("CREDENTIAL_REJECTED"), "{via}: {}", run.stderr);
    }
    assert_eq!(fireworks.handle.report().refused, 2);
}

#[tokio::test]
async fn unique_prompts_are_in_no_cache() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let many = ["--prompt=medium", "--requests=5", "--rounds=1", "--json=-", "--budget=none"];
    let through = ["--via=worker", "--cache"];
    let repeated = report(&bench(&fireworks, &[&many[..], &through[..]].concat()).await);
    // The warm-up was the only request of six.
    assert_eq!((fireworks.handle.report().calls, sum(&repeated, "reused")), (1, 5));
    fireworks.handle.reset();
    let unique =
        report(&bench(&fireworks, &[&many[..], &through[..], &["--unique"]].concat()).await);
    let simulated = fireworks.handle.report();
    assert_eq!((simulated.calls, simulated.cached_tokens), (6, 0));
    assert_eq!((sum(&unique, "reused"), sum(&unique, "cached_tokens")), (0, 0));
}

#[tokio::test]
async fn a_rate_is_kept_however_slow_the_answers() {
    let pace = Pace { first_token: Duration::from_millis(1500), tokens_per_second: f64::INFINITY };
    let fireworks = Fireworks::start(Options { pace, ..Options::default() }).await;
    let arguments = ["--rate=10", "--requests=10", "--rounds=1", "--warm-up=0", "--json=-"];
    let report = report(&bench(&fireworks, &arguments).await);
    // The last is sent at 900 ms, before the first is answered at 1500 ms.
    assert_eq!(fireworks.handle.report().peak_in_flight, 10);
    assert_eq!(report["scenarios"][0]["rate_per_second"], 10.0);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_refused_before_it_costs() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let run = bench(&fireworks, &["--json", "/nonexistent/report.json"]).await;
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert_eq!(fireworks.handle.report().calls, 0);
}

#[tokio::test]
async fn a_field_with_a_flag_of_its_own_is_refused() {
    let fireworks = Fireworks::start(Options::instant()).await;
    for (config, reported) in [
        (r#"{"maxTokens": 9}"#, "--config sets maxTokens: use --max-tokens"),
        (r#"{"n": 2}"#, "raise --concurrency"),
        (r#"{"topKay": 2}"#, "config.topKay"),
    ] {
        let run = bench(&fireworks, &["--config", config]).await;
        assert_eq!(run.code, Some(2), "{config}: {}", run.stderr);
        assert!(run.stderr.contains(reported), "{config}: {}", run.stderr);
    }
    assert_eq!(fireworks.handle.report().calls, 0);
}

#[tokio::test]
async fn an_answer_that_breaks_off_counts_at_its_dearest() {
    let fireworks = Fireworks::start(Options::instant()).await;
    fireworks.handle.script(Rule::always(Fault::Cut { after_deltas: 3 }));
    let arguments = ["--requests=2", "--rounds=1", "--warm-up=0", "--json=-"];
    let run = bench(&fireworks, &arguments).await;
    assert_eq!(run.code, Some(1), "no request succeeded");
    let report = report(&run);
    assert_eq!(report["scenarios"][0]["errors"]["STREAM_INTERRUPTED"], 2);
    let at_most = report["unknown_at_most_nanodollars"].as_u64();
    // Two answers of 256 tokens, and their prompts.
    assert!(at_most > Some(2 * 256 * 500), "{at_most:?}");
}

#[tokio::test]
async fn its_times_are_the_simulators_own_within_2_percent() {
    let pace = |first_token, tokens_per_second| Pace {
        first_token: Duration::from_millis(first_token),
        tokens_per_second,
    };
    let paces = [
        (MODEL, pace(2000, 15.0)),
        ("accounts/fireworks/models/glm-5p3", pace(2500, 12.0)),
        (OTHER, pace(3000, 10.0)),
    ];
    let paces: std::collections::HashMap<String, Pace> =
        paces.map(|(model, pace)| (model.to_owned(), pace)).into();
    let models = paces.keys().cloned().collect::<Vec<_>>().join(",");
    // One token a delta, so that none comes with the first.
    let options = Options { paces, delta_tokens: 1, ..Options::instant() };
    let fireworks = Fireworks::start(options).await;
    let arguments = [
        "bench",
        "--model",
        &models,
        "--concurrency=4",
        "--requests=4",
        "--rounds=1",
        "--warm-up=0",
        "--max-tokens=30",
        "--json=-",
    ];
    let report = report(&fireworks.program(&arguments).run().await);
    let simulated = fireworks.handle.report();
    for scenario in report["scenarios"].as_array().expect("scenarios") {
        let times = &simulated.times[scenario["model"].as_str().expect("a name")];
        assert_eq!(scenario["answers"], times.answers);
        for (figure, own) in [
            ("first_token_ms", times.first_token_ms),
            ("tokens_per_second", times.tokens_per_second),
            ("latency_ms", times.latency_ms),
        ] {
            let mean = scenario[figure]["mean"].as_f64().expect("a mean");
            assert!((mean / own - 1.0).abs() < 0.02, "{figure}: {mean}, simulated {own}");
        }
    }
}

#[tokio::test]
async fn the_page_loads_nothing_and_runs_nothing() {
    let fireworks = Fireworks::start(Options::instant()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("report.html");
    let prompts = folder.path().join("<img src=x>.txt");
    std::fs::write(&prompts, "One.\nTwo.\n").expect("written");
    let (page, prompts) = (page.to_str().expect("text"), prompts.to_str().expect("text"));
    let arguments =
        ["--html", page, "--prompts-file", prompts, "--concurrency=1,2", "--requests=2"];
    let run = bench(&fireworks, &arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let page = std::fs::read_to_string(page).expect("a page");
    for never in ["<script", "<img", "http://", "https://", "url(", "@import", "NaN"] {
        assert!(!page.contains(never), "{never}");
    }
    // Distribution, over time and against load, of three figures each.
    assert_eq!(page.matches("<figure>").count(), 9);
    assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), 9);
}
