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
/// call counts as cancelled, and what the provider has said by then as paid.
pub(super) struct Measured<'a> {
    executor: &'a Executor,
    plan: &'a Plan,
    /// The tenant that pays.
    tenant: &'a str,
    publisher: &'a mut Publisher,
    /// Until it has ended.
    call: Option<Call>,
    /// What the provider has said of its use so far.
    used: Option<Usage>,
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
        let call = Some(executor.metrics.call_began(operation, &plan.model));
        Measured { executor, plan, tenant, publisher, call, used: None, told: false }
    }

    /// It has ended, well or not. What it used was paid either way.
    pub(super) fn ended(mut self, result: &Result<Finish, Interrupted>) {
        let Some(call) = self.call.take() else { return };
        match result {
            Ok(finish) => {
                self.spent(finish.usage.as_ref());
                call.succeeded(&self.plan.model, finish.usage.as_ref());
            }
            Err(Interrupted { error, usage }) => {
                self.spent(usage.as_ref());
                call.failed(error.reason(), usage.as_ref());
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
        let tokens =
            usage.prompt_tokens.unwrap_or(0).saturating_add(usage.completion_tokens.unwrap_or(0));
        executor.allowances.spent(self.tenant, Spent { tokens, money: cost.unwrap_or(0) });
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            self.spent(self.used.as_ref());
            call.cancelled(self.used.as_ref());
        }
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
        if std::mem::take(&mut self.told)
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
}
