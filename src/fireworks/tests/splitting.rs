//! Reasoning inside text: by table, and a property that splits between deltas
//! do not matter.

use std::{borrow::Cow, convert::Infallible};

use proptest::prelude::*;

use super::super::reasoning::{Splitter, TextKind};

/// Returns text and reasoning of an answer that arrives in these pieces.
fn split<'a>(pieces: impl IntoIterator<Item = &'a str>) -> (String, String) {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut emit = |part, piece: Cow<'_, str>| {
        assert!(!piece.is_empty(), "nothing was emitted");
        match part {
            TextKind::Text => text.push_str(&piece),
            TextKind::Reasoning => reasoning.push_str(&piece),
        }
        Ok::<(), Infallible>(())
    };
    let mut splitter = Splitter::default();
    for piece in pieces {
        let Ok(()) = splitter.split(Cow::Borrowed(piece), &mut emit);
    }
    let Ok(()) = splitter.finish(&mut emit);
    (text, reasoning)
}

#[test]
fn only_tags_at_the_head_of_the_answer_count() {
    for (answer, text, reasoning) in [
        ("plain", "plain", ""),
        ("<think>\nhm\n</think>\n\nyes", "yes", "hm\n"),
        ("\n <think>hm</think>yes", "\n yes", "hm"),
        ("<think></think>yes", "yes", ""),
        ("<think>hm", "", "hm"),
        ("<think>a < b </thin </think>yes", "yes", "a < b </thin "),
        ("<think>a</think>b<think>c</think>d", "b<think>c</think>d", "a"),
        ("the <think> tag", "the <think> tag", ""),
        ("hm</think>yes", "hm</think>yes", ""),
        ("<thin", "<thin", ""),
        ("<thinking>", "<thinking>", ""),
        ("<<think>", "<<think>", ""),
        ("<think>a</", "", "a</"),
        ("<think>a<</think>b", "b", "a<"),
        ("<think>é</think>é", "é", "é"),
    ] {
        assert_eq!(split([answer]), (text.into(), reasoning.into()), "{answer}");
    }
}

#[test]
fn reasoning_that_comes_apart_makes_tags_text() {
    let mut emitted = Vec::new();
    let mut emit = |part, piece: Cow<'_, str>| {
        emitted.push((part, piece.into_owned()));
        Ok::<(), Infallible>(())
    };
    let mut splitter = Splitter::default();
    let Ok(()) = splitter.reasoning_comes_apart(&mut emit);
    let Ok(()) = splitter.split(Cow::Borrowed("<think>x</think>"), &mut emit);
    assert_eq!(emitted, [(TextKind::Text, "<think>x</think>".to_owned())]);
}

fn answers() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<think>"),
        Just("</think>"),
        Just("<"),
        Just("/"),
        Just("think>"),
        Just("</thi"),
        Just(" "),
        Just("\n"),
        Just("é"),
        Just("text"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn cuts_do_not_matter(answer in answers()) {
        let whole = split([answer.as_str()]);
        for at in (0..=answer.len()).filter(|at| answer.is_char_boundary(*at)) {
            let (left, right) = answer.split_at(at);
            prop_assert_eq!(&split([left, right]), &whole, "cut at {}", at);
        }
        let characters = answer.char_indices().map(|(at, one)| &answer[at..at + one.len_utf8()]);
        prop_assert_eq!(&split(characters), &whole);
    }

    #[test]
    fn nothing_is_lost_but_tags_and_their_white_space(answer in answers()) {
        let (text, reasoning) = split([answer.as_str()]);
        let solid = |text: &str| text.split_whitespace().collect::<String>();
        let emitted = format!("{}{}", solid(&reasoning), solid(&text));
        let tags = solid(&answer).len() - emitted.len();
        prop_assert!([0, "<think>".len(), "<think></think>".len()].contains(&tags));
    }
}
