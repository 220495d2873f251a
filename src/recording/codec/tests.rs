use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    error::{Deadline, ProviderError, ProviderErrorKind},
    event::{Delta, Phase, Piece, ToolCallFragment},
    recording::{Reading, WORKER_LOST},
};

/// An operation on a log.
#[derive(Debug, Clone)]
enum LogOperation {
    Text(u32, String),
    Reasoning(u32, String),
    ToolCall(u32, ToolCallFragment),
    Logprobs(u32, String),
    Restart(&'static str),
}

/// Characters of one, three and four bytes. A regex strategy is parsed again for every
/// value, which takes seconds.
fn text() -> impl Strategy<Value = String> + Clone {
    let letter = prop::sample::select(&['a', '한', '\u{1f600}'][..]);
    prop::collection::vec(letter, 0..5).prop_map(String::from_iter)
}

fn event() -> impl Strategy<Value = LogOperation> {
    let choice = 0_u32..3;
    let fragment =
        (0_u32..3, proptest::option::of(text()), text()).prop_map(|(index, id, arguments)| {
            ToolCallFragment { index, name: id.clone(), id, arguments }
        });
    prop_oneof![
        6 => (choice.clone(), text()).prop_map(|(choice, text)| LogOperation::Text(choice, text)),
        3 => (choice.clone(), text()).prop_map(|(choice, text)| LogOperation::Reasoning(choice, text)),
        1 => (choice.clone(), fragment).prop_map(|(choice, call)| LogOperation::ToolCall(choice, call)),
        1 => (choice, text()).prop_map(|(choice, text)| LogOperation::Logprobs(choice, text)),
        1 => prop_oneof![Just(WORKER_LOST), Just("PROVIDER_RATE_LIMITED")].prop_map(LogOperation::Restart),
    ]
}

fn events() -> impl Strategy<Value = Vec<LogOperation>> {
    prop::collection::vec(event(), 0..40)
}

fn happen(log: &mut Log, event: &LogOperation) {
    let (choice, piece) = match event {
        LogOperation::Text(choice, text) => (*choice, Piece::Text(text.into())),
        LogOperation::Reasoning(choice, text) => (*choice, Piece::Reasoning(text.into())),
        LogOperation::ToolCall(choice, fragment) => (*choice, Piece::ToolCall(fragment.clone())),
        LogOperation::Logprobs(choice, json) => (*choice, Piece::Logprobs(json.into())),
        LogOperation::Restart(reason) => return log.restart(2, reason),
    };
    log.append(Delta { choice, piece });
}

fn log_of(events: &[LogOperation]) -> Log {
    let mut log = Log::default();
    for event in events {
        happen(&mut log, event);
    }
    log
}

/// Returns every event of a log by itself, with its number.
fn recorded(log: &Log) -> Vec<(u64, Reading)> {
    let mut cursor = 0;
    let mut recorded = Vec::new();
    while let Some((number, reading)) = log.read(cursor, 1) {
        cursor = number;
        recorded.push((number, reading));
    }
    recorded
}

fn recording(log: Log) -> Recording {
    Recording {
        flight: FlightId::random(),
        subject: Arc::new(Subject { model: "m".to_owned(), tier: Tier::named("flex"), json: true }),
        log,
        finish: Finish {
            finish_reasons: vec![FinishReason::Stop, FinishReason::ToolCalls],
            usage: Some(Usage { prompt_tokens: Some(0), ..Usage::default() }),
            model: None,
            provider_request_id: Some("id".to_owned()),
            unchecked: vec![1],
            embeddings: None,
            service_tier: Some("flex".to_owned()),
        },
        attempts: 2,
        recorded_at: UNIX_EPOCH + Duration::from_millis(1_790_000_000_123),
        span: Some(SpanRef { trace_id: [7; 16], span_id: [9; 8] }),
    }
}

#[test]
fn vectors_come_back_bit_for_bit_and_only_to_who_knows_them() {
    let vectors = vec![Bytes::from_static(&[0, 0, 128, 127, 1, 2, 3, 4]), Bytes::new()];
    let sources = TextSources { cached: 1, joined: 2, executed: 3, repeated: 4 };
    let embeddings = Embeddings { vectors, sources, paid_tokens: Some(0), estimated: true };
    let mut before = recording(Log::default());
    before.finish.embeddings = Some(embeddings);
    let bytes = encode_recording(&before);
    // A release without embeddings reads the other kind alone.
    assert_eq!(bytes[1], ValueKind::Embeddings as u8);
    let after = decode_recording(&bytes).expect("readable");
    assert_eq!(after.finish, before.finish);
    assert!(before.bytes() >= recording(Log::default()).bytes() + 8);
}

proptest! {
    #[test]
    fn a_recording_comes_back_as_it_was(events in events()) {
        let before = recording(log_of(&events));
        let after = decode_recording(&encode_recording(&before)).expect("readable");
        prop_assert_eq!(recorded(&after.log), recorded(&before.log));
        prop_assert_eq!(after.log.last(), before.log.last());
        prop_assert_eq!(after.log.bytes(), before.log.bytes());
        prop_assert_eq!(after.flight, before.flight);
        prop_assert_eq!(after.subject, before.subject);
        prop_assert_eq!(after.finish, before.finish);
        prop_assert_eq!(after.span, before.span);
        prop_assert_eq!((after.attempts, after.recorded_at), (before.attempts, before.recorded_at));
    }

    /// Batches are read as the log grows: late, repeated and overlapping.
    #[test]
    fn a_follower_of_batches_ends_with_its_leaders_events(
        events in events(),
        cuts in prop::collection::vec((0_usize..40, 0_u64..5), 0..8),
    ) {
        let mut leader = Log::default();
        let mut follower = Log::default();
        let mut sent = 0;
        for (at, event) in events.iter().enumerate() {
            happen(&mut leader, event);
            for (_, overlap) in cuts.iter().filter(|(cut, _)| *cut == at) {
                let from = follower.last().saturating_sub(*overlap);
                let batch = decode_events(&encode_events(&leader.after(from))).expect("readable");
                sent += 1;
                follower.follow(batch).expect("nothing is missing");
                prop_assert_eq!(recorded(&follower), recorded(&leader));
            }
        }
        follower.follow(leader.after(0)).expect("nothing is missing");
        prop_assert_eq!(recorded(&follower), recorded(&leader), "after {} batches", sent);
        prop_assert_eq!(follower.last(), leader.last());
        prop_assert_eq!(follower.joined(), leader.joined());
    }

    #[test]
    fn a_batch_that_begins_too_late_is_a_gap(events in events(), missed in 1_u64..5) {
        let leader = log_of(&events);
        let part = leader.after(missed);
        let mut follower = Log::default();
        if part.is_empty() || part.voids() {
            return Ok(());
        }
        let gap = follower.follow(part).expect_err("a gap");
        prop_assert_eq!((gap.from, follower.last()), (1, 0));
    }

    /// Holds for any batch and part size, and if batches are sent again.
    #[test]
    fn events_sent_in_parts_arrive_unchanged(
        events in events(),
        room in 0_usize..40,
        most in 1_usize..40,
        again in prop::collection::vec(any::<bool>(), 40),
    ) {
        let leader = log_of(&events);
        let mut follower = Log::default();
        let mut parts = Parts::default();
        for again in again.into_iter().chain([false]).cycle() {
            let batch = leader.after(follower.last()).up_to(room);
            if batch.is_empty() {
                break;
            }
            let pieces = encode_events_in_parts(&batch, most);
            let sent = if again { pieces.len() - 1 } else { pieces.len() };
            for piece in &pieces[..sent] {
                prop_assert!(piece.len() <= most + 3, "{} bytes", piece.len());
                if let Some(events) = parts.take(piece).expect("readable") {
                    follower.follow(events).expect("nothing is missing");
                }
            }
        }
        prop_assert_eq!(recorded(&follower), recorded(&leader));
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_and_never_panic(
        events in events(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        for bytes in [
            encode_recording(&recording(log_of(&events))),
            encode_events(&log_of(&events)),
            encode_failure(&Error::OutputTooLarge { limit_bytes: 7 }, None).expect("it has words"),
        ] {
            let at = at.index(bytes.len());
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            for damaged in [&bytes[..at], &flipped] {
                if let Ok(recording) = decode_recording(damaged) {
                    recorded(&recording.log);
                    recording.log.join(1);
                }
                if let Ok(log) = decode_events(damaged) {
                    recorded(&log);
                }
                let _ = Parts::default().take(damaged);
                let _ = decode_failure(damaged);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "it compresses, in C, which Miri does not run")]
    fn long_texts_are_compressed(seed in any::<u64>(), length in 2000_usize..8000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let text = (0..length).map(|_| random.char('a'..='f')).collect();
        let plain = recording(log_of(&[LogOperation::Text(0, text)]));
        let bytes = encode_recording(&plain);
        prop_assert!(bytes.len() < plain.bytes() * 3 / 4, "{} bytes", bytes.len());
        prop_assert_eq!(recorded(&decode_recording(&bytes).expect("readable").log), recorded(&plain.log));
    }
}

impl Log {
    fn joined(&self) -> Vec<crate::recording::Joined> {
        self.join(3)
    }
}

#[test]
fn a_large_event_travels_by_itself() {
    let large = "x".repeat(100);
    let log = log_of(&["a", "b", &large, "c"].map(|text| LogOperation::Text(0, text.to_owned())));
    let first = log.up_to(50);
    assert_eq!((first.first(), first.last()), (1, 2));
    let second = log.after(first.last()).up_to(50);
    assert_eq!((second.first(), second.last()), (3, 3));
}

#[test]
#[cfg_attr(miri, ignore = "it compresses, in C, which Miri does not run")]
fn few_bytes_do_not_ask_for_much_memory() {
    let text = "x".repeat(1 << 20);
    let bytes = encode_events(&log_of(&[LogOperation::Text(0, text)]));
    assert!(bytes.len() > 1 << 20, "it is packed so tightly that it could not be read");
    let mut bomb = vec![VERSION, ValueKind::Events as u8, 1];
    bomb.extend_from_slice(&u32::MAX.to_le_bytes());
    bomb.extend_from_slice(&bytes[..64]);
    assert_eq!(decode_events(&bomb).expect_err("refused"), Unreadable::Content);
}

#[test]
fn another_version_or_kind_is_not_guessed_at() {
    let bytes = encode_events(&log_of(&[]));
    let mut newer = bytes.clone();
    newer[0] = VERSION + 1;
    assert_eq!(decode_events(&newer).expect_err("refused"), Unreadable::Version);
    assert_eq!(decode_recording(&bytes).expect_err("refused"), Unreadable::Content);
    assert_eq!(decode_recording(b"").expect_err("refused"), Unreadable::Content);
}

#[test]
fn failures_come_back_as_they_were() {
    let provider = |kind| {
        Error::from(ProviderError {
            kind,
            http_status: Some(429),
            code: Some("code".to_owned()),
            message: None,
            request_id: Some("id".to_owned()),
            retry_after: Some(Duration::from_millis(1500)),
            successor: Some("accounts/a/models/b".to_owned()),
            account_wide: false,
            is_known_form: false,
            phase: Phase::Streaming,
        })
    };
    let deadline = |deadline| Error::Deadline {
        deadline,
        limit: Duration::from_secs(3),
        phase: Phase::Waiting,
    };
    let text = || "text".to_owned();
    let mut all: Vec<Error> = ProviderErrorKind::ALL.map(provider).into();
    all.extend(Deadline::ALL.map(deadline));
    all.extend([
        Error::OutputNotJson { problem: text(), text: text() },
        Error::OutputSchemaMismatch { problem: text(), text: text() },
        Error::OutputTooLarge { limit_bytes: 7 },
    ]);
    let usage = Usage { completion_tokens: Some(3), ..Usage::default() };
    for error in all {
        let bytes = encode_failure(&error, Some(&usage)).expect("it concerns others");
        assert_eq!(decode_failure(&bytes), Ok((error, Some(usage))));
    }
}

#[test]
fn failures_of_one_worker_are_not_encoded() {
    let retry_after = Duration::from_secs(1);
    for error in [Error::Internal("canary"), Error::Cancelled, Error::Draining { retry_after }] {
        assert_eq!(encode_failure(&error, None), None);
    }
}
