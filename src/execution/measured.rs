//! One call of the provider as the worker's figures see it: how long it took,
//! when output came, and what it spent. Called by the leader, around its
//! publisher.

use super::Executor;
use crate::{
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
    publisher: &'a mut Publisher,
    call: Call,
    /// Whether there was output since the last flush.
    told: bool,
}

impl<'a> Measured<'a> {
    /// A call of the provider begins.
    pub(super) fn begin(
        executor: &'a Executor,
        plan: &'a Plan,
        publisher: &'a mut Publisher,
    ) -> Measured<'a> {
        let operation = match plan.identity.endpoint {
            "completions" => Operation::TextCompletion,
            _ => Operation::Chat,
        };
        let call = executor.metrics.call_began(operation, &plan.model);
        Measured { executor, plan, publisher, call, told: false }
    }

    /// It has ended, well or not. What it used was paid either way.
    pub(super) fn ended(self, result: &Result<Finish, Interrupted>) {
        match result {
            Ok(finish) => {
                spent(self.executor, self.plan, finish.usage.as_ref());
                self.call.succeeded(&self.plan.model, finish.usage.as_ref());
            }
            Err(Interrupted { error, usage }) => {
                spent(self.executor, self.plan, usage.as_ref());
                self.call.failed(error.reason(), usage.as_ref());
            }
        }
    }
}

fn spent(executor: &Executor, plan: &Plan, usage: Option<&Usage>) {
    let Some(usage) = usage else { return };
    executor.metrics.tokens(Spending::Spent, usage);
    if let Some(cost) = executor.prices.cost(&plan.model, plan.tier, usage) {
        executor.metrics.cost(Spending::Spent, cost);
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
