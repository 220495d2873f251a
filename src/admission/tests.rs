//! Slots, queues and hand-overs, in many interleavings.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use futures_util::{FutureExt, future::join_all, poll};

use super::*;

const EXECUTIONS: usize = 3;

fn admission(executions: usize, queue_length: usize) -> Admission {
    Admission::new(AdmissionConfig {
        executions,
        executions_per_tenant: executions,
        keeps_for_others: false,
        queue_length,
        queue_timeout: Duration::from_secs(10),
        bytes: 8 << 20,
    })
}

fn admitted(entry: Result<Entry, Error>) -> Permit {
    match entry {
        Ok(Entry::Admitted(permit)) => permit,
        other => panic!("it has no place: {other:?}"),
    }
}

fn queued(entry: Result<Entry, Error>) -> Waiting {
    match entry {
        Ok(Entry::Queued(waiting)) => waiting,
        other => panic!("it is not in line: {other:?}"),
    }
}

#[tokio::test]
async fn a_slot_is_held_until_its_last_clone_is_dropped() {
    let admission = admission(1, 0);
    let permit = admitted(admission.admit("", 0));
    let of_the_flight = permit.clone();
    drop(permit);
    assert_eq!(admission.admit("", 0).expect_err("full").reason(), "WORKER_SATURATED");
    assert_eq!(admission.taken(), 1);
    let idle = admission.idle();
    tokio::pin!(idle);
    assert!(poll!(&mut idle).is_pending());
    drop(of_the_flight);
    idle.await;
    admitted(admission.admit("", 0));
}

#[tokio::test(start_paused = true)]
async fn a_queued_call_is_admitted_when_a_slot_is_free() {
    let admission = admission(1, 2);
    let holding = admitted(admission.admit("a", 0));
    let mut first = queued(admission.admit("a", 0));
    let mut second = queued(admission.admit("a", 0));
    assert_eq!(admission.queued(), 2);
    assert!(first.admitted().now_or_never().is_none());
    tokio::time::advance(Duration::from_secs(3)).await;
    drop(holding);
    let permit = first.admitted().await.expect("a place");
    assert_eq!(permit.waited(), Some(Duration::from_secs(3)));
    assert!(second.admitted().now_or_never().is_none());
    drop(permit);
    second.admitted().await.expect("a place");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_queue_timeout() {
    let admission = admission(1, 1);
    let _holding = admitted(admission.admit("a", 0));
    let began = Instant::now();
    let refused = queued(admission.admit("a", 0)).admitted().await.expect_err("no place");
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    let limit = Limit::Queue { waited: Duration::from_secs(10) };
    assert!(matches!(refused, Error::Saturated { limit: met, .. } if met == limit));
    assert_eq!(admission.queued(), 0);
}

#[tokio::test]
async fn a_call_that_leaves_the_queue_frees_its_position() {
    let admission = admission(1, 1);
    let holding = admitted(admission.admit("a", 0));
    let leaving = queued(admission.admit("a", 0));
    admission.admit("a", 0).expect_err("the line is full");
    drop(leaving);
    let mut staying = queued(admission.admit("a", 0));
    drop(holding);
    staying.admitted().await.expect("a place");
}

#[tokio::test]
async fn a_slot_for_a_dropped_call_goes_to_the_next() {
    let admission = admission(1, 2);
    let holding = admitted(admission.admit("a", 0));
    let gone = queued(admission.admit("a", 0));
    let mut next = queued(admission.admit("a", 0));
    // It has been admitted, and leaves without having noticed.
    drop(holding);
    drop(gone);
    next.admitted().await.expect("a place");
    drop(next);
    admission.idle().await;
}

#[tokio::test]
async fn a_displaced_call_is_refused() {
    let admission = admission(1, 2);
    let _holding = admitted(admission.admit("greedy", 0));
    let _first = queued(admission.admit("greedy", 0));
    let mut newest = queued(admission.admit("greedy", 0));
    let _modest = queued(admission.admit("modest", 0));
    assert_eq!(newest.admitted().await.expect_err("pushed out").reason(), "WORKER_SATURATED");
}

/// Callers on several threads arrive, wait, give up at any moment, and hold slots for any
/// time: never more than there are, and none is lost.
#[test]
fn no_interleaving_loses_a_slot() {
    const THREADS: u64 = 4;
    let admission = admission(EXECUTIONS, 5);
    let inside = AtomicUsize::new(0);
    let served = AtomicUsize::new(0);
    thread::scope(|scope| {
        for seed in 0..THREADS {
            let (admission, inside, served) = (&admission, &inside, &served);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                let callers = (0..20).map(|caller| {
                    come_and_go(
                        admission,
                        inside,
                        served,
                        fastrand::Rng::with_seed(seed * 100 + caller),
                    )
                });
                runtime.expect("a runtime").block_on(join_all(callers));
            });
        }
    });
    assert!(served.load(Ordering::Relaxed) > EXECUTIONS, "hardly anybody was served");
    assert_eq!((admission.taken(), admission.queued(), admission.bytes()), (0, 0, 0));
    let all: Vec<Permit> = (0..EXECUTIONS).map(|_| admitted(admission.admit("after", 0))).collect();
    assert_eq!(all.len(), admission.limit());
}

