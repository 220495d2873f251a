//! Counts calls: those under way, those abandoned, and their cost. Every call
//! holds a [`Call`], which records its end however it ends.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use crate::{
    answer::replicas::Visit,
    endpoint::Endpoint,
    model::price::Price,
    report::{Abort, Report, Seen, Times},
};

/// Maximum distinct hashes of requests, and of texts.
const DISTINCT: usize = 65_536;

/// Maximum model names that are counted; callers may invent names.
const MODELS: usize = 1024;

/// The counts, shared by all calls.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    report: watch::Sender<Report>,
    hashes: Arc<Mutex<HashSet<blake3::Hash>>>,
    texts: Arc<Mutex<HashSet<blake3::Hash>>>,
    kept_requests: usize,
}

impl Ledger {
    pub(crate) fn new(kept_requests: usize) -> Ledger {
        Ledger {
            report: watch::Sender::default(),
            hashes: Arc::default(),
            texts: Arc::default(),
            kept_requests,
        }
    }

    pub(crate) fn report(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    /// Resets the counts, except those of calls under way: they have yet to end.
    pub(crate) fn reset(&self) {
        for hashes in [&self.hashes, &self.texts] {
            hashes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        self.report.send_modify(|report| {
            *report = Report {
                calls: report.in_flight,
                in_flight: report.in_flight,
                peak_in_flight: report.in_flight,
                stalled: report.stalled,
                open_connections: report.open_connections,
                ..Report::default()
            };
        });
    }

    pub(crate) fn begin(&self, endpoint: Endpoint) -> Call {
        self.report.send_modify(|report| {
            report.calls += 1;
            *report.by_endpoint.entry(endpoint).or_default() += 1;
            report.in_flight += 1;
            report.peak_in_flight = report.peak_in_flight.max(report.in_flight);
        });
        let now = Instant::now();
        Call {
            ledger: self.clone(),
            last_write: now,
            deltas: 0,
            ended: false,
            timer: Timer::new(now),
            price: None,
        }
    }

    /// Counts a call to the account API.
    pub(crate) fn looked_up(&self) {
        self.report.send_modify(|report| report.record_calls += 1);
    }

    /// Counts an open connection, until the returned guard is dropped.
    pub(crate) fn connection(&self) -> impl Send + Sync + use<> {
        self.report.send_modify(|report| {
            report.connections += 1;
            report.open_connections += 1;
        });
        OnDrop(self.report.clone(), |report| report.open_connections -= 1)
    }
}

/// Adds hashes to those known, as long as there is room, and returns their number.
fn note(
    known: &Mutex<HashSet<blake3::Hash>>,
    hashes: impl IntoIterator<Item = blake3::Hash>,
) -> u64 {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    for hash in hashes {
        if known.len() < DISTINCT {
            known.insert(hash);
        }
    }
    u64::try_from(known.len()).unwrap_or(u64::MAX)
}

/// Applies a change to the report when dropped.
struct OnDrop(watch::Sender<Report>, fn(&mut Report));

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.send_modify(self.1);
    }
}

/// One call. Dropped before its end, it counts as abandoned by its client.
#[derive(Debug)]
pub(crate) struct Call {
    ledger: Ledger,
    last_write: Instant,
    deltas: u64,
    ended: bool,
    timer: Timer,
    /// The price of the answer's tokens, once the call is accepted.
    price: Option<Price>,
}

/// The facts of an accepted call.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Covers everything that can change the answer.
    pub(crate) hash: blake3::Hash,
    pub(crate) prompt_tokens: u32,
    pub(crate) stream: bool,
    /// The replica that serves it, and what is cached there.
    pub(crate) visit: Visit,
    pub(crate) price: Price,
}

/// The times of one answer.
#[derive(Debug)]
struct Timer {
    /// The model; none for what is no answer.
    model: Option<String>,
    begun: Instant,
    first_delta: Option<Instant>,
    last_delta: Instant,
    /// The tokens after the first delta.
    tokens: u32,
}

impl Timer {
    fn new(begun: Instant) -> Timer {
        Timer { model: None, begun, first_delta: None, last_delta: begun, tokens: 0 }
    }

    fn delta(&mut self, now: Instant, tokens: u32) {
        if self.first_delta.is_some() {
            self.tokens += tokens;
        }
        self.first_delta.get_or_insert(now);
        self.last_delta = now;
    }

