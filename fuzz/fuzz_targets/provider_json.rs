//! Anything for JSON, where the provider sends it: as a chunk, as an error
//! inside a stream, as the body of a refusal. What comes out of it for people
//! must be short, on one line and without the key.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sparkler::{internals::{ApiKey, Delta, Emit, Error, Phase, Piece, ProviderError, parts::{Answer, ErrorContext, Event, StreamError, from_status, from_stream}}};

const KEY: &str = "fw_key";
static CREDENTIAL: LazyLock<ApiKey> =
    LazyLock::new(|| ApiKey::new(KEY.to_owned()).expect("a key"));

struct Subscriber;

impl Emit for Subscriber {
    fn phase(&mut self, _: Phase) {}

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        assert!(delta.choice < 2);
        if let Piece::Text(text) | Piece::Reasoning(text) = delta.piece {
            assert!(!text.is_empty());
        }
        Ok(())
    }

    fn flush(&mut self) {}
}

fn check(error: &ProviderError) {
    for text in [&error.message, &error.code, &error.request_id] {
        let text = text.as_deref().unwrap_or("");
        assert!(!text.contains(KEY));
        assert!(!text.chars().any(char::is_control));
        assert!(text.chars().count() <= 301);
    }
}

fuzz_target!(|input: &[u8]| {
    let context = ErrorContext {
        credential: &CREDENTIAL,
        phase: Phase::Waiting,
        request_id: None,
        retry_after: None,
        account_wide: false,
    };
    let text = String::from_utf8_lossy(input);
    for status in [400, 403, 503] {
        check(&from_status(status, &text, context));
    }
    check(&from_stream(&text, context));

    let mut answer = Answer::new(2, true);
    for data in input.split(|byte| *byte == b'\n') {
        let event = Event { name: b"", data };
        match answer.take_event(event, &mut Subscriber) {
            Ok(()) => {}
            Err(StreamError::Reported(said)) => return check(&from_stream(&said, context)),
            Err(_) => return,
        }
    }
    let _ = answer.finish(&mut Subscriber);
});