async fn come_and_go(
    admission: &Admission,
    inside: &AtomicUsize,
    served: &AtomicUsize,
    mut random: fastrand::Rng,
) {
    for _ in 0..200 {
        let tenant = ["a", "b", "c"][random.usize(..3)];
        let entry = admission.admit(tenant, 0);
        let permit = match entry {
            Ok(Entry::Admitted(permit)) => Some(permit),
            Ok(Entry::Queued(mut waiting)) => patient(&mut waiting, random.u32(..6)).await,
            Err(_) => None,
        };
        if let Some(_permit) = permit {
            assert!(
                inside.fetch_add(1, Ordering::SeqCst) < EXECUTIONS,
                "more than there are places"
            );
            served.fetch_add(1, Ordering::Relaxed);
            for _ in 0..random.u32(..4) {
                tokio::task::yield_now().await;
            }
            inside.fetch_sub(1, Ordering::SeqCst);
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// Polls as many times as its patience allows.
async fn patient(waiting: &mut Waiting, looks: u32) -> Option<Permit> {
    for _ in 0..looks {
        if let Some(admitted) = waiting.admitted().now_or_never() {
            return admitted.ok();
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn a_call_is_charged_for_its_request_and_its_growing_answer() {
    let admission = admission(2, 1);
    let permit = admitted(admission.admit("", 1 << 20));
    let for_request = admission.bytes();
    assert!(for_request > 1 << 20);
    permit.afford(1000).expect("there is room");
    assert_eq!(admission.bytes(), for_request, "the first of it is in it");
    permit.afford(1 << 20).expect("there is room");
    let for_both = admission.bytes();
    assert!(for_both > for_request + (1 << 20));
    permit.clone().afford(1 << 19).expect("it has more already");
    assert_eq!(admission.bytes(), for_both);
    let refused = permit.afford(8 << 20).expect_err("more than there is");
    assert!(matches!(refused, Error::Saturated { limit: Limit::Bytes, .. }), "{refused:?}");
    let refused = admission.admit("", 1 << 20).expect_err("more than is left");
    assert!(matches!(refused, Error::Saturated { limit: Limit::Bytes, .. }), "{refused:?}");
    drop(permit);
    assert_eq!(admission.bytes(), 0);
}

#[tokio::test]
async fn a_queued_call_is_charged_until_it_leaves() {
    let admission = admission(1, 1);
    let holding = admitted(admission.admit("", 0));
    let alone = admission.bytes();
    let waiting = queued(admission.admit("", 1000));
    assert!(admission.bytes() > alone);
    admission.admit("", 1000).expect_err("the line is full");
    drop(waiting);
    assert_eq!(admission.bytes(), alone);
    drop(holding);
    assert_eq!(admission.bytes(), 0);
}
