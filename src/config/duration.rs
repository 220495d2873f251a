//! Durations in flags: bounded, so that arithmetic with them cannot overflow, and
//! with one meaning of `0s`.

use std::time::Duration;

/// The longest duration: 365 days.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The longest wait of a text for those of other calls: longer would cost its caller more
/// than a request of its own.
const LONGEST_GATHER_WINDOW: Duration = Duration::from_millis(50);

/// Parses a positive duration such as `500ms`, `90s` or `1m30s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    match duration_or_none(text)? {
        Duration::ZERO => Err("must be more than 0s".to_owned()),
        duration => Ok(duration),
    }
}

/// Parses a duration of which `0s` disables the feature.
pub fn duration_or_none(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|problem| format!("is not a duration such as 500ms, 90s or 1m30s: {problem}"))?;
    if duration > LONGEST {
        return Err("must be at most 365d".to_owned());
    }
    Ok(duration)
}

/// Parses the time for which texts of several calls are gathered.
pub(super) fn gather_window(text: &str) -> Result<Duration, String> {
    let window = duration_or_none(text)?;
    if window > LONGEST_GATHER_WINDOW {
        return Err("must be at most 50ms".to_owned());
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_duration_is_too_long_to_be_refused() {
        for text in [
            "366d",
            "99999999999999d",
            "18446744073709551615s",
            "18446744073709551616s",
            "99999999999999999999999999y",
        ] {
            duration(text).expect_err(text);
            duration_or_none(text).expect_err(text);
        }
        assert_eq!(duration("365d"), Ok(LONGEST));
    }

    #[test]
    fn texts_are_gathered_for_fifty_milliseconds_at_most() {
        assert_eq!(gather_window("0s"), Ok(Duration::ZERO));
        assert_eq!(gather_window("50ms"), Ok(LONGEST_GATHER_WINDOW));
        assert_eq!(gather_window("51ms"), Err("must be at most 50ms".to_owned()));
    }

    #[test]
    fn nothing_is_a_duration_only_where_it_turns_something_off() {
        assert_eq!(duration_or_none("0s"), Ok(Duration::ZERO));
        for text in ["0s", "0ms", "0d 0h"] {
            assert_eq!(duration(text), Err("must be more than 0s".to_owned()));
        }
        for text in ["", "-1s", "1", "s", "1 parsec", "\u{0}"] {
            assert!(duration(text).is_err_and(|problem| problem.contains("90s")), "{text:?}");
        }
    }
}
