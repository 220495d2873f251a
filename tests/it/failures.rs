//! The table of failures, made from the code: what callers can rely on, as a
//! snapshot that a change has to show.

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use sparkler::internals::{
    Deadline, Error, Limit, Phase, ProviderError, ProviderErrorKind, Violation, status,
};
use tonic_types::StatusExt;

fn provider(kind: ProviderErrorKind) -> Error {
    Error::from(ProviderError {
        kind,
        http_status: None,
        code: None,
        message: None,
        request_id: None,
        retry_after: None,
        successor: None,
        account_wide: false,
        is_known_form: true,
        phase: Phase::Waiting,
    })
}

fn deadline(deadline: Deadline) -> Error {
    Error::Deadline { deadline, limit: Duration::from_secs(1), phase: Phase::Waiting }
}

fn of_a_tenant() -> Limit {
    Limit::Tenant { tenant: "acme".to_owned(), executions: 10 }
}

fn of_a_day() -> Limit {
    Limit::TokensPerDay { tenant: "acme".to_owned(), tokens: 1000 }
}

/// Every failure there is. The match beside it does not compile when one is
/// missing here.
fn every_failure() -> Vec<Error> {
    let retry_after = Duration::from_secs(1);
    let text = || "text".to_owned();
    let mut all = vec![
        Error::InvalidNodeConfig(vec![Violation::new("config.topP", "is wrong")]),
        Error::UnknownNodeType { given: text(), known: vec!["fireworks"] },
        Error::NotCached,
        Error::ExecutionNotFound,
        Error::IdempotencyMismatch,
        Error::CallerUnauthenticated,
        Error::RequestCompressed,
        Error::RequestOverdue { limit: retry_after },
        Error::Saturated { limit: Limit::Executions, retry_after },
        Error::Saturated { limit: of_a_day(), retry_after },
        Error::Draining { retry_after },
        Error::ConnectionMaxAge { retry_after },
        Error::OutputNotJson { problem: text(), text: text() },
        Error::OutputSchemaMismatch { problem: text(), text: text() },
        Error::OutputTooLarge { limit_bytes: 1 },
        Error::Cancelled,
        Error::Internal("a state that should not be"),
    ];
    all.extend(
        [Deadline::Connect, Deadline::FirstToken, Deadline::Idle, Deadline::Total].map(deadline),
    );
    all.extend(ProviderErrorKind::ALL.map(provider));
    all
}

/// Fails to compile when there is a new failure: list it above as well.
fn is_listed(error: &Error) {
    match error {
        Error::InvalidNodeConfig(_)
        | Error::UnknownNodeType { .. }
        | Error::NotCached
        | Error::ExecutionNotFound
        | Error::IdempotencyMismatch
        | Error::CallerUnauthenticated
        | Error::RequestCompressed
        | Error::RequestOverdue { .. }
        | Error::Saturated { .. }
        | Error::Draining { .. }
        | Error::ConnectionMaxAge { .. }
        | Error::OutputNotJson { .. }
        | Error::OutputSchemaMismatch { .. }
        | Error::OutputTooLarge { .. }
        | Error::Cancelled
        | Error::Internal(_)
        | Error::Deadline { .. }
        | Error::Provider(_) => {}
    }
}

#[test]
fn the_table_of_failures() {
    let mut table = String::new();
    let mut row = |cells: [&str; 5]| {
        let [reason, code, domain, fault, safe_to_retry] = cells;
        let line = format!("{reason:24}{code:20}{domain:14}{fault:10}{safe_to_retry}");
        writeln!(table, "{}", line.trim_end()).expect("a string takes everything");
    };
    row(["reason", "code", "domain", "fault", "safe_to_retry"]);
    for error in every_failure() {
        is_listed(&error);
        let status = status(&error);
        let info = status.get_details_error_info().expect("every failure has an ErrorInfo");
        row([
            &info.reason,
            &format!("{:?}", status.code()),
            &info.domain,
            &format!("{:?}", error.fault()),
            &info.metadata["safe_to_retry"],
        ]);
    }
    insta::assert_snapshot!(table);
}

#[test]
fn the_reasons_that_alerts_count_are_all_but_the_callers() {
    let all = every_failure();
    let others = all.iter().filter(|error| format!("{:?}", error.fault()) != "Caller");
    let reasons: BTreeSet<&str> = others.map(Error::reason).collect();
    assert_eq!(reasons, BTreeSet::from(Error::NOT_THE_CALLERS));
}

#[test]
fn every_message_says_what_happened_and_what_to_do() {
    for error in every_failure() {
        let message = error.public_message();
        assert!(message.len() > 30 && message.len() < 400, "{message}");
        assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
        assert_eq!(status(&error).message(), message);
    }
}

#[test]
fn a_known_wait_is_sent_and_the_workers_own_is_a_pushback() {
    let retry_after = Duration::from_millis(1500);
    let saturated = Error::Saturated { limit: Limit::Executions, retry_after };
    let status = status(&saturated);
    let wait = status.get_details_retry_info().and_then(|retry| retry.retry_delay);
    assert_eq!(wait, Some(Duration::from_millis(1500)));
    assert_eq!(status.metadata().get("grpc-retry-pushback-ms").expect("a pushback"), "1500");
}

#[test]
fn the_limit_of_a_tenant_is_reported_as_its_quota() {
    let limited = Error::Saturated { limit: of_a_tenant(), retry_after: Duration::from_secs(1) };
    let quota = status(&limited).get_details_quota_failure().expect("a QuotaFailure");
    let violation = &quota.violations[0];
    assert_eq!(violation.subject, "tenant:acme");
    assert_eq!(violation.description, "10 executions at a time");
}
