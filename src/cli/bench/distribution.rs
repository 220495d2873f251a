//! A distribution of measured values, and its percentiles by nearest rank: each is a
//! value that was measured, with no assumption about those in between.

/// Values in ascending order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Distribution(Vec<f64>);

impl Distribution {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn mean(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "no benchmark has 2^53 requests")]
        let count = self.0.len() as f64;
        (count > 0.0).then(|| self.0.iter().sum::<f64>() / count)
    }

    /// Returns the smallest value that at least `percent` of all do not exceed.
    pub(super) fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied()
    }
}

impl FromIterator<f64> for Distribution {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Distribution {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Distribution(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_value_at_its_nearest_rank() {
        // The example of the definition's usual source.
        let five: Distribution = [50.0, 15.0, 40.0, 20.0, 35.0].into_iter().collect();
        for (percent, value) in [(5, 15.0), (30, 20.0), (40, 20.0), (50, 35.0), (100, 50.0)] {
            assert_eq!(five.percentile(percent), Some(value), "{percent}");
        }
        let hundred: Distribution = (1..=100).map(f64::from).collect();
        assert_eq!(hundred.percentile(99), Some(99.0));
        assert_eq!(hundred.mean(), Some(50.5));
    }

    #[test]
    fn nothing_has_no_percentile() {
        let nothing = Distribution::default();
        assert_eq!((nothing.percentile(50), nothing.mean()), (None, None));
    }
}
