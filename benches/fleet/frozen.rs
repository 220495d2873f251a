//! What a frozen Redis adds to an execution, from the first one on.

use fireworks_simulator::Options;
use rustix::process::Signal;
use tokio::time::Instant;

use super::{
    Effort,
    report::{Aim, Report, digits, milliseconds, quantile},
    support::{Ask, Caller, ask},
    workers::Workers,
};

/// Executions of each freeze.
const CALLS: usize = 5;

pub async fn measure(effort: Effort, report: &mut Report) {
    let workers = Workers::shipped(1, Options::instant()).await;
    let caller = &workers.callers[0];
    let (mut plain, mut first, mut all) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        workers.shares(0).await;
        for call in 0..CALLS {
            plain.push(time(caller, ask(&format!("Plain {round} {call}"))).await);
        }
        workers.signal_redis(Signal::STOP);
        let mut frozen = Vec::new();
        for call in 0..CALLS {
            frozen.push(time(caller, ask(&format!("Frozen {round} {call}")).cached()).await);
        }
        workers.signal_redis(Signal::CONT);
        first.push(frozen[0]);
        all.extend(frozen);
    }
    let usual = quantile(&plain, 0.5);
    let beside = format!(
        "median {} ms; the first after the freeze {} ms; without Redis {} ms, at worst {} ms",
        digits(quantile(&all, 0.5) - usual),
        digits(quantile(&first, 0.5) - usual),
        digits(usual),
        digits(quantile(&plain, 1.0)),
    );
    let worst = quantile(&all, 1.0) - usual;
    report.add("delay by a frozen Redis, the worst", worst, "ms", &beside, Some(Aim(50.0)));
}

async fn time(caller: &Caller, ask: Ask) -> f64 {
    let began = Instant::now();
    caller.answer(ask).await;
    milliseconds(began.elapsed())
}
