//! The event decoder on any bytes, cut anywhere: it must see what it sees of
//! the same bytes in one piece, and keep to its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sparkler::{internals::{parts::{Decoder, EventTooLong}}};

const MAX_EVENT_BYTES: usize = 256;

type Events = Vec<(Vec<u8>, Vec<u8>)>;

fn decode<'a>(reads: impl Iterator<Item = &'a [u8]>) -> (Events, bool) {
    let mut decoder = Decoder::new(MAX_EVENT_BYTES);
    let mut events = Events::new();
    for read in reads {
        let fed: Result<(), EventTooLong> = decoder.feed(read, |event| {
            assert!(event.data.len() + event.name.len() <= MAX_EVENT_BYTES);
            events.push((event.name.to_vec(), event.data.to_vec()));
            Ok(())
        });
        if fed.is_err() {
            return (events, true);
        }
    }
    (events, false)
}

fuzz_target!(|input: &[u8]| {
    let Some((cut, body)) = input.split_first() else {
        return;
    };
    let whole = decode(std::iter::once(body));
    let cut = usize::from(*cut) + 1;
    assert_eq!(decode(body.chunks(cut)), whole);
    assert_eq!(decode(body.chunks(1)), whole);
});
