//! The experiments: what Sparkler promises about its speed, one by one.

use std::time::Duration;

use crate::{
    answer::Answer,
    contestant::Contestant::{
        self, Direct, Floor, FloorAskingWhole, LiteLlm, Nginx, Sampled, Sparkler, Traced,
        VllmRouter,
    },
    experiment::{
        Aim, Experiment, Figure,
        Metric::{
            self, CpuPerAnswer, CpuPerToken, FirstTokenLater, FirstTokenLaterP99, Lost,
            MemoryPerStream, TimePerAnswer,
        },
    },
    plan::{Call, Stage},
    scene::Protocol::{self, Http1, Http2},
};

/// How much time the figures may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effort {
    /// Seconds an experiment.
    Quick,
    /// One to two minutes an experiment.
    Full,
}

impl Effort {
    fn rounds(self, full: usize) -> usize {
        if self == Self::Quick { 1 } else { full }
    }

    fn time(self) -> Duration {
        if self == Self::Quick { Duration::from_secs(1) } else { Duration::from_secs(2) }
    }
}

/// Every experiment.
pub(crate) fn all(effort: Effort) -> Vec<Experiment> {
    vec![
        whole(effort, Http1, 1),
        whole(effort, Http2, 1),
        whole(effort, Http2, 2),
        apart(effort, 5, vec![(Floor, 1.7), (VllmRouter, 0.6)]),
        apart(effort, 200, vec![(VllmRouter, 1.0)]),
        hit(effort, 1),
        hit(effort, 2),
        traced(effort),
        burst(effort, Http2),
        burst(effort, Http1),
        paced(effort),
        first_token(effort),
        crowd(effort),
    ]
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// What a worker adds to a call, whatever the number of tokens.
fn whole(effort: Effort, protocol: Protocol, threads: usize) -> Experiment {
    let threads_word = if threads == 1 { "thread" } else { "threads" };
    let http = protocol.name();
    // nginx speaks HTTP/1.1 to an upstream, and has no threads.
    let others = if protocol == Http1 { vec![FloorAskingWhole, Nginx] } else { Vec::new() };
    Experiment {
        protocol,
        threads,
        contestants: [vec![Sparkler, Floor], others].concat(),
        figures: vec![figure(CpuPerAnswer, Some(Floor), Some(Aim::Times(1.6)))],
        ..throughput(
            effort,
            format!("Answer not cached, {http} upstream, {threads} {threads_word}, 64 at a time"),
            Call::Whole,
            64,
            // One event: what a token costs is measured by itself.
            Answer::at_once(200, 200),
        )
    }
}

/// What an answer costs whose tokens come apart but are wanted together.
fn apart(effort: Effort, tokens: u64, aims: Vec<(Contestant, f64)>) -> Experiment {
    let aim = |(of, times)| figure(CpuPerAnswer, Some(of), Some(Aim::Times(times)));
    Experiment {
        contestants: vec![Sparkler, Floor, Nginx, VllmRouter, LiteLlm],
        figures: aims.into_iter().map(aim).collect(),
        ..throughput(
            effort,
            format!("Answer of {tokens} tokens not cached, no deltas, 1 thread, 64 at a time"),
            Call::Whole,
            64,
            Answer::at_once(tokens, 1),
        )
    }
}

/// What an answer from memory costs. Of the peers only LiteLLM has a cache.
fn hit(effort: Effort, threads: usize) -> Experiment {
    let threads_word = if threads == 1 { "thread" } else { "threads" };
    Experiment {
        threads,
        contestants: vec![Sparkler, Floor, LiteLlm],
        figures: vec![figure(CpuPerAnswer, Some(Floor), Some(Aim::Times(1.4)))],
        ..throughput(
            effort,
            format!("Answer cached, {threads} {threads_word}, 64 at a time"),
            Call::Hit,
            64,
            Answer::at_once(200, 200),
        )
    }
}

/// What tracing costs, where there is nothing else to do: at most 3 %
/// of the answers where one call in a hundred is traced, 15 % where all are.
fn traced(effort: Effort) -> Experiment {
    let aims = vec![(Sampled, Aim::Times(1.0 / 0.97)), (Traced, Aim::Times(1.0 / 0.85))];
    let reference = Some(Sparkler);
    Experiment {
        title: "Traced: answer cached, 1 thread, 64 at a time".to_owned(),
        contestants: vec![Sparkler, Sampled, Traced],
        figures: vec![
            Figure { metric: TimePerAnswer, reference, aims },
            figure(CpuPerAnswer, reference, None),
        ],
        ..hit(effort, 1)
    }
}

/// What a token costs when the upstream is faster than anyone can read.
fn burst(effort: Effort, protocol: Protocol) -> Experiment {
    Experiment {
        protocol,
        contestants: vec![Sparkler, Floor, Nginx, VllmRouter, LiteLlm],
        figures: vec![figure(CpuPerToken, Some(Nginx), Some(Aim::Times(1.5)))],
        ..throughput(
            effort,
            format!("200 tokens at once, {} upstream, 1 thread, 16 streams", protocol.name()),
            Call::Stream,
            16,
            Answer::at_once(200, 1),
        )
    }
}

/// What a token costs at the pace of a real model.
fn paced(effort: Effort) -> Experiment {
    let calls = if effort == Effort::Quick { 1 } else { 3 };
    Experiment {
        title: "1,000 streams of 20 tokens a second, 1 thread".to_owned(),
        answer: Answer::paced(40, 50 * MILLISECOND),
        // Over two seconds, as long as a stream: not all tokens at one moment.
        measured: Stage::counting(1_000, calls, 2_000 * MILLISECOND),
        rounds: effort.rounds(5),
        contestants: vec![Sparkler, Floor, Nginx, VllmRouter],
        figures: vec![
            figure(CpuPerToken, Some(Nginx), Some(Aim::Times(0.9))),
            figure(MemoryPerStream, Some(Nginx), Some(Aim::AtMost(12.0))),
        ],
        ..slow(8)
    }
}

/// What a caller with nobody beside it waits longer for its first token.
fn first_token(effort: Effort) -> Experiment {
    let calls = if effort == Effort::Quick { 200 } else { 250 };
    Experiment {
        title: "First token, 1 stream".to_owned(),
        // Long enough after the head for a delayed acknowledgement to show.
        answer: Answer::paced(3, 5 * MILLISECOND),
        warm_up: Stage::counting(1, 20, Duration::ZERO),
        measured: Stage::counting(1, calls, Duration::ZERO),
        scatter: MILLISECOND,
        rounds: effort.rounds(10),
        contestants: vec![Direct, Sparkler, Floor, Nginx, VllmRouter],
        figures: vec![
            figure(FirstTokenLater, None, Some(Aim::AtMost(0.35))),
            // A delayed acknowledgement takes 40.
            figure(FirstTokenLaterP99, None, Some(Aim::AtMost(1.0))),
        ],
        ..slow(1)
    }
}

/// Whether many streams are too many.
fn crowd(effort: Effort) -> Experiment {
    let tokens = if effort == Effort::Quick { 6 } else { 20 };
    Experiment {
        title: "5,000 streams of 2 tokens a second, 1 thread".to_owned(),
        answer: Answer::paced(tokens, 500 * MILLISECOND),
        measured: Stage::counting(5_000, 1, 2_000 * MILLISECOND),
        rounds: 1,
        contestants: vec![Sparkler, Floor],
        figures: vec![
            figure(Lost, None, Some(Aim::AtMost(0.0))),
            figure(MemoryPerStream, Some(Floor), None),
            figure(CpuPerToken, Some(Floor), None),
        ],
        ..slow(32)
    }
}

/// As much as goes through, so that the price of a wake-up is shared.
fn throughput(
    effort: Effort,
    title: String,
    call: Call,
    callers: usize,
    answer: Answer,
) -> Experiment {
    Experiment {
        title,
        answer,
        call,
        protocol: Http2,
        threads: 1,
        connections: 4,
        warm_up: Stage::lasting(callers, effort.time() / 4),
        measured: Stage::lasting(callers, effort.time()),
        scatter: Duration::ZERO,
        rounds: effort.rounds(10),
        contestants: Vec::<Contestant>::new(),
        figures: Vec::new(),
    }
}

/// Streams that wait most of the time, over as many connections.
fn slow(connections: usize) -> Experiment {
    Experiment {
        title: String::new(),
        answer: Answer::at_once(1, 1),
        call: Call::Stream,
        protocol: Http2,
        threads: 1,
        connections,
        warm_up: Stage::counting(16, 1, Duration::ZERO),
        measured: Stage::counting(1, 1, Duration::ZERO),
        scatter: Duration::ZERO,
        rounds: 1,
        contestants: Vec::new(),
        figures: Vec::new(),
    }
}

fn figure(metric: Metric, reference: Option<Contestant>, aim: Option<Aim>) -> Figure {
    let aims = aim.map(|aim| (Sparkler, aim)).into_iter().collect();
    Figure { metric, reference, aims }
}
