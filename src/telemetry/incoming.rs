//! Extracts a call's trace context: W3C `traceparent` and `tracestate`, and the
//! entries of the caller's `baggage` that the operator allows.

use http::HeaderMap;
use opentelemetry::{
    Context,
    baggage::BaggageExt,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::propagation::BaggagePropagator;

use super::{names::sparkler, span::Recorder};

/// Longer baggage values are ignored.
const MAX_BAGGAGE_BYTES: usize = 256;

/// Returns the caller's span, by W3C Trace Context: exactly one valid
/// `traceparent`. `tracestate` counts only with it, and only as a whole.
pub(super) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(text), None) = (values.next(), values.next()) else {
        return None;
    };
    let (trace, span, flags) = ids(text.to_str().ok()?)?;
    let state = joined(headers, "tracestate").and_then(|text| trace_state(&text));
    let parent = SpanContext::new(trace, span, flags, true, state.unwrap_or_default());
    parent.is_valid().then_some(parent)
}

/// Parses `version-trace-span-flags`, each of fixed length and in lower case. Later
/// versions may append fields; version `ff` is invalid.
fn ids(text: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let (version, rest) = (hex(text.get(..2)?)?, text.get(2..)?);
    let parts = [(1, 33), (34, 50), (51, 53)].map(|(from, to)| rest.get(from..to));
    let [Some(trace), Some(span), Some(flags)] = parts else {
        return None;
    };
    let dashes = [0, 33, 50].iter().all(|at| rest.as_bytes()[*at] == b'-');
    let ends = rest.len() == 53 || version > 0 && rest.as_bytes()[53] == b'-';
    if !dashes || !ends || version == 0xff {
        return None;
    }
    let trace = TraceId::from(hex(trace)?);
    let span = SpanId::from(u64::try_from(hex(span)?).ok()?);
    // This version defines one flag.
    let flags = TraceFlags::new(u8::try_from(hex(flags)?).ok()?) & TraceFlags::SAMPLED;
    Some((trace, span, flags))
}

/// Parses a number in lower-case hexadecimal digits.
fn hex(text: &str) -> Option<u128> {
    let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(text, 16).ok().filter(|_| digits)
}

/// Joins the values of a repeated header in their order.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().ok());
    let values: Vec<&str> = values.collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.join(","))
}

/// Parses a list of at most 32 members with unique keys; anything else is
/// discarded.
fn trace_state(text: &str) -> Option<TraceState> {
    const MOST_MEMBERS: usize = 32;
    const MOST_BYTES: usize = 8192;
    if text.len() > MOST_BYTES {
        return None;
    }
    let members = text.split(',').map(str::trim).filter(|member| !member.is_empty());
    let keys: Vec<&str> =
        members.map(|member| member.split_once('=').map(|(key, _)| key)).collect::<Option<_>>()?;
    if keys.len() > MOST_MEMBERS || keys.contains(&"") {
        return None;
    }
    let is_twice = keys.iter().enumerate().any(|(at, key)| keys[..at].contains(key));
    if is_twice { None } else { text.parse().ok() }
}

/// Records the baggage entries that are on the list.
pub(super) fn baggage(headers: &HeaderMap, list: &[String], recorder: &mut Recorder<'_>) {
    if list.is_empty() {
        return;
    }
    let Some(text) = joined(headers, "baggage") else {
        return;
    };
    let context = BaggagePropagator::new().extract_with_context(&Context::new(), &Baggage(&text));
    for key in list {
        if let Some(value) = context.baggage().get(key)
            && value.as_str().len() <= MAX_BAGGAGE_BYTES
        {
            recorder.set(format!("{}{key}", sparkler::BAGGAGE_PREFIX), value.clone());
        }
    }
}

/// Adapts joined baggage for the propagator, which reads only the first header.
struct Baggage<'a>(&'a str);

