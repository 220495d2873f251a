//! The first token through a follower on another worker, against the leader's own.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Effort,
    report::{Aim, Report, digits, milliseconds, quantile},
    support::{Caller, ask},
    workers::{Workers, paced},
};

pub async fn measure(effort: Effort, report: &mut Report) {
    let workers = Workers::patient(2, paced(Duration::from_millis(250), 20)).await;
    let [leader, follower] = &workers.callers[..] else { unreachable!("two were started") };
    let (mut later, mut gaps) = (Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        let prompt = format!("First token {round}");
        let leading = recv(leader, &prompt);
        let following = async {
            // Somebody else leads by then, and has had nothing yet.
            tokio::time::sleep(Duration::from_millis(100)).await;
            recv(follower, &prompt).await
        };
        let (led, followed) = tokio::join!(leading, following);
        later.push(milliseconds(followed[0]) - milliseconds(led[0]));
        // Where a token is in both at the same place, it came later by that much.
        gaps.push(
            milliseconds(*followed.last().expect("some"))
                - milliseconds(*led.last().expect("some")),
        );
    }
    let beside = format!(
        "p99 {} ms; the last token {} ms later",
        digits(quantile(&later, 0.99)),
        digits(quantile(&gaps, 0.5))
    );
    report.add(
        "first token through another worker, after the leader's own",
        quantile(&later, 0.5),
        "ms",
        &beside,
        Some(Aim(25.0)),
    );
}

/// When each delta came, as one clock says.
async fn recv(caller: &Caller, prompt: &str) -> Vec<Duration> {
    let mut call = caller.execute(ask(prompt).cached()).await.expect("it runs");
    let mut received = Vec::new();
    while let Some(event) = call.next().await {
        if let sparkler::proto::execute_node_response::Event::Delta(_) = event.expect("no failure")
        {
            received.push(began().elapsed());
        }
    }
    received
}

/// What all is measured from.
fn began() -> Instant {
    static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *BEGAN.get_or_init(Instant::now)
}
