//! Estimates the size of a regular expression before it is compiled.

use regex_syntax::{
    ParserBuilder, ast,
    hir::{Class, Hir, HirKind},
};

/// Maximum bytes of a pattern: its parsed form grows with it, and no limit of
/// the engine covers that.
const PATTERN_BYTES: usize = 2048;
/// States assumed for a pattern that only the validator can parse.
const UNREAD: u64 = 8192;

/// Returns the approximate number of states of a pattern, with its repetitions
/// expanded; or the reason it is refused, as a sentence.
pub(super) fn states(pattern: &str) -> Result<u64, String> {
    if pattern.len() > PATTERN_BYTES {
        return Err(format!("the pattern has {} bytes; at most {PATTERN_BYTES}", pattern.len()));
    }
    // `\w` and the like are ASCII, as in the validator; `\p{L}` is not.
    let parse = |unicode| ParserBuilder::new().unicode(unicode).utf8(false).build().parse(pattern);
    match parse(false).or_else(|problem| parse(true).map_err(|_| problem)) {
        Ok(expression) => Ok(of(&expression)),
        Err(regex_syntax::Error::Parse(problem)) => match problem.kind() {
            ast::ErrorKind::UnsupportedLookAround => {
                Err(unsupported("look-around: (?=, (?!, (?<= or (?<!"))
            }
            ast::ErrorKind::UnsupportedBackreference => Err(unsupported("backreferences")),
            _ => Ok(UNREAD),
        },
        // The engines' dialects differ; the validator reports what is wrong with it.
        Err(_) => Ok(UNREAD),
    }
}

fn unsupported(what: &str) -> String {
    format!(
        "the pattern has {what}, which take more than linear time and are not supported; leave it out, or write it without"
    )
}

fn of(expression: &Hir) -> u64 {
    match expression.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => 2 * class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            of(&repetition.sub).saturating_mul(u64::from(times)).saturating_add(1)
        }
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(of).fold(0, u64::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_written_out() {
        for (pattern, least, most) in [
            ("^[a-z]{2,8}$", 10, 30),
            ("(a{1000}){1000}", 1_000_000, 2_000_000),
            ("^\\d{4}-\\d{2}-\\d{2}$", 8, 30),
            ("^[\\w.-]{1,64}@[\\w.-]{1,255}$", 300, 3000),
        ] {
            let states = states(pattern).expect(pattern);
            assert!((least..=most).contains(&states), "{pattern}: {states}");
        }
    }

    #[test]
    fn what_no_linear_engine_can_run_is_named() {
        for (pattern, word) in
            [("^(?!\\.)a", "look-around"), ("(?<=a)b", "look-around"), ("(a)\\1", "backreferences")]
        {
            let problem = states(pattern).expect_err(pattern);
            assert!(problem.contains(word), "{problem}");
        }
        assert!(states(&"a".repeat(4000)).is_err());
    }
}