impl Extractor for Baggage<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        key.eq_ignore_ascii_case("baggage").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["baggage"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::span::described;

    fn headers(entries: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| text.parse().expect("a header value");
        let mut headers = HeaderMap::new();
        for (name, text) in entries {
            headers.append(*name, value(text));
        }
        headers
    }

    #[test]
    fn a_parent_is_what_the_caller_says_or_none() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = parent(&headers(&[("traceparent", good), ("tracestate", "a=b")]));
        let parent = parent.expect("a parent");
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(parent.is_remote() && parent.is_sampled());
        assert_eq!(parent.trace_state().get("a"), Some("b"));
        for wrong in ["", "00", "00-0-0-01", &good.replace('4', "g"), &format!("ff{}", &good[2..])]
        {
            assert!(super::parent(&headers(&[("traceparent", wrong)])).is_none(), "{wrong:?}");
        }
        assert!(super::parent(&HeaderMap::new()).is_none());
    }

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_traceparent_is_valid_as_the_w3c_has_it() {
        let of = |text: &str| super::parent(&headers(&[("traceparent", text)]));
        for right in [
            format!("00-{TRACE}-{SPAN}-00"),
            format!("00-{TRACE}-{SPAN}-ff"),
            format!("01-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"),
            format!("cc-{TRACE}-{SPAN}-01-"),
        ] {
            let parent = of(&right).unwrap_or_else(|| panic!("{right} is valid"));
            assert_eq!(parent.span_id().to_string(), SPAN);
            assert_eq!(parent.is_sampled(), !right.ends_with("-00"), "{right}");
        }
        for wrong in [
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("cc-{TRACE}-{SPAN}-01.more"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{TRACE}-{SPAN}"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("FF-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", &TRACE[1..]),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}0{SPAN}-01"),
        ] {
            assert!(of(&wrong).is_none(), "{wrong}");
        }
        let good = format!("00-{TRACE}-{SPAN}-01");
        let twice = headers(&[("traceparent", &good), ("traceparent", &good)]);
        assert!(super::parent(&twice).is_none(), "which of them?");
    }

    #[test]
    fn several_headers_of_a_trace_state_are_one_list() {
        let good = format!("00-{TRACE}-{SPAN}-01");
        let state = |values: &[&str]| {
            let mut all = vec![("traceparent", good.as_str())];
            all.extend(values.iter().map(|value| ("tracestate", *value)));
            super::parent(&headers(&all)).expect("the parent counts").trace_state().header()
        };
        assert_eq!(state(&["a=1,b=2", "c=3"]), "a=1,b=2,c=3");
        assert_eq!(state(&["a=1", "", "c=3"]), "a=1,c=3");
        let members = |count: usize| {
            (0..count).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",")
        };
        assert_eq!(state(&[&members(32)]), members(32));
        for given_up in [&members(33)[..], "a=1,a=2", "a", "A=1", "=1"] {
            assert_eq!(state(&[given_up]), "", "{given_up}");
        }
    }

    #[test]
    fn several_headers_of_baggage_are_one_list() {
        let given = headers(&[("baggage", "run=7"), ("baggage", "team=a")]);
        let list = ["run", "team"].map(str::to_owned);
        assert_eq!(described(|recorder| baggage(&given, &list, recorder)).len(), 2);
    }

    #[test]
    fn only_what_is_on_the_list_is_let_in() {
        let long = "x".repeat(MAX_BAGGAGE_BYTES + 1);
        let given = headers(&[("baggage", &format!("run=7,secret=s,team=a%20b,long={long}"))]);
        let list = ["run", "team", "long", "absent"].map(str::to_owned);
        let taken: Vec<_> = described(|recorder| baggage(&given, &list, recorder))
            .into_iter()
            .map(|entry| format!("{}={}", entry.key, entry.value))
            .collect();
        assert_eq!(taken, ["baggage.run=7", "baggage.team=a b"]);
    }
}
