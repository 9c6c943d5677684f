//! Intervals of any statistic, by resampling whole groups.
//!
//! [`crate::bootstrap`] is for means, which a group enters through its sums alone. A rank
//! correlation or α needs the items themselves: a resample is therefore a weight for each item, how
//! often its group was drawn, and a statistic is a function of these weights. No item is copied and
//! nothing is sorted again.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::bootstrap::{BootstrapOptions, below, quantile};

/// A percentile interval; empty where none can be made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    /// Resamples in which the statistic was undefined.
    pub(crate) lost: usize,
}

/// Which group each item belongs to; groups are numbered in the order of their names.
#[derive(Clone, Debug)]
pub(crate) struct Clusters {
    of: Vec<usize>,
    count: usize,
}

impl Clusters {
    /// One name for each item.
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let mut numbers: BTreeMap<&str, usize> = names.iter().map(|name| (*name, 0)).collect();
        for (index, number) in numbers.values_mut().enumerate() {
            *number = index;
        }
        Self { of: names.iter().map(|name| numbers[name]).collect(), count: numbers.len() }
    }

    /// Number of groups.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Weight 1 for every item: the sample itself.
    pub(crate) fn once(&self) -> Vec<u32> {
        vec![1; self.of.len()]
    }

    /// Percentile intervals of `K` statistics over the same resamples. There is none with fewer
    /// than two groups, or when a statistic is undefined in half of the resamples or more.
    pub(crate) fn intervals<const K: usize>(
        &self,
        options: &BootstrapOptions,
        mut statistics: impl FnMut(&[u32]) -> [Option<f64>; K],
    ) -> [Interval; K] {
        if self.count < 2 {
            return [Interval::default(); K];
        }
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let mut draws: [Vec<f64>; K] = std::array::from_fn(|_| Vec::new());
        let mut drawn = vec![0_u32; self.count];
        let mut weights = vec![0_u32; self.of.len()];
        for _ in 0..options.resamples {
            drawn.fill(0);
            for _ in 0..self.count {
                drawn[below(&mut rng, self.count)] += 1;
            }
            for (weight, group) in weights.iter_mut().zip(&self.of) {
                *weight = drawn[*group];
            }
            for (draws, value) in draws.iter_mut().zip(statistics(&weights)) {
                draws.extend(value.filter(|value| value.is_finite()));
            }
        }
        let tail = (1.0 - options.level) / 2.0;
        draws.map(|mut draws| {
            let lost = options.resamples - draws.len();
            if draws.len() <= options.resamples / 2 {
                return Interval { lost, ..Interval::default() };
            }
            draws.sort_by(f64::total_cmp);
            let (low, high) = (quantile(&draws, tail), quantile(&draws, 1.0 - tail));
            Interval { low: Some(low), high: Some(high), lost }
        })
    }

    /// The interval of one statistic.
    pub(crate) fn interval(
        &self,
        options: &BootstrapOptions,
        mut statistic: impl FnMut(&[u32]) -> Option<f64>,
    ) -> Interval {
        let [interval] = self.intervals(options, |weights| [statistic(weights)]);
        interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::ClusterTotals;

    #[test]
    fn a_mean_by_weights_has_the_interval_of_a_mean_by_sums() {
        let items: Vec<(String, f64)> =
            (0..60).map(|i| (format!("g{}", i % 13), f64::from(i * i % 7))).collect();
        let options = BootstrapOptions { resamples: 500, ..Default::default() };
        let clusters = Clusters::new(items.iter().map(|(group, _)| group.as_str()));
        let interval = clusters.interval(&options, |weights| {
            let total: f64 = items.iter().zip(weights).map(|(x, w)| x.1 * f64::from(*w)).sum();
            Some(total / f64::from(weights.iter().sum::<u32>()))
        });
        let sums = ClusterTotals::new(items.iter().map(|(group, x)| (group.as_str(), [*x])));
        let expected = sums.estimates(&options)[0];
        assert!((interval.low.unwrap() - expected.low.unwrap()).abs() < 1e-12);
        assert!((interval.high.unwrap() - expected.high.unwrap()).abs() < 1e-12);
    }

    #[test]
    fn a_statistic_that_is_mostly_undefined_has_no_interval() {
        let clusters = Clusters::new(["a", "b", "c"]);
        let options = BootstrapOptions { resamples: 200, ..Default::default() };
        let never = clusters.interval(&options, |_| None);
        assert_eq!(never, Interval { low: None, high: None, lost: 200 });
        let one = Clusters::new(["a", "a"]).interval(&options, |_| Some(1.0));
        assert_eq!(one, Interval::default());
    }
}
