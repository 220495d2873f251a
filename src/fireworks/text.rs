//! Repairs JSON text that strict readers reject although its meaning is clear:
//! bytes that are not UTF-8, and escapes of half a surrogate pair, become
//! U+FFFD. A stream that cuts an emoji in two must not void a paid answer.
//!
//! Applied before provider JSON is parsed; text that needs no repair, which is
//! nearly all of it, is borrowed.

use std::borrow::Cow;

use memchr::{memchr, memmem};

/// Returns these bytes as readable JSON text.
pub(super) fn mend(json: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(json) {
        Cow::Borrowed(text) => mend_escapes(text),
        Cow::Owned(text) => Cow::Owned(mend_escapes(&text).into_owned()),
    }
}

fn mend_escapes(text: &str) -> Cow<'_, str> {
    let may_have = [b"\\ud".as_slice(), b"\\uD"]
        .iter()
        .any(|start| memmem::find(text.as_bytes(), start).is_some());
    if !may_have {
        return Cow::Borrowed(text);
    }
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        mended.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (length, is_half) = measure(escape);
        mended.push_str(if is_half { "\\ufffd" } else { &escape[..length] });
        rest = &escape[length..];
    }
    mended.push_str(rest);
    Cow::Owned(mended)
}

/// Returns the length of the escape at the start of the text, counting a
/// surrogate pair as one, and true if it is half a pair.
fn measure(escape: &str) -> (usize, bool) {
    match unit(escape) {
        Some(0xD800..=0xDBFF) => match unit(&escape[6..]) {
            Some(0xDC00..=0xDFFF) => (12, false),
            _ => (6, true),
        },
        Some(0xDC00..=0xDFFF) => (6, true),
        Some(_) => (6, false),
        // The backslash and the character it escapes.
        None => (escape.chars().take(2).map(char::len_utf8).sum(), false),
    }
}

/// Returns the code unit of a `\uXXXX` escape at the start of the text.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_replacement_characters_and_pairs_stay() {
        for (json, text) in [
            (r#""\ud83d\ude00""#, "\u{1F600}"),
            (r#""\uD83D\uDE00x""#, "\u{1F600}x"),
            (r#""a\ud83d""#, "a\u{FFFD}"),
            (r#""\ude00b""#, "\u{FFFD}b"),
            (r#""\ud83d\ud83d\ude00""#, "\u{FFFD}\u{1F600}"),
            (r#""\ud83d\n\u00e9""#, "\u{FFFD}\né"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d""#, "\\\u{FFFD}"),
        ] {
            let mended = mend(json.as_bytes());
            let read: String = serde_json::from_str(&mended).expect("a string");
            assert_eq!(read, text, "{json}");
        }
        assert_eq!(mend(b"\"\xF0\x9F\""), "\"\u{FFFD}\"");
        assert!(matches!(mend(br#""\u00e9""#), Cow::Borrowed(_)));
        for broken in [r#""\ud8"#, "\\", r"\ud83d\u", r"\ué"] {
            let _ = mend(broken.as_bytes());
        }
    }
}
