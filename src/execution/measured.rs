//! One call of the provider as the worker's figures see it: how long it took,
//! when output came, and what it spent. Called by the leader, around its
//! publisher.

use super::Executor;
use crate::{
    allowance::Spent,
    error::Error,
    event::{Delta, Emit, Finish, Phase, Usage},
    fireworks::Interrupted,
    flight::Publisher,
    metrics::{Call, Operation, Spending},
    node::Plan,
};

/// A publisher whose flushes are timed. Dropped before the call has ended, the
/// call counts as cancelled.
pub(super) struct Measured<'a> {
    executor: &'a Executor,
    plan: &'a Plan,
    /// The tenant that pays.
    tenant: &'a str,
    publisher: &'a mut Publisher,
    call: Call,
    /// Whether there was output since the last flush.
    told: bool,
}

impl<'a> Measured<'a> {
    /// A call of the provider begins, which a tenant pays for.
    pub(super) fn begin(
        executor: &'a Executor,
        plan: &'a Plan,
        tenant: &'a str,
        publisher: &'a mut Publisher,
    ) -> Measured<'a> {
        let operation = match plan.identity.endpoint {
            "completions" => Operation::TextCompletion,
            _ => Operation::Chat,
        };
        let call = executor.metrics.call_began(operation, &plan.model);
        Measured { executor, plan, tenant, publisher, call, told: false }
    }

    /// It has ended, well or not. What it used was paid either way.
    pub(super) fn ended(self, result: &Result<Finish, Interrupted>) {
        match result {
            Ok(finish) => {
                self.spent(finish.usage.as_ref());
                self.call.succeeded(&self.plan.model, finish.usage.as_ref());
            }
            Err(Interrupted { error, usage }) => {
                self.spent(usage.as_ref());
                self.call.failed(error.reason(), usage.as_ref());
            }
        }
    }

    fn spent(&self, usage: Option<&Usage>) {
        let (Measured { executor, plan, .. }, Some(usage)) = (self, usage) else { return };
        executor.metrics.tokens(Spending::Spent, usage);
        let cost = executor.prices.cost(&plan.model, plan.tier, usage);
        if let Some(cost) = cost {
            executor.metrics.cost(Spending::Spent, cost);
        }
        let tokens = usage.prompt_tokens.unwrap_or(0) + usage.completion_tokens.unwrap_or(0);
        executor.allowances.spent(self.tenant, Spent { tokens, money: cost.unwrap_or(0) });
    }
}

impl Emit for Measured<'_> {
    fn phase(&mut self, phase: Phase) {
        self.publisher.phase(phase);
    }

    fn delta(&mut self, delta: Delta<'_>) -> Result<(), Error> {
        self.told = true;
        self.publisher.delta(delta)
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.told) {
            self.call.brought_output();
        }
        self.publisher.flush();
    }
}
