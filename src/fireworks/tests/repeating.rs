//! Chunks that repeat the last one: the fast path must agree with the full parse.

use proptest::prelude::*;

use super::{
    super::{
        answer::{Answer, StreamError},
        reasoning::TextKind,
        sse::Event,
        template::{ChunkTemplate, Place},
    },
    notes::{Note, Notes},
};

const PLACE: Place = Place { choice: 0, part: TextKind::Text };

#[test]
fn only_another_text_in_the_same_bytes_is_read_the_short_way() {
    let event = r#"{"choices":[{"delta":{"content":"one"}}]}"#;
    let at = event.find("one").expect("the text");
    let mut template = ChunkTemplate::default();
    template.learn(event.as_bytes(), &event[at..at + 3], PLACE);
    for (text, read) in [
        ("two", Some("two")),
        ("", Some("")),
        (r"a\nb", Some("a\nb")),
        ("\u{1F600}", Some("\u{1F600}")),
        (r#"x","content":"y"#, None),
        (r#"\"#, None),
        ("\n", None),
    ] {
        let event = event.replace("one", text);
        let text = template.read(event.as_bytes()).map(|(_, text)| text);
        assert_eq!(text.as_deref(), read, "{event}");
    }
    for event in [&event[..at], &event[at..], r#"{"choices":[{"delta":{"content":"}}]}"#] {
        assert_eq!(template.read(event.as_bytes()), None, "{event}");
    }
}

/// Returns the output of these events, parsed in full or in whichever way the
/// answer chooses.
fn emitted(events: &[String], long_way: bool) -> (Vec<Note>, Vec<Result<(), StreamError>>) {
    let mut notes = Notes::default();
    let mut answer = Answer::new(2, true);
    let results = events
        .iter()
        .map(|event| {
            if long_way {
                answer.take_json(event.as_bytes(), &mut notes)
            } else {
                let data = event.as_bytes();
                answer.take_event(Event { name: b"", data }, &mut notes)
            }
        })
        .collect();
    (notes.all(), results)
}

fn events() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("a"),
        Just(" b"),
        Just(""),
        Just(r#"\""#),
        Just(r"\u00e9"),
        Just("<think>"),
        Just(r#"","finish_reason":"stop"#),
        Just(r#"","x":""#),
        Just("\\"),
        Just("é"),
    ];
    let field =
        prop_oneof![4 => Just("content"), 2 => Just("reasoning_content"), 1 => Just("role")];
    let index = prop_oneof![3 => Just(0), 1 => Just(1), 1 => Just(2)];
    let rest = prop_oneof![
        4 => Just(""),
        1 => Just(r#","finish_reason":"length""#),
        1 => Just(r#","logprobs":{}"#),
    ];
    (text, field, index, rest).prop_map(|(text, field, index, rest)| {
        format!(
            r#"{{"id":"c","choices":[{{"index":{index},"delta":{{"{field}":"{text}"}}{rest}}}]}}"#
        )
    })
}

proptest! {
    #[test]
    fn both_ways_come_to_the_same(events in prop::collection::vec(events(), 1..20)) {
        prop_assert_eq!(emitted(&events, false), emitted(&events, true));
    }
}
