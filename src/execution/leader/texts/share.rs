//! Divides the tokens of a batch among its texts.

use std::sync::Arc;

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
