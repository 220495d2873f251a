//! The retry policy, by table.

use std::time::Duration;

use super::super::RetryPolicy;
use crate::{
    error::{Deadline, Error, ProviderError, ProviderErrorKind},
    event::Phase,
};

const START: Duration = Duration::ZERO;

fn failure(kind: ProviderErrorKind, retry_after: Option<Duration>) -> Error {
    ProviderError {
        kind,
        http_status: None,
        code: None,
        message: None,
        request_id: None,
        retry_after,
        successor: None,
        account_wide: false,
        is_known_form: true,
        phase: Phase::Waiting,
    }
    .into()
}

fn policy() -> RetryPolicy {
    RetryPolicy::default().seeded(7)
}

#[test]
fn only_what_passes_is_tried_again() {
    for kind in ProviderErrorKind::ALL {
        let next = policy().next(1, START, &failure(kind, None));
        assert_eq!(next.is_some(), kind.is_transient(), "{kind:?}");
    }
    let deadline = Error::Deadline {
        deadline: Deadline::Connect,
        limit: Duration::from_secs(1),
        phase: Phase::Connecting,
    };
    for error in [deadline, Error::Cancelled, Error::Internal("x")] {
        assert_eq!(policy().next(1, START, &error), None, "{error:?}");
    }
}

#[test]
fn attempts_are_bounded_and_waits_grow_with_full_jitter() {
    let error = failure(ProviderErrorKind::Unavailable, None);
    assert_eq!(policy().next(3, START, &error), None);
    let mut policy = policy();
    policy.max_attempts = 50;
    for (attempt, longest) in [(1, 500), (2, 1000), (3, 2000), (5, 8000), (40, 8000)] {
        let waits: Vec<Duration> =
            (0..200).map(|_| policy.next(attempt, START, &error).expect("a wait")).collect();
        let longest = Duration::from_millis(longest);
        let (least, most) = (waits.iter().min(), waits.iter().max());
        assert!(least.expect("waits") < &(longest / 10), "{attempt}");
        assert!(most.expect("waits") > &(longest * 9 / 10), "{attempt}");
        assert!(most.expect("waits") <= &longest, "{attempt}");
    }
}

#[test]
fn what_the_provider_asks_for_is_the_least_wait() {
    let asked = Duration::from_secs(20);
    let error = failure(ProviderErrorKind::RateLimited, Some(asked));
    let wait = policy().next(1, START, &error).expect("a wait");
    assert!(wait >= asked && wait <= asked + policy().base);
}

#[test]
fn a_wait_beyond_ten_minutes_ends_the_execution() {
    let error = |asked| failure(ProviderErrorKind::RateLimited, Some(Duration::from_secs(asked)));
    assert!(policy().next(1, START, &error(600)).is_some());
    assert_eq!(policy().next(1, START, &error(601)), None);
    assert_eq!(policy().next(1, START, &error(86_400)), None);
}

#[test]
fn no_wait_goes_beyond_the_execution() {
    let asked = Some(Duration::from_secs(20));
    let error = failure(ProviderErrorKind::RateLimited, asked);
    let mut policy = policy();
    policy.total = Some(Duration::from_secs(60));
    let seconds = Duration::from_secs;
    assert!(policy.next(1, seconds(30), &error).is_some());
    assert_eq!(policy.next(1, seconds(40), &error), None);
    assert_eq!(policy.next(1, seconds(70), &error), None);
}

#[test]
fn a_waking_deployment_is_polled_and_costs_no_attempts() {
    let waking = failure(ProviderErrorKind::DeploymentScalingUp, None);
    let mut policy = policy();
    let (mut attempt, mut elapsed) = (0, Duration::from_secs(5));
    let mut waits = Vec::new();
    loop {
        attempt += 1;
        let Some(wait) = policy.next(attempt, elapsed, &waking) else {
            break;
        };
        waits.push(wait);
        elapsed += wait;
    }
    assert!(waits.len() > 40, "{}", waits.len());
    assert!(waits[0] <= Duration::from_secs(3));
    assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(15)));
    assert!(elapsed > Duration::from_secs(585) && elapsed <= Duration::from_secs(605));

    let error = failure(ProviderErrorKind::Unavailable, None);
    assert!(policy.next(attempt + 1, elapsed, &error).is_some());
    assert!(policy.next(attempt + 2, elapsed, &error).is_some());
    assert_eq!(policy.next(attempt + 3, elapsed, &error), None);
}

#[test]
fn executions_do_not_wait_alike() {
    let error = failure(ProviderErrorKind::Unavailable, None);
    let waits: std::collections::HashSet<Duration> =
        (0..20).filter_map(|_| RetryPolicy::default().next(1, START, &error)).collect();
    assert!(waits.len() > 10);
}
