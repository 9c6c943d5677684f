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

    /// What every interval rests on: an item of weight w is w equal items.
    mod weights {
        use proptest::prelude::*;

        use super::super::super::{alpha, bland_altman, correlation, kappa, measure, panel};
        use alpha::{Distance, Units};
        use measure::Undefined;

        type Rows = Vec<Vec<Option<f64>>>;

        fn all(rows: &Rows, weights: &[u32]) -> Vec<Result<f64, Undefined>> {
            let units = Units::new(rows);
            let complete: Vec<(f64, f64, u32)> = rows
                .iter()
                .zip(weights)
                .filter_map(|(row, weight)| Some((row[0]?, row[1]?, *weight)))
                .collect();
            let pairs: Vec<(f64, f64)> = complete.iter().map(|(a, b, _)| (*a, *b)).collect();
            let of_pairs: Vec<u32> = complete.iter().map(|item| item.2).collect();
            let (x, y) = pairs.iter().copied().unzip();
            let crossed = kappa::Pairs::new(&pairs);
            let mut found = vec![
                units.alpha(Distance::Nominal, weights),
                units.alpha(Distance::Ordinal, weights),
                units.alpha(Distance::Interval, weights),
                kappa::pairwise_agreement(rows, weights),
                panel::mean_difference(rows, weights),
                crossed.agreement(&of_pairs),
                crossed.kappa(kappa::Weighting::Equal, &of_pairs),
                crossed.kappa(kappa::Weighting::Linear, &of_pairs),
                crossed.kappa(kappa::Weighting::Quadratic, &of_pairs),
            ];
            found.extend(correlation::Paired::new(x, y).all(&of_pairs));
            match bland_altman::limits(&pairs, &of_pairs) {
                Ok(limits) => found.extend(limits.map(Ok)),
                Err(reason) => found.push(Err(reason)),
            }
            found
        }

        proptest! {
            #[test]
            fn a_weight_is_a_number_of_copies(
                items in prop::collection::vec(
                    (prop::collection::vec(prop::option::weighted(0.85, 0_u8..5), 3), 0_u32..4),
                    1..12,
                )
            ) {
                let (rows, weights): (Rows, Vec<u32>) = items
                    .iter()
                    .map(|(row, weight)| (row.iter().map(|v| v.map(f64::from)).collect(), *weight))
                    .unzip();
                let copies: Rows = rows
                    .iter()
                    .zip(&weights)
                    .flat_map(|(row, weight)| std::iter::repeat_n(row.clone(), *weight as usize))
                    .collect();
                let weighted = all(&rows, &weights);
                let copied = all(&copies, &vec![1; copies.len()]);
                prop_assert_eq!(weighted.len(), copied.len());
                for (a, b) in weighted.into_iter().zip(copied) {
                    match (a, b) {
                        (Ok(a), Ok(b)) => prop_assert!((a - b).abs() < 1e-9, "{a} {b}"),
                        (a, b) => prop_assert_eq!(a, b),
                    }
                }
                // Fleiss' kappa chooses its items before they are drawn.
                let counts = kappa::Counts::new(&rows);
                let chosen: Rows = copies
                    .into_iter()
                    .filter(|row| row.iter().flatten().count() == counts.grades)
                    .collect();
                let alone = kappa::Counts::new(&chosen).kappa(&vec![1; chosen.len()]);
                match (counts.kappa(&weights), alone) {
                    (Ok(a), Ok(b)) => prop_assert!((a - b).abs() < 1e-9, "{a} {b}"),
                    (a, b) => prop_assert_eq!(a, b),
                }
            }
        }
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
