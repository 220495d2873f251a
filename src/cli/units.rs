//! Formats amounts and durations for people. The API uses nano-dollars and protobuf
//! durations.

use std::time::Duration;

/// Formats dollars exactly, such as `$0.000021`, without trailing zeros beyond the
/// cents.
pub(super) fn dollars(nanodollars: i64) -> String {
    const NANODOLLARS_PER_DOLLAR: u64 = 1_000_000_000;
    let sign = if nanodollars < 0 { "-" } else { "" };
    let amount = nanodollars.unsigned_abs();
    let fraction = format!("{:09}", amount % NANODOLLARS_PER_DOLLAR);
    let (cents, rest) = fraction.split_at(2);
    let rest = rest.trim_end_matches('0');
    format!("{sign}${}.{cents}{rest}", amount / NANODOLLARS_PER_DOLLAR)
}

/// Formats a duration to about three digits: `850ms`, `1.25s`, `3m 20s`.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_millis() {
        0 => format!("{}µs", duration.as_micros()),
        1..=999 => format!("{}ms", duration.as_millis()),
        1_000..=59_999 => format!("{seconds:.2}s"),
        _ => format!("{}m {}s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

/// Formats a protobuf duration; a negative one yields `None`.
pub(super) fn proto_span(duration: prost_types::Duration) -> Option<String> {
    Duration::try_from(duration).ok().map(span)
}

/// Converts a duration for the API, limited to the largest that protobuf allows;
/// every worker applies its own bound anyway.
pub(super) fn proto_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration)
        .unwrap_or(prost_types::Duration { seconds: 315_576_000_000, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_exact() {
        for (nanodollars, text) in [
            (0, "$0.00"),
            (21_000, "$0.000021"),
            (1, "$0.000000001"),
            (1_500_000_000, "$1.50"),
            (-10_000_000, "-$0.01"),
            (i64::MAX, "$9223372036.854775807"),
        ] {
            assert_eq!(dollars(nanodollars), text);
        }
    }

    #[test]
    fn spans_have_about_three_digits() {
        for (duration, text) in [
            (Duration::from_micros(120), "120µs"),
            (Duration::from_micros(8_400), "8ms"),
            (Duration::from_millis(1_254), "1.25s"),
            (Duration::from_secs(200), "3m 20s"),
        ] {
            assert_eq!(span(duration), text);
        }
    }
}
