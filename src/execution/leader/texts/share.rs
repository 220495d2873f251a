//! Divides the answer of a batch among its texts: a vector and a share of the tokens each.

use std::sync::Arc;

use crate::{
    error::Error,
    event::{Embeddings, Finish, Usage},
    flight::Failure,
    recording::Recording,
};

/// The lengths of a batch's texts, in order.
#[derive(Debug, Clone)]
pub(super) struct TextShares(Arc<[usize]>);

impl TextShares {
    pub(super) fn new(lengths: Arc<[usize]>) -> TextShares {
        TextShares(lengths)
    }

    /// Returns true if a share is an estimate, since the tokens of several texts were
    /// counted together.
    pub(super) fn are_estimated(&self) -> bool {
        self.0.len() > 1
    }

    /// Returns the share of one text: in proportion to its length, and so that the
    /// shares of all texts sum to `tokens` exactly.
    pub(super) fn of(&self, place: usize, tokens: u64) -> u64 {
        let sum = |lengths: &[usize]| lengths.iter().map(|length| *length as u128).sum::<u128>();
        let (whole, before) = (sum(&self.0).max(1), sum(&self.0[..place]));
        let until = |length: u128| u128::from(tokens) * length / whole;
        (until(before + self.0[place] as u128) - until(before)) as u64
    }
}

/// The part of a batch that belongs to one text.
#[derive(Debug)]
pub(super) struct TextPart {
    /// The position of the text in the batch.
    pub(super) place: usize,
    pub(super) shares: TextShares,
}

impl TextPart {
    /// Returns the finish of the text, from the recording of the batch.
    pub(super) fn finish(&self, recording: &Recording) -> Result<Finish, Failure> {
        let answer = &recording.finish;
        let vectors = answer.embeddings.as_ref().map(|embeddings| &embeddings.vectors);
        let Some(vector) = vectors.and_then(|vectors| vectors.get(self.place)) else {
            return Err(Failure::from(Error::Internal("a batch has no vector for a text")));
        };
        Ok(Finish {
            usage: answer.usage.map(|usage| self.share(usage)),
            model: answer.model.clone(),
            provider_request_id: answer.provider_request_id.clone(),
            embeddings: Some(Embeddings {
                vectors: vec![vector.clone()],
                estimated: self.shares.are_estimated(),
                ..Embeddings::default()
            }),
            ..Finish::default()
        })
    }

    /// Returns the text's share of the batch's usage.
    pub(super) fn share(&self, usage: Usage) -> Usage {
        match usage.prompt_tokens {
            Some(tokens) if self.shares.are_estimated() => {
                Usage::of_prompt(self.shares.of(self.place, tokens))
            }
            _ => usage,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_shares_of_a_batch_sum_to_its_tokens(
            lengths in prop::collection::vec(1_usize..10_000, 1..50),
            tokens in 0_u64..1_000_000,
        ) {
            let count = lengths.len();
            let shares = TextShares::new(lengths.into());
            let sum: u64 = (0..count).map(|place| shares.of(place, tokens)).sum();
            prop_assert_eq!(sum, tokens);
        }
    }

    #[test]
    fn a_text_alone_has_all_tokens_and_no_estimate() {
        let shares = TextShares::new([3].into());
        assert_eq!((shares.of(0, 17), shares.are_estimated()), (17, false));
        let shares = TextShares::new([100, 300].into());
        assert_eq!((shares.of(0, 8), shares.of(1, 8), shares.are_estimated()), (2, 6, true));
    }
}
