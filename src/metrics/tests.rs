//! Tests that the page shows what was recorded and that the table keeps its rules.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command as Process, Stdio},
    time::Duration,
};

use super::*;
use crate::event::Usage;

const SECOND: Duration = Duration::from_secs(1);

/// Records every kind of event once.
fn recorded() -> Metrics {
    let metrics = Metrics::new(Conventions::Both, |builder| builder);
    metrics.rpc_ended("sparkler.worker.v1.WorkerService/ExecuteNode", "OK", SECOND);
    let usage = Usage {
        prompt_tokens: Some(10),
        completion_tokens: Some(20),
        total_tokens: Some(30),
        cached_tokens: Some(4),
        reasoning_tokens: Some(5),
    };
    let mut call = metrics.call_began(Operation::Chat, "m");
    call.brought_output();
    call.brought_output();
    call.succeeded("m", Some(&usage));
    metrics.call_began(Operation::TextCompletion, "m").failed("PROVIDER_UNAVAILABLE", None);
    metrics.execution_ended(ExecutionEnd {
        node_type: "chatFireworks",
        cache_status: "miss",
        reason: "OK",
        took: SECOND,
        first_token: Some(SECOND),
    });
    drop(metrics.execution_began());
    metrics.looked_up(Tier::Memory, LookupResult::Miss);
    metrics.stored(Tier::Memory, Store::NotStored("ttl"));
    metrics.joined(Role::Leader);
    metrics.watch_flights(|| 2);
    metrics.flight_completed(3);
    metrics.flight_taken_over();
    metrics.flight_deposed();
    metrics.tokens(Spending::Saved, &usage);
    metrics.cost(Spending::Spent, 1_500_000_000);
    metrics.watch_admission(|| 9, || 8, || 7);
    let shares = MemoryShares { cache: 400, retention: 100, executions: 900 };
    metrics.watch_memory(shares, || 70);
    metrics.refused(Limit::Executions);
    metrics.waited(SECOND);
    metrics.cooled_down(Cooldown::Model);
    metrics.redis_command("get", Command::Ok, SECOND);
    metrics.redis_refused("full");
    metrics.redis_reachable(true);
    metrics.model_ends("m", 1_900_000_000);
    metrics.model_unpriced("m", "tier");
    metrics.watch_drain(|| 1);
    metrics.executions_cut(1);
    metrics.watch_dropped(Signal::Traces, || 6);
    metrics.watch_dropped(Signal::Logs, || 5);
    metrics.handshake_failed(Handshake::NoCertificate);
    metrics.watch_certificate(|| 1_900_000_000, || 12);
    metrics.watch_callers(|| 3);
    metrics.panicked();
    metrics
}

/// Returns the metrics of a page, by their `# TYPE` lines.
fn named(page: &str) -> BTreeSet<&str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .filter(|name| *name != "target_info")
        .collect()
}

#[test]
fn every_row_of_the_table_is_recorded_and_on_the_page() {
    let page = recorded().page();
    let expected: Vec<String> = TABLE.iter().map(Definition::page_name).collect();
    let expected: BTreeSet<&str> = expected.iter().map(String::as_str).collect();
    assert_eq!(named(&page), expected);
}

#[test]
fn the_page_has_the_values_with_their_attributes() {
    let page = recorded().page();
    for line in [
        r#"sparkler_executions_total{sparkler_cache_status="miss",sparkler_node_type="chatFireworks",sparkler_reason="OK"} 1"#,
        r#"sparkler_execution_duration_seconds_sum{sparkler_cache_status="miss",sparkler_node_type="chatFireworks"} 1"#,
        r#"sparkler_cost_total{sparkler_cost_kind="spent"} 1.5"#,
        r#"sparkler_tokens_total{sparkler_token_paid="false",sparkler_token_type="output"} 20"#,
        r#"sparkler_upstream_attempts_total{sparkler_reason="PROVIDER_UNAVAILABLE"} 1"#,
        r#"sparkler_cache_stores_total{sparkler_cache_not_stored_reason="ttl",sparkler_cache_result="not_stored",sparkler_cache_tier="memory"} 1"#,
        r#"sparkler_telemetry_dropped_total{sparkler_telemetry_signal="logs"} 5"#,
        r#"sparkler_telemetry_dropped_total{sparkler_telemetry_signal="traces"} 6"#,
        "sparkler_executions_active 0",
        "sparkler_flights_active 2",
        "sparkler_admission_queued 7",
        "sparkler_executions_wanted 15",
        r#"sparkler_memory_limit_bytes{sparkler_memory_purpose="executions"} 900"#,
        "sparkler_memory_charged_bytes 70",
        "sparkler_drain_stage 1",
        r#"sparkler_handshakes_failed_total{sparkler_handshake_cause="no_certificate"} 1"#,
        "sparkler_tls_certificate_expiry_seconds 1900000000",
        "sparkler_tls_certificate_remaining_seconds 12",
        "sparkler_callers 3",
    ] {
        assert!(page.lines().any(|there| there == line), "not there: {line}\n{page}");
    }
}

