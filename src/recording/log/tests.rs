use proptest::prelude::*;

use super::*;

fn text(choice: u32, text: &str) -> Delta<'_> {
    Delta { choice, piece: Piece::Text(text.into()) }
}

fn reasoning(choice: u32, text: &str) -> Delta<'_> {
    Delta { choice, piece: Piece::Reasoning(text.into()) }
}

fn fragment(index: u32, id: Option<&str>, arguments: &str) -> Delta<'static> {
    Delta {
        choice: 0,
        piece: Piece::ToolCall(ToolCallFragment {
            index,
            id: id.map(str::to_owned),
            name: id.map(|_| "f".to_owned()),
            arguments: arguments.to_owned(),
        }),
    }
}

fn read_all(log: &Log, mut cursor: u64, max_bytes: usize) -> Vec<(u64, Reading)> {
    let mut readings = Vec::new();
    while let Some((number, reading)) = log.read(cursor, max_bytes) {
        assert!(number > cursor, "a reading goes forward");
        cursor = number;
        readings.push((number, reading));
    }
    readings
}

#[test]
fn a_late_reader_gets_consecutive_pieces_as_one() {
    let mut log = Log::default();
    for piece in ["Hel", "lo", " world"] {
        log.append(text(0, piece));
    }
    let (number, reading) = log.read(0, 1000).expect("events");
    assert_eq!(number, 3);
    assert_eq!(
        reading,
        Reading::Delta(MergedDelta { text: "Hello world".into(), ..Default::default() })
    );
    assert_eq!(log.read(3, 1000), None);
}

#[test]
fn a_reader_resumes_after_any_single_piece() {
    let mut log = Log::default();
    for piece in ["a", "b", "c"] {
        log.append(text(0, piece));
    }
    let (number, Reading::Delta(delta)) = log.read(1, 1000).expect("events") else {
        panic!("a delta");
    };
    assert_eq!((number, delta.text.as_str()), (3, "bc"));
}

#[test]
fn a_reading_is_bounded_and_ends_at_a_piece() {
    let mut log = Log::default();
    for piece in ["aaaa", "bbbb", "cccc"] {
        log.append(text(0, piece));
    }
    let texts: Vec<(u64, String)> = read_all(&log, 0, 6)
        .into_iter()
        .map(|(number, reading)| match reading {
            Reading::Delta(delta) => (number, delta.text),
            Reading::Restarted { .. } => panic!("a delta"),
        })
        .collect();
    assert_eq!(texts, [(1, "aaaa".to_owned()), (2, "bbbb".to_owned()), (3, "cccc".to_owned())]);
}

#[test]
fn after_a_restart_only_the_new_beginning_is_there() {
    let mut log = Log::default();
    log.append(text(0, "old"));
    log.append(text(0, "er"));
    log.restart(2, "STREAM_INTERRUPTED");
    log.append(text(0, "new"));
    let readings = read_all(&log, 1, 1000);
    assert_eq!(readings[0], (3, Reading::Restarted { attempt: 2, reason: "STREAM_INTERRUPTED" }));
    assert_eq!(readings.len(), 2);
    assert_eq!(log.join(1)[0].text, "new");
}

#[test]
fn fragments_are_joined_by_index() {
    let mut log = Log::default();
    log.append(fragment(1, Some("call_b"), ""));
    log.append(fragment(0, Some("call_a"), "{\"x\""));
    log.append(fragment(1, None, "{}"));
    log.append(fragment(0, None, ":1}"));
    let calls = &log.join(1)[0].tool_calls;
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].id.as_deref(), Some("call_a"));
    assert_eq!(calls[0].arguments, "{\"x\":1}");
    assert_eq!(calls[1].arguments, "{}");
}

