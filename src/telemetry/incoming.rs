//! Whose child the span of a call is: W3C `traceparent` and `tracestate`, and
//! what of the caller's `baggage` the operator lets in.

use http::HeaderMap;
use opentelemetry::{
    Context,
    baggage::BaggageExt,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use super::{names::sparkler, span::Recorder};

/// A longer value of the baggage is not taken.
const MAX_BAGGAGE_BYTES: usize = 256;

/// The caller's span, where there is one.
pub(super) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    headers.get("traceparent")?;
    let context =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    let parent = context.span().span_context().clone();
    parent.is_valid().then_some(parent)
}

/// The entries of the baggage that are on the list.
pub(super) fn baggage(headers: &HeaderMap, list: &[String], recorder: &mut Recorder<'_>) {
    if list.is_empty() || !headers.contains_key("baggage") {
        return;
    }
    let context = BaggagePropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    for key in list {
        if let Some(value) = context.baggage().get(key)
            && value.as_str().len() <= MAX_BAGGAGE_BYTES
        {
            recorder.set(format!("{}{key}", sparkler::BAGGAGE_PREFIX), value.clone());
        }
    }
}

/// Headers as the propagators read them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
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