    /// Adds an answer that ends now to the means of its model.
    fn add_to(&self, report: &mut Report) {
        let (Some(model), Some(first)) = (&self.model, self.first_delta) else {
            return;
        };
        if report.times.len() >= MODELS && !report.times.contains_key(model) {
            return;
        }
        let times = report.times.entry(model.clone()).or_default();
        times.answers += 1;
        let streaming = (self.last_delta - first).as_secs_f64();
        let rate = if streaming > 0.0 { f64::from(self.tokens) / streaming } else { 0.0 };
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let Times { answers, first_token_ms, tokens_per_second, latency_ms } = times;
        for (mean, value) in [
            (first_token_ms, ms(first - self.begun)),
            (tokens_per_second, rate),
            (latency_ms, ms(self.begun.elapsed())),
        ] {
            *mean += (value - *mean) / *answers as f64;
        }
    }
}

impl Accepted {
    fn add_to(&self, report: &mut Report) {
        let Visit { replica, cached, by_oracle } = self.visit;
        let (prompt, cached) = (u64::from(self.prompt_tokens), u64::from(cached));
        report.oracle_cached_tokens += u64::from(by_oracle);
        report.prompt_tokens += prompt;
        report.cached_tokens += cached;
        report.streams += u64::from(self.stream);
        report.billed_dollars += self.price.prompt(self.prompt_tokens, self.visit.cached);
        *report.by_status.entry(200).or_default() += 1;
        let replica = report.by_replica.entry(replica).or_default();
        replica.calls += 1;
        replica.prompt_tokens += prompt;
        replica.cached_tokens += cached;
    }
}

impl Call {
    /// Times the answer, as one of this model.
    pub(crate) fn time(&mut self, model: &str) {
        self.timer.model = Some(model.to_owned());
    }

    pub(crate) fn seen(&self, seen: Seen, model: &str) {
        let kept = self.ledger.kept_requests;
        self.update(|report| {
            let counted = report.by_model.len() < MODELS || report.by_model.contains_key(model);
            if counted && !model.is_empty() {
                *report.by_model.entry(model.to_owned()).or_default() += 1;
            }
            report.requests.push_back(seen);
            while report.requests.len() > kept {
                report.requests.pop_front();
            }
        });
    }

    pub(crate) fn accepted(&mut self, accepted: Accepted) {
        self.price = Some(accepted.price);
        let distinct = note(&self.ledger.hashes, [accepted.hash]);
        self.update(|report| {
            report.distinct_requests = distinct;
            accepted.add_to(report);
        });
    }

    /// Counts an accepted call for embeddings, with a hash of each of its texts.
    pub(crate) fn embedding(&self, texts: Vec<blake3::Hash>, prompt: u32) {
        let count = u64::try_from(texts.len()).unwrap_or(u64::MAX);
        let distinct = note(&self.ledger.texts, texts);
        self.update(|report| {
            report.texts += count;
            report.distinct_texts = distinct;
            report.prompt_tokens += u64::from(prompt);
            *report.by_status.entry(200).or_default() += 1;
        });
    }

    pub(crate) fn wrote(&mut self, deltas: u32, tokens: u32) {
        self.last_write = Instant::now();
        if deltas > 0 {
            self.timer.delta(self.last_write, tokens);
        }
        if deltas == 0 && tokens == 0 {
            return;
        }
        self.deltas += u64::from(deltas);
        let price = self.price;
        self.update(|report| {
            report.deltas += u64::from(deltas);
            report.completion_tokens += u64::from(tokens);
            report.billed_dollars += price.map_or(0.0, |price| price.answer(tokens));
        });
    }

    /// Counts a stall, until the returned guard is dropped.
    pub(crate) fn stall(&self) -> impl Send + Sync + use<> {
        self.update(|report| report.stalled += 1);
        OnDrop(self.ledger.report.clone(), |report| report.stalled -= 1)
    }

    pub(crate) fn completed(&mut self) {
        let timer = std::mem::replace(&mut self.timer, Timer::new(self.last_write));
        self.end(|report| {
            report.completed += 1;
            timer.add_to(report);
        });
    }

    /// Ends a call that lists models: not a stream, and free.
    pub(crate) fn listed(&mut self) {
        self.end(|report| {
            report.completed += 1;
            *report.by_status.entry(200).or_default() += 1;
        });
    }

    pub(crate) fn refused(&mut self, status: u16) {
        self.end(|report| {
            report.refused += 1;
            *report.by_status.entry(status).or_default() += 1;
        });
    }

    pub(crate) fn cut(&mut self) {
        self.end(|report| report.cut += 1);
    }

    fn end(&mut self, book: impl FnOnce(&mut Report)) {
        if !self.ended {
            self.ended = true;
            self.update(|report| {
                report.in_flight -= 1;
                book(report);
            });
        }
    }

    fn update(&self, book: impl FnOnce(&mut Report)) {
        self.ledger.report.send_modify(book);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let abort = Abort {
            after_last_write_ms: self.last_write.elapsed().as_secs_f64() * 1000.0,
            deltas: self.deltas,
        };
        self.end(|report| {
            report.aborted += 1;
            report.last_abort = Some(abort);
        });
    }
}
