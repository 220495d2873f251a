//! The answers of an execution's texts, as far as they are there.

use bytes::Bytes;

use super::{firsts, text::AnsweredText, worse};
use crate::execution::{Services, response::CacheStatus};
use crate::{
    error::Error,
    event::{Embeddings, Finish, TextSources, Usage},
    flight::{Failure, Stored},
    node::Texts,
    recording::Recording,
};

/// The answers so far.
#[derive(Debug)]
pub(super) struct Collected {
    /// For each text, the position of the first equal one.
    firsts: Vec<usize>,
    /// The vectors of distinct texts, by the position of the first; empty if missing.
    vectors: Vec<Bytes>,
    bytes: usize,
    /// Maximum size of all vectors, in bytes.
    limit_bytes: usize,
    sources: TextSources,
    estimated: bool,
    /// Tokens of all distinct texts; `None` once a count is unknown.
    tokens: Option<u64>,
    /// Tokens of the texts that this execution requested, likewise.
    paid_tokens: Option<u64>,
    /// Tokens of its requests that failed, as far as known.
    lost_tokens: Option<u64>,
    stored: Option<Stored>,
    model: Option<String>,
    provider_request_id: Option<String>,
}

impl Collected {
    pub(super) fn new(texts: &Texts, limit_bytes: usize) -> Collected {
        let firsts = firsts(texts);
        Collected {
            vectors: vec![Bytes::new(); firsts.len()],
            firsts,
            bytes: 0,
            limit_bytes,
            sources: TextSources::default(),
            estimated: false,
            tokens: Some(0),
            paid_tokens: Some(0),
            lost_tokens: None,
            stored: None,
            model: None,
            provider_request_id: None,
        }
    }

    /// Returns the positions of the distinct texts.
    pub(super) fn distinct(&self) -> Vec<usize> {
        let firsts = self.firsts.iter().enumerate();
        firsts
            .filter(|(position, first)| position == *first)
            .map(|(position, _)| position)
            .collect()
    }

    /// Returns the size of the distinct vectors so far, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the result of storing the texts that were requested: the first one that
    /// was not stored counts.
    pub(super) fn stored(&self) -> Stored {
        self.stored.unwrap_or(Stored::Stored)
    }

    /// Adds a text from the cache.
    pub(super) fn cached(&mut self, position: usize, recording: &Recording) -> Result<(), Failure> {
        self.sources.cached += 1;
        self.estimated |= is_estimated(recording);
        self.take(position, recording)
    }

    /// Adds the answer of a text's flight.
    pub(super) fn answered(
        &mut self,
        services: &Services,
        position: usize,
        text: AnsweredText,
    ) -> Result<(), Failure> {
        let AnsweredText { recording, status, stored, storage, is_gathered } = text;
        match status {
            CacheStatus::Hit => self.sources.cached += 1,
            CacheStatus::Joined => self.sources.joined += 1,
            _ => self.sources.executed += 1,
        }
        if status.pays() {
            let tokens = tokens(&recording);
            self.paid_tokens = self.paid_tokens.zip(tokens).map(|(sum, tokens)| sum + tokens);
            self.model.clone_from(&recording.finish.model);
            self.provider_request_id.clone_from(&recording.finish.provider_request_id);
            // The shares of other executions' texts are not counted here.
            self.estimated |= is_gathered;
        } else {
            self.estimated |= is_estimated(&recording);
        }
        if status != CacheStatus::Hit
            && let Some(storage) = storage
        {
            let stored = storage.store_for(services, &recording, stored);
            self.stored = Some(self.stored.map_or(stored, |earlier| worse(earlier, stored)));
        }
        self.take(position, &recording)
    }

    fn take(&mut self, position: usize, recording: &Recording) -> Result<(), Failure> {
        let vectors = recording.finish.embeddings.as_ref().map(|embeddings| &*embeddings.vectors);
        let Some([vector]) = vectors else {
            return Err(Failure::from(Error::Internal("a text was recorded without its vector")));
        };
        self.bytes += vector.len();
        self.vectors[position] = vector.clone();
        let tokens = tokens(recording);
        self.tokens = self.tokens.zip(tokens).map(|(sum, tokens)| sum.saturating_add(tokens));
        let model = || recording.finish.model.clone();
        self.model = self.model.take().or_else(model);
        match self.bytes > self.limit_bytes {
            true => Err(Failure::from(Error::OutputTooLarge { limit_bytes: self.limit_bytes })),
            false => Ok(()),
        }
    }

    /// Adds the tokens of a text whose request failed.
    pub(super) fn lost(&mut self, failure: &Failure) {
        if let Some(lost) = failure.usage.and_then(|usage| usage.prompt_tokens) {
            self.lost_tokens = Some(self.lost_tokens.unwrap_or(0).saturating_add(lost));
        }
    }

    /// Returns the failure of the execution, with the tokens that it has paid for.
    pub(super) fn failed(&self, error: Error) -> Failure {
        let paid = self.paid_tokens.filter(|_| self.sources.executed > 0);
        let tokens = match (self.lost_tokens, paid) {
            (Some(lost), Some(paid)) => Some(lost.saturating_add(paid)),
            (lost, paid) => lost.or(paid),
        };
        Failure { error, usage: tokens.map(Usage::of_prompt) }
    }

    /// Returns the finish of the execution, with a vector for each text.
    pub(super) fn finish(mut self) -> Result<Finish, Failure> {
        self.sources.repeated = (self.firsts.len() - self.distinct().len()) as u32;
        let vectors: Vec<Bytes> =
            self.firsts.iter().map(|first| self.vectors[*first].clone()).collect();
        let embeddings = Embeddings {
            vectors,
            sources: self.sources,
            paid_tokens: self.paid_tokens,
            estimated: self.estimated,
        };
        if embeddings.bytes() > self.limit_bytes {
            return Err(self.failed(Error::OutputTooLarge { limit_bytes: self.limit_bytes }));
        }
        Ok(Finish {
            usage: self.tokens.map(Usage::of_prompt),
            model: self.model,
            provider_request_id: self.provider_request_id,
            embeddings: Some(embeddings),
            ..Finish::default()
        })
    }
}

fn tokens(recording: &Recording) -> Option<u64> {
    recording.finish.usage?.prompt_tokens
}

fn is_estimated(recording: &Recording) -> bool {
    recording.finish.embeddings.as_ref().is_some_and(|embeddings| embeddings.estimated)
}
