//! Anything for what workers keep for each other in Redis: recordings, events,
//! failures, parts of large events, and sealed values. Whatever the bytes are, they
//! are refused or read, never believed blindly; what was read can be listed, cut into
//! batches and followed, and comes back the same when it is written again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sparkler::{internals::{Log, Reading, Sealer, SealingKey, codec::{Parts, decode_events, decode_failure, decode_recording, encode_events, encode_events_in_parts, encode_failure, encode_recording}}};

static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(SealingKey::derive(&[7; 32]), []));

/// Every event by itself, with its number.
fn all_events(log: &Log) -> Vec<(u64, Reading)> {
    let mut cursor = 0;
    let mut events = Vec::new();
    while let Some((number, reading)) = log.read(cursor, 1) {
        assert!(number > cursor, "numbers go up");
        cursor = number;
        events.push((number, reading));
    }
    assert!(events.is_empty() || cursor == log.last());
    events
}

/// A follower that receives a log in batches has the same events.
fn follow(log: &Log, room: usize) {
    let first = log.first().saturating_sub(1);
    let mut follower = Log::default();
    // What a log begins with is nobody's gap.
    if first > 0 && !log.voids() {
        assert!(follower.follow(log.after(0)).is_err());
        return;
    }
    let mut parts = Parts::default();
    loop {
        let batch = log.after(follower.last()).up_to(room);
        if batch.is_empty() {
            break;
        }
        for part in encode_events_in_parts(&batch, 16) {
            if let Some(events) = parts.take(&part).expect("what was just written is readable") {
                follower.follow(events).expect("nothing is missing");
            }
        }
    }
    assert_eq!(all_events(&follower), all_events(log));
}

fn read(bytes: &[u8], room: usize) {
    if let Ok(recording) = decode_recording(bytes) {
        let again = decode_recording(&encode_recording(&recording)).expect("readable");
        assert_eq!((all_events(&again.log), again.flight), (all_events(&recording.log), recording.flight));
        assert_eq!((again.finish, again.subject), (recording.finish, recording.subject));
        recording.log.join(2);
    }
    if let Ok(log) = decode_events(bytes) {
        let again = decode_events(&encode_events(&log)).expect("readable");
        assert_eq!(all_events(&again), all_events(&log));
        follow(&log, room);
    }
    if let Ok((error, usage)) = decode_failure(bytes) {
        let again = encode_failure(&error, usage.as_ref()).expect("it concerns others");
        assert_eq!(decode_failure(&again), Ok((error, usage)));
    }
}

fuzz_target!(|input: &[u8]| {
    assert_eq!(SEALER.open(b"place", input), None, "nobody forges a seal");
    let sealed = SEALER.seal(b"place", input);
    assert_eq!(SEALER.open(b"place", &sealed).as_deref(), Some(input));
    assert_eq!(SEALER.open(b"elsewhere", &sealed), None);

    let room = input.first().copied().unwrap_or_default().into();
    read(input, room);
    // Past the three bytes that say what it is, which would take long to guess.
    for kind in 1..=4 {
        for packing in 0..=1 {
            read(&[&[1, kind, packing], input].concat(), room);
        }
    }
    let mut parts = Parts::default();
    for part in input.split(|byte| *byte == b'\n') {
        let _ = parts.take(part);
    }
});
