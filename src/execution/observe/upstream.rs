//! The metrics of one provider request: its duration, the times of its output, and
//! its cost.

use std::task::{Context, Poll};

use crate::execution::Services;
use crate::{
    emit::Emit,
    error::Error,
    event::{Delta, Finish, Phase, Usage},
    fireworks::Interrupted,
    flight::Publisher,
    metrics::{Operation, ProviderRequest, Spending},
    node::Plan,
    price::Nanodollars,
    quota::Spend,
};

/// A publisher whose flushes are timed. If dropped before the request has ended,
/// the request counts as cancelled, and the usage reported so far as paid.
pub(crate) struct UpstreamMetrics<'a> {
    services: &'a Services,
    plan: &'a Plan,
    /// The tenant that pays.
    tenant: &'a str,
    publisher: &'a mut Publisher,
    /// Taken when the request ends.
    call: Option<ProviderRequest>,
    /// The last usage reported by the provider.
    used: Option<Usage>,
    /// Set if there was output since the last flush.
    emitted: bool,
}

impl<'a> UpstreamMetrics<'a> {
    /// Starts measuring a provider request that `tenant` pays for.
    pub(crate) fn begin(
        services: &'a Services,
        plan: &'a Plan,
        tenant: &'a str,
        publisher: &'a mut Publisher,
    ) -> UpstreamMetrics<'a> {
        let operation = match plan.identity.endpoint {
            "completions" => Operation::TextCompletion,
            "embeddings" => Operation::Embeddings,
            _ => Operation::Chat,
        };
        let call = Some(services.metrics.call_began(operation, &plan.model));
        UpstreamMetrics { services, plan, tenant, publisher, call, used: None, emitted: false }
    }

    /// Records the end of the request. Its usage was paid for, whatever the result.
    /// Returns its cost, if that is known.
    pub(crate) fn ended(mut self, result: &Result<Finish, Interrupted>) -> Option<Nanodollars> {
        let call = self.call.take()?;
        match result {
            Ok(finish) => {
                call.succeeded(&self.plan.model, finish.usage.as_ref());
                self.record_usage(finish.usage.as_ref())
            }
            Err(Interrupted { error, usage }) => {
                call.failed(error.reason(), usage.as_ref());
                self.record_usage(usage.as_ref())
            }
        }
    }

    fn record_usage(&self, usage: Option<&Usage>) -> Option<Nanodollars> {
        let UpstreamMetrics { services, plan, .. } = self;
        let usage = usage?;
        services.metrics.tokens(Spending::Spent, usage);
        let priced = services.prices.current().cost(&plan.model, &plan.tier, usage);
        if let Some(priced) = priced {
            services.metrics.cost(Spending::Spent, priced.cost);
        }
        if priced.is_none_or(|priced| priced.is_fallback) {
            services.notices.unpriced(&plan.model, &plan.tier, priced.is_some(), usage);
        }
        let cost = priced.map(|priced| priced.cost);
        let tokens =
            usage.prompt_tokens.unwrap_or(0).saturating_add(usage.completion_tokens.unwrap_or(0));
        services.quotas.record(self.tenant, Spend { tokens, money: cost.unwrap_or(0) });
        cost
    }
}

impl Drop for UpstreamMetrics<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.record_usage(self.used.as_ref());
            call.cancelled(self.used.as_ref());
        }
    }
}

impl Emit for UpstreamMetrics<'_> {
    fn phase(&mut self, phase: Phase) {
        self.publisher.phase(phase);
    }

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        self.emitted = true;
        self.publisher.delta(delta)
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.emitted)
            && let Some(call) = &mut self.call
        {
            call.brought_output();
        }
        self.publisher.flush();
    }

    fn used(&mut self, usage: &Usage) {
        self.used = Some(*usage);
        self.publisher.used(usage);
    }

    fn poll_watched(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.publisher.poll_watched(context)
    }
}
