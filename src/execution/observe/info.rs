//! The identity of a call, and its relation to a flight, as log lines and spans show them.

use std::sync::Arc;

use crate::execution::{request::Context, response::CacheStatus};
use crate::{
    recording::FlightId,
    telemetry::{
        Recorder, Span, SpanRef,
        names::{otel, sparkler},
    },
};

/// The identity of a call.
#[derive(Debug)]
pub(crate) struct CallInfo {
    pub(crate) span: Span,
    pub(crate) node_type: String,
    pub(crate) context: Arc<Context>,
    pub(crate) worker_id: String,
}

/// The relation of an execution to its flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlightRole {
    /// The flight's id.
    pub(crate) flight: FlightId,
    /// The flight's span, if one was recorded.
    pub(crate) span: Option<SpanRef>,
    /// The result of the cache look-up.
    pub(crate) status: CacheStatus,
}

impl CallInfo {
    /// Sets the identity of the call and its position in the flow.
    pub(crate) fn introduce(&self, span: &mut Recorder<'_>) {
        let Context { flow_id, run_id, node_id, session_id, tenant, attempt, labels } =
            &*self.context;
        span.set_text(sparkler::NODE_TYPE, &self.node_type);
        span.set_text(sparkler::FLOW, flow_id);
        span.set_text(sparkler::RUN, run_id);
        span.set_text(sparkler::NODE, node_id);
        span.set_text(sparkler::TENANT, tenant);
        span.set_text(otel::CONVERSATION, session_id);
        if *attempt > 0 {
            span.set(sparkler::ORCHESTRATOR_ATTEMPT, i64::from(*attempt));
        }
        for (label, value) in labels {
            span.set(format!("{}{label}", sparkler::LABEL_PREFIX), value.clone());
        }
    }

    /// Links a call that did not run the flight to the span that produced the
    /// answer.
    pub(crate) fn link(&self, flight_role: &FlightRole) {
        if let Some(span) = flight_role.span
            && !flight_role.status.pays()
        {
            self.span.link(span, |link| link.set(sparkler::LINK, "producer"));
        }
    }
}

/// Converts an amount of money for display.
pub(crate) fn dollars(nanodollars: crate::price::Nanodollars) -> f64 {
    nanodollars as f64 / 1e9
}
