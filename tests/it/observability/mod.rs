//! What an execution leaves behind for the operator: a tree of spans at
//! a collector, and a line in the log.

mod collectors;
mod elsewhere;
mod endings;
mod lines;
mod parents;
mod trees;
mod used;

use std::time::Duration;

use fireworks_simulator::{Options, Rule};
use sparkler::config::Config;

use crate::support::{
    World,
    sink::{Sink, Span, Spans},
};

const EXECUTE: &str = "sparkler.worker.v1.WorkerService/ExecuteNode";
const CHAT: &str = "chat accounts/fireworks/models/glm-5p3";

/// A worker that sends its traces to a collector and does not wait between
/// attempts.
async fn traced(rules: Vec<Rule>) -> (World, Sink) {
    traced_with(rules, |_| {}).await
}

async fn traced_with(rules: Vec<Rule>, configure: impl FnOnce(&mut Config)) -> (World, Sink) {
    let sink = Sink::start().await;
    let traces = sink.traces();
    let options = Options { rules, ..Options::instant() };
    let world = World::with(options, |config| {
        config.retry.base = Duration::from_millis(1);
        config.retry.scaling_up_poll = Duration::from_millis(1);
        config.retry.scaling_up_budget = Duration::ZERO;
        traces(config);
        configure(config);
    })
    .await;
    (world, sink)
}

/// A tree in a line a span: its name, and why it failed, indented by depth.
fn tree(spans: &Spans, root: &Span) -> Vec<String> {
    fn grow(spans: &Spans, span: &Span, depth: usize, lines: &mut Vec<String>) {
        let failure = match span.get("sparkler.reason") {
            "" => String::new(),
            reason => format!(": {reason}"),
        };
        lines.push(format!("{}{}{failure}", "  ".repeat(depth), span.name));
        for child in spans.below(span) {
            assert_eq!(child.trace, span.trace);
            grow(spans, child, depth + 1, lines);
        }
    }
    let mut lines = Vec::new();
    grow(spans, root, 0, &mut lines);
    lines
}
