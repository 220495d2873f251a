//! Output without what changes from run to run: times, ports and ids. Tokens
//! and dollars stay.

/// The text with a name in place of each thing that changes.
pub(crate) fn settled(text: &str) -> Vec<String> {
    let lines = exact(text).into_iter().map(|line| without_bars(&line));
    lines.filter(|line| !line.starts_with(CONNECT)).map(|line| settled_line(&line)).collect()
}

/// The text as it is, but for blanks at the ends of lines.
pub(crate) fn exact(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A connection that is there at once takes no time that could be shown.
const CONNECT: &str = "connect BAR";

/// How long a bar is depends on the time that it stands for.
fn without_bars(line: &str) -> String {
    let is_bar = |c: char| ('█'..='▏').contains(&c);
    match (line.find(is_bar), line.rfind(is_bar)) {
        (Some(first), Some(last)) => {
            let after = line[last..].trim_start_matches(is_bar);
            format!("{} BAR {}", line[..first].trim_end(), after.trim_start())
        }
        _ => line.to_owned(),
    }
}

fn settled_line(line: &str) -> String {
    let mut settled = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_of_word) {
        let end = rest[start..].find(|c| !is_of_word(c)).map_or(rest.len(), |end| start + end);
        // Full stops and colons after a word are not of it.
        let word = rest[start..end].trim_end_matches(['.', ':']);
        settled.push_str(&rest[..start]);
        settled.push_str(name(word).unwrap_or(word));
        rest = &rest[start + word.len()..];
        let after = rest.find(|c| !matches!(c, '.' | ':')).unwrap_or(rest.len());
        settled.push_str(&rest[..after]);
        rest = &rest[after..];
    }
    settled.push_str(rest);
    settled
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '_')
}

/// What a word is called that is another one in the next run.
fn name(word: &str) -> Option<&'static str> {
    if is_timestamp(word) {
        Some("TIMESTAMP")
    } else if is_time(word) {
        Some("TIME")
    } else if is_port(word) {
        Some("127.0.0.1:PORT")
    } else {
        is_id(word).then_some("ID")
    }
}

/// Such as `174ms` or `1.2s`.
fn is_time(word: &str) -> bool {
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    unit.len() < word.len() && matches!(unit, "ns" | "µs" | "ms" | "s" | "m" | "h")
}

/// Such as `2026-11-22T20:46:23.634309Z`.
fn is_timestamp(word: &str) -> bool {
    word.split_once('T').is_some_and(|(date, time)| {
        let digits =
            |text: &str, of: &[char]| text.chars().all(|c| c.is_ascii_digit() || of.contains(&c));
        date.len() == 10 && digits(date, &['-']) && time.len() > 8 && digits(time, &[':', '.', 'Z'])
    })
}

fn is_port(word: &str) -> bool {
    let port = word.strip_prefix("127.0.0.1:").unwrap_or_default();
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Sixteen hexadecimal digits or more, maybe after a word such as `chatcmpl-`;
/// or a token too long to be anything else.
fn is_id(word: &str) -> bool {
    let last = word.rsplit('-').next().unwrap_or(word);
    let hexadecimal = last.len() >= 16 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal || word.len() > 60
}

#[test]
fn what_changes_from_run_to_run_is_not_compared() {
    for (one, other) in [
        ("first token 164ms · total 1.2s", "first token 98µs · total 174ms"),
        ("http://127.0.0.1:40123/inference/v1", "http://127.0.0.1:9/inference/v1"),
        (
            "provider request: chatcmpl-4e9720927e2f0c76fca8",
            "provider request: chatcmpl-0123456789abcdef",
        ),
        ("2026-11-22T20:46:23.634309Z  INFO", "2027-01-02T00:00:00.000001Z  INFO"),
        ("took 3ms.", "took 4ms."),
        ("a line  \n", "a line"),
        ("stream      ███▌    12ms", "stream   ▏    300µs"),
        ("cache ▏ 1ms\nconnect  █ 3ms", "cache ▏ 1ms"),
    ] {
        assert_eq!(settled(one), settled(other));
    }
}

#[test]
fn all_else_is() {
    for (one, other) in [
        ("$0.0003644 spent", "$0.0003645 spent"),
        ("12 tokens in", "13 tokens in"),
        ("1 attempt", "2 attempt"),
        ("safe to retry: no", "safe to retry: yes"),
        ("glm-5p3", "glm-5p2"),
        ("one\n\ntwo", "one\ntwo"),
    ] {
        assert_ne!(settled(one), settled(other));
    }
}
