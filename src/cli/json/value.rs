//! Single values as proto JSON: durations, numbers, and values that hold arbitrary
//! JSON.

use prost_types::value::Kind;
use serde_json::Value;

/// Formats a duration as proto JSON does, with zero, three, six or nine decimals:
/// `1s`, `1.500s`, `0.000120s`.
pub(super) fn duration(span: prost_types::Duration) -> String {
    let span = span.normalized();
    let sign = if span.seconds < 0 || span.nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (span.seconds.unsigned_abs(), span.nanos.unsigned_abs());
    match nanos {
        0 => format!("{sign}{seconds}s"),
        nanos if nanos % 1_000_000 == 0 => format!("{sign}{seconds}.{:03}s", nanos / 1_000_000),
        nanos if nanos % 1_000 == 0 => format!("{sign}{seconds}.{:06}s", nanos / 1_000),
        nanos => format!("{sign}{seconds}.{nanos:09}s"),
    }
}

/// Returns the JSON that a `google.protobuf.Value` holds.
pub(in crate::cli) fn of_value(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::NumberValue(number)) => double(number),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(yes)) => yes.into(),
        Some(Kind::StructValue(object)) => Value::Object(
            object.fields.into_iter().map(|(name, field)| (name, of_value(field))).collect(),
        ),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(of_value).collect(),
    }
}

/// Formats whole numbers without a fraction, and those that JSON cannot express by
/// name.
pub(super) fn double(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and within 2^53")]
        return Value::from(number as i64);
    }
    serde_json::Number::from_f64(number).map_or_else(
        || {
            let name = match number {
                n if n.is_nan() => "NaN",
                n if n > 0.0 => "Infinity",
                _ => "-Infinity",
            };
            name.into()
        },
        Value::Number,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_no_three_six_or_nine_digits() {
        for (seconds, nanos, text) in [
            (1, 0, "1s"),
            (1, 500_000_000, "1.500s"),
            (0, 120_000, "0.000120s"),
            (0, 1, "0.000000001s"),
            (-1, -500_000_000, "-1.500s"),
        ] {
            assert_eq!(duration(prost_types::Duration { seconds, nanos }), text);
        }
    }
}
