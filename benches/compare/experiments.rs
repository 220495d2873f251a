//! The experiments: what Sparkler promises about its speed, one by one.

use std::time::Duration;

use crate::{
    answer::Answer,
    call::Call,
    contestant::{
        Contestant::{
            self, Direct, Floor, FloorAskingWhole, LiteLlm, Nginx, Sampled, Sparkler, Traced,
            VllmRouter,
        },
        Protocol::{self, Http1, Http2},
    },
    experiment::{
        Aim, Experiment, Figure,
        Metric::{
            self, CpuPerAnswer, CpuPerToken, FirstTokenLater, FirstTokenLaterP99, Lost,
            MemoryPerStream, TimePerAnswer,
        },
    },
    plan::Stage,
};

/// How much time the figures may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effort {
    /// Seconds an experiment.
    Quick,
    /// A minute an experiment.
    Full,
}

impl Effort {
    fn rounds(self, full: usize) -> usize {
        if self == Self::Quick { 1 } else { full }
    }

    fn time(self) -> Duration {
        if self == Self::Quick { Duration::from_secs(1) } else { Duration::from_secs(4) }
    }
}

/// Every experiment.
pub(crate) fn all(effort: Effort, peers: bool) -> Vec<Experiment> {
    let mut experiments = vec![
        whole(effort, Http1, 1),
        whole(effort, Http2, 1),
        whole(effort, Http2, 2),
        hit(effort),
        traced(effort),
        burst(effort, Http2, 4.0),
        burst(effort, Http1, 8.0),
        paced(effort),
        first_token(effort),
        crowd(effort),
    ];
    if peers {
        experiments.extend([peers_whole(effort), peers_hit(effort), peers_burst(effort)]);
    }
    experiments
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

/// What an answer from memory costs.
fn hit(effort: Effort) -> Experiment {
    Experiment {
        contestants: vec![Sparkler, Floor],
        figures: vec![figure(CpuPerAnswer, Some(Floor), Some(Aim::Times(1.6)))],
        ..throughput(
            effort,
            "Answer cached, 1 thread, 64 at a time".to_owned(),
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
        ..hit(effort)
    }
}

/// What a token costs when the upstream is faster than anyone can read.
fn burst(effort: Effort, protocol: Protocol, at_most: f64) -> Experiment {
    Experiment {
        protocol,
        contestants: vec![Sparkler, Floor],
        figures: vec![figure(CpuPerToken, Some(Floor), Some(Aim::AtMost(at_most)))],
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
        rounds: effort.rounds(3),
        contestants: vec![Sparkler, Floor, Nginx],
        figures: vec![
            figure(CpuPerToken, Some(Nginx), Some(Aim::Times(1.0))),
            figure(MemoryPerStream, Some(Nginx), Some(Aim::AtMost(30.0))),
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
        rounds: effort.rounds(5),
        contestants: vec![Direct, Sparkler, Floor, Nginx],
        figures: vec![
            figure(FirstTokenLater, None, Some(Aim::AtMost(0.75))),
            // A delayed acknowledgement takes 40.
            figure(FirstTokenLaterP99, None, Some(Aim::AtMost(35.0))),
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

/// The same call through what users would pick instead.
fn peers_whole(effort: Effort) -> Experiment {
    Experiment {
        contestants: vec![Sparkler, Nginx, VllmRouter, LiteLlm],
        figures: vec![figure(CpuPerAnswer, Some(Sparkler), None)],
        ..throughput(
            effort,
            "Peers: answer not cached, 64 at a time".to_owned(),
            Call::Whole,
            64,
            Answer::at_once(200, 200),
        )
    }
}

/// The same hit; of the peers only LiteLLM has a cache.
fn peers_hit(effort: Effort) -> Experiment {
    Experiment {
        contestants: vec![Sparkler, LiteLlm],
        figures: vec![figure(CpuPerAnswer, Some(Sparkler), None)],
        ..throughput(
            effort,
            "Peers: answer cached (vllm-router has no cache), 64 at a time".to_owned(),
            Call::Hit,
            64,
            Answer::at_once(200, 200),
        )
    }
}

/// The same stream.
fn peers_burst(effort: Effort) -> Experiment {
    Experiment {
        contestants: vec![Sparkler, Nginx, VllmRouter, LiteLlm],
        figures: vec![figure(CpuPerToken, Some(Sparkler), None)],
        ..throughput(
            effort,
            "Peers: 200 tokens at once, 16 streams".to_owned(),
            Call::Stream,
            16,
            Answer::at_once(200, 1),
        )
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
        rounds: effort.rounds(5),
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
