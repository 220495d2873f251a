//! The decoder: framing by table, and a property that network splits do not matter.

use futures_util::StreamExt as _;
use proptest::prelude::*;

use super::super::sse::{Decoder, Event, EventTooLong};

/// Name and data.
type DecodedEvent = (String, String);

fn see(event: Event<'_>) -> DecodedEvent {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(event.name), text(event.data))
}

/// Decodes a body that arrives in these reads; returns its events and the result.
fn decode<'a>(
    max_event_bytes: usize,
    reads: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<DecodedEvent>, Result<(), EventTooLong>) {
    let mut decoder = Decoder::new(max_event_bytes);
    let mut seen = Vec::new();
    for read in reads {
        let fed = decoder.feed(read, |event| {
            seen.push(see(event));
            Ok(())
        });
        if fed.is_err() {
            return (seen, fed);
        }
    }
    (seen, Ok(()))
}

#[test]
fn framing_is_that_of_the_standard() {
    let rows: &[(&str, &[(&str, &str)])] = &[
        ("data: a\n\n", &[("", "a")]),
        ("data:a\n\ndata:  b\n\n", &[("", "a"), ("", " b")]),
        ("data: a\rdata: b\r\r", &[("", "a\nb")]),
        ("data: a\r\ndata\r\ndata: c\r\n\r\n", &[("", "a\n\nc")]),
        ("\u{FEFF}data: a\n\n", &[("", "a")]),
        ("data: a\n\n\u{FEFF}data: b\n\n", &[("", "a")]),
        (": comment\ndata: a\n: more\n\n:\n\n", &[("", "a")]),
        ("event: ping\ndata: {\n\n", &[("ping", "{")]),
        ("event: a\nevent: error\n\ndata: b\n\n", &[("error", ""), ("", "b")]),
        ("data:\n\n", &[("", "")]),
        ("id: 1\nretry: 2\ndatabase: x\n data: y\n\n", &[]),
        ("data: unfinished\n", &[]),
        ("data: unfinished", &[]),
        ("\n\n\r\n\r", &[]),
        ("data: \u{1F600}é\n\n", &[("", "\u{1F600}é")]),
    ];
    for (body, events) in rows {
        let (seen, end) = decode(1024, [body.as_bytes()]);
        let expected: Vec<DecodedEvent> =
            events.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
        assert_eq!(seen, expected, "{body:?}");
        assert_eq!(end, Ok(()), "{body:?}");
    }
}

#[test]
fn an_event_within_one_read_is_not_copied() {
    let read = b"data: abc\n\ndata: def\n\n".to_vec();
    let inside = read.as_ptr_range();
    let mut events = 0;
    Decoder::new(1024)
        .feed(&read, |event| {
            events += 1;
            assert!(inside.contains(&event.data.as_ptr()));
            Ok::<(), EventTooLong>(())
        })
        .expect("events");
    assert_eq!(events, 2);
}

#[test]
fn memory_is_bounded_whatever_the_form_of_what_is_endless() {
    for piece in ["x", ": x", "data: xxxx\n", "event: xxxxxxxxxxxx"] {
        let reads = std::iter::repeat_n(piece.as_bytes(), 100);
        let (seen, end) = decode(64, reads);
        assert_eq!((seen, end), (Vec::new(), Err(EventTooLong)), "{piece}");
    }
    let short = std::iter::repeat_n(b"data: xxxx\n\n: y\n".as_slice(), 100);
    assert_eq!(decode(64, short).0.len(), 100);
}

#[test]
fn decoding_takes_time_in_proportion_to_the_bytes() {
    // A quadratic decoder takes seconds for either.
    let many = "data: {}\n\n".repeat(200_000);
    assert_eq!(decode(1024, [many.as_bytes()]).0.len(), 200_000);
    let long = format!("data: {}\n\n", "x".repeat(4 << 20));
    let (seen, _) = decode(5 << 20, long.as_bytes().chunks(64));
    assert_eq!(seen[0].1.len(), 4 << 20);
}

/// Generates bodies of framing bytes and some text.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just("\n"), 2 => Just("\r"), 2 => Just("\r\n"),
        4 => Just("data: "), 1 => Just("data"), 1 => Just("data:"), 1 => Just("event: "),
        1 => Just(": "), 1 => Just("id: 1"), 1 => Just("\u{FEFF}"), 1 => Just(" "),
        2 => Just("{\"a\":1}"), 2 => Just("\u{1F600}é"), 1 => Just("error"),
        1 => Just("data: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn cuts_do_not_matter(body in bodies(), cuts in prop::collection::vec(0usize..400, 0..6)) {
        let whole = decode(48, [body.as_slice()]);
        for at in 0..=body.len() {
            let (left, right) = body.split_at(at);
            prop_assert_eq!(&decode(48, [left, right]), &whole, "cut at {}", at);
        }
        prop_assert_eq!(&decode(48, body.chunks(1)), &whole);
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= body.len()).collect();
        cuts.sort_unstable();
        cuts.insert(0, 0);
        cuts.push(body.len());
        let reads = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]);
        prop_assert_eq!(&decode(48, reads), &whole);
    }

    #[test]
    fn any_bytes_are_taken(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let whole = decode(64, [body.as_slice()]);
        prop_assert_eq!(decode(64, body.chunks(3)), whole);
    }

    #[test]
    fn another_decoder_sees_the_same(body in bodies()) {
        // The other one does not know this field.
        prop_assume!(!body.windows(6).any(|bytes| bytes == b"error:"));
        let (ours, _) = decode(usize::MAX, [body.as_slice()]);
        // By the standard, an event without data does not exist.
        let ours: Vec<String> = ours.into_iter().map(|(_, data)| data).collect();
        let theirs = futures_util::FutureExt::now_or_never(others(body)).expect("no waiting");
        let ours: Vec<String> = ours.into_iter().filter(|data| !data.is_empty()).collect();
        prop_assert_eq!(ours, theirs);
    }
}

/// Returns the data of the events as `sse-stream` decodes them, without empty ones.
async fn others(body: Vec<u8>) -> Vec<String> {
    let reads = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from(body))]);
    sse_stream::SseStream::from_bytes_stream(reads)
        .filter_map(|event| async { event.expect("an event").data })
        .filter(|data| std::future::ready(!data.is_empty()))
        .collect()
        .await
}