#[test]
fn a_delta_has_one_fragment_of_a_call_at_most() {
    let mut log = Log::default();
    log.append(fragment(0, Some("call_a"), ""));
    log.append(fragment(1, Some("call_b"), "{"));
    log.append(fragment(1, None, "}"));
    log.append(fragment(0, None, "{}"));
    let fragments: Vec<Vec<u32>> = read_all(&log, 0, 1000)
        .into_iter()
        .map(|(_, reading)| match reading {
            Reading::Delta(delta) => delta.tool_calls.iter().map(|call| call.index).collect(),
            Reading::Restarted { .. } => panic!("a delta"),
        })
        .collect();
    assert_eq!(fragments, [vec![0, 1], vec![1, 0]]);
}

#[test]
fn logprobs_that_say_nothing_overwrite_nothing() {
    let mut log = Log::default();
    for json in [
        r#"{"content":null,"refusal":null}"#,
        r#"{"content":[1]}"#,
        r#"{"content":[]}"#,
        r#"{"content":[2],"refusal":null}"#,
        r#"{"content":null}"#,
    ] {
        log.append(Delta { choice: 0, piece: Piece::Logprobs(json.into()) });
    }
    assert_eq!(log.join(1)[0].logprobs, r#"{"content":[1,2],"refusal":null}"#);
}

#[test]
fn logprobs_are_chained() {
    let mut log = Log::default();
    for json in [r#"{"content":[1]}"#, r#"{"content":[2,3]}"#] {
        log.append(text(0, "x"));
        log.append(Delta { choice: 0, piece: Piece::Logprobs(json.into()) });
    }
    assert_eq!(log.join(1)[0].logprobs, r#"{"content":[1,2,3]}"#);
    let readings = read_all(&log, 0, 1000);
    assert_eq!(readings.len(), 2, "a delta never spans two logprobs objects");
}

proptest! {
    /// However a log is staged, read and resumed, every reader gets the same text for
    /// each choice, and numbers only rise.
    #[test]
    fn every_reader_gets_every_event_once(
        pieces in prop::collection::vec((0u32..3, any::<bool>(), "[a-zé]{0,5}"), 0..60),
        batch in 1usize..7,
        room in 1usize..40,
        resume in 0u64..70,
    ) {
        let mut log = Log::default();
        let mut staged = Log::default();
        for (index, (choice, think, piece)) in pieces.iter().enumerate() {
            staged.append(if *think { reasoning(*choice, piece) } else { text(*choice, piece) });
            if index % batch == 0 {
                log.absorb(&mut staged);
            }
        }
        log.absorb(&mut staged);
        prop_assert_eq!(log.last(), pieces.len() as u64);

        let resume = resume.min(log.last());
        let mut texts = vec![(String::new(), String::new()); 3];
        for (_, reading) in read_all(&log, resume, room) {
            let Reading::Delta(delta) = reading else { panic!("a delta") };
            texts[delta.choice as usize].0.push_str(&delta.text);
            texts[delta.choice as usize].1.push_str(&delta.reasoning);
        }
        let mut expected = vec![(String::new(), String::new()); 3];
        for (choice, think, piece) in &pieces[resume as usize..] {
            let (text, reasoning) = &mut expected[*choice as usize];
            if *think { reasoning } else { text }.push_str(piece);
        }
        prop_assert_eq!(texts, expected);
    }
}

#[test]
fn a_digest_depends_on_content_and_not_on_batching() {
    let pieces = ["a", "bc", "d"];
    let mut whole = Log::default();
    pieces.iter().for_each(|piece| whole.append(text(0, piece)));
    let mut followed = Log::default();
    followed.follow(whole.up_to(1)).expect("no gap");
    assert_ne!(followed.digest(), whole.digest(), "some is missing");
    followed.follow(whole.after(1)).expect("no gap");
    assert_eq!(followed.digest(), whole.digest());
    let mut other = Log::default();
    ["a", "bc", "e"].iter().for_each(|piece| other.append(text(0, piece)));
    assert_ne!(other.digest(), whole.digest(), "another text");
    let mut longer = Log::default();
    ["a", "b", "c", "d"].iter().for_each(|piece| longer.append(text(0, piece)));
    assert_ne!(longer.digest(), whole.digest(), "more events");
}