/// A rate over a series that appears with its first event misses that event.
#[test]
fn closed_sets_have_their_series_before_the_first_event() {
    let metrics = Metrics::default();
    metrics.node_is_served("chatFireworks", &["hit", "miss"]);
    metrics.redis_is_used(["full"]);
    let page = metrics.page();
    for line in [
        "sparkler_executions_active 0",
        "sparkler_panics_total 0",
        "sparkler_drain_aborted_executions_total 0",
        "sparkler_flight_takeovers_total 0",
        r#"sparkler_flights_total{sparkler_flight_role="fleet_follower"} 0"#,
        r#"sparkler_cache_lookups_total{sparkler_cache_result="failed",sparkler_cache_tier="redis"} 0"#,
        r#"sparkler_admission_refusals_total{sparkler_admission_limit_kind="bytes"} 0"#,
        r#"sparkler_cooldowns_total{sparkler_cooldown_kind="model"} 0"#,
        r#"sparkler_cost_total{sparkler_cost_kind="saved"} 0"#,
        r#"sparkler_tokens_total{sparkler_token_paid="true",sparkler_token_type="input"} 0"#,
        r#"sparkler_upstream_attempts_total{sparkler_reason="OK"} 0"#,
        r#"sparkler_upstream_attempts_total{sparkler_reason="PROVIDER_UNAVAILABLE"} 0"#,
        r#"sparkler_upstream_attempts_total{sparkler_reason="IDLE_TIMEOUT"} 0"#,
        r#"sparkler_cache_stores_total{sparkler_cache_not_stored_reason="",sparkler_cache_result="failed",sparkler_cache_tier="redis"} 0"#,
        r#"sparkler_handshakes_failed_total{sparkler_handshake_cause="timeout"} 0"#,
        r#"sparkler_redis_commands_total{sparkler_redis_result="timeout"} 0"#,
        r#"sparkler_redis_refusals_total{sparkler_redis_cause="full"} 0"#,
        r#"sparkler_executions_total{sparkler_cache_status="none",sparkler_node_type="chatFireworks",sparkler_reason="WORKER_SATURATED"} 0"#,
        r#"sparkler_executions_total{sparkler_cache_status="miss",sparkler_node_type="chatFireworks",sparkler_reason="STREAM_INTERRUPTED"} 0"#,
        r#"sparkler_executions_total{sparkler_cache_status="hit",sparkler_node_type="chatFireworks",sparkler_reason="OK"} 0"#,
    ] {
        assert!(page.lines().any(|there| there == line), "not there: {line}\n{page}");
    }
}

#[test]
fn the_process_is_measured_by_the_usual_names() {
    let page = Metrics::default().page();
    let value = |name: &str| -> f64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not there\n{page}")).parse().expect("a number")
    };
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!((3.0..1e5).contains(&value("process_open_fds")));
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_start_time_seconds") > 1.7e9);
    let build = format!("sparkler_build_info{{architecture=\"{}\"", std::env::consts::ARCH);
    assert!(page.contains(&build), "{page}");
}

#[test]
fn a_call_that_is_dropped_was_cancelled() {
    let metrics = Metrics::default();
    drop(metrics.call_began(Operation::Chat, "m"));
    let page = metrics.page();
    let line = r#"sparkler_upstream_attempts_total{sparkler_reason="EXECUTION_CANCELLED"} 1"#;
    assert!(page.contains(line), "{page}");
}

#[test]
fn names_of_models_are_bounded_on_the_page() {
    let metrics = Metrics::default();
    for number in 0..1000 {
        let model = format!("accounts/me/models/{number}");
        metrics.call_began(Operation::Chat, &model).failed("MODEL_NOT_FOUND", None);
        metrics.call_began(Operation::Chat, &model).succeeded(&model, None);
    }
    let page = metrics.page();
    let name = "gen_ai_client_operation_duration_seconds_count";
    let series = page.lines().filter(|line| line.starts_with(name)).count();
    // Plus `_OTHER`, for success and failure.
    assert_eq!(series, Models::MOST + 2, "{page}");
}

/// Returns the metrics for generative AI on the page after a call.
fn gen_ai_names(conventions: Conventions) -> BTreeSet<String> {
    let metrics = Metrics::new(conventions, |builder| builder);
    let usage = Usage {
        prompt_tokens: Some(10),
        completion_tokens: Some(20),
        cached_tokens: Some(4),
        ..Usage::default()
    };
    let mut call = metrics.call_began(Operation::Chat, "m");
    call.brought_output();
    call.brought_output();
    call.succeeded("m", Some(&usage));
    let page = metrics.page();
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE gen_ai_client_"));
    types.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn names_are_released_ones_latest_ones_or_both() {
    let released = gen_ai_names(Conventions::Released);
    assert_eq!(
        released.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "operation_duration_seconds",
            "operation_time_per_output_chunk_seconds",
            "operation_time_to_first_chunk_seconds",
            "token_usage",
        ]
    );
    let latest = gen_ai_names(Conventions::Latest);
    assert_eq!(
        latest.iter().map(String::as_str).collect::<Vec<_>>(),
        [
            "inference_duration_seconds",
            "inference_operation_input_tokens",
            "inference_operation_output_tokens",
            "inference_time_per_output_chunk_seconds",
            "inference_time_to_first_chunk_seconds",
            "inference_usage_cache_read_input_tokens_total",
            "inference_usage_input_tokens_total",
            "inference_usage_output_tokens_total",
            "inference_usage_reasoning_output_tokens_total",
        ]
    );
    assert_eq!(gen_ai_names(Conventions::Both), &released | &latest);
}

#[test]
fn the_tables_names_are_its_own() {
    let names: BTreeSet<&str> = TABLE.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), TABLE.len());
    for row in TABLE {
        assert!(row.description.ends_with('.'), "{}", row.name);
        assert_eq!(row.kind == InstrumentKind::Histogram, !row.buckets.is_empty(), "{}", row.name);
        assert!(row.buckets.is_sorted(), "{}", row.name);
    }
}

/// Prometheus's own linter.
#[test]
fn promtool_finds_nothing_wrong_with_the_page() {
    let mut promtool = Process::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which tests/setup installs");
    let mut input = promtool.stdin.take().expect("a pipe");
    input.write_all(recorded().page().as_bytes()).expect("it reads");
    drop(input);
    let output = promtool.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
