//! Intervals and p-values that respect clusters.
//!
//! Ten questions about one image are not ten independent observations: a model that misreads the
//! image misses several of them together. So whole groups (image or patient) are drawn, never
//! single questions. A group enters a mean only through its number of items and its sums, which
//! makes a resample as cheap as one pass over the groups.
//!
//! Every quantity draws from its own generator with the same seed: adding a label column or a
//! metric changes no other interval. Integers are drawn here rather than by the random library's
//! range functions, whose algorithm may change from version to version.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::EvalError;

/// How intervals are made.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BootstrapOptions {
    /// Number of resamples; 2,000 by default.
    pub resamples: usize,
    /// Coverage of the interval, above 0 and below 1; 0.95 by default.
    pub level: f64,
    /// Seed of the generator.
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { resamples: 2_000, level: 0.95, seed: 0 }
    }
}

impl BootstrapOptions {
    /// Refuses values that no interval can be made with.
    pub(crate) fn check(&self) -> Result<(), EvalError> {
        if self.resamples < 2 || self.resamples > 1_000_000 {
            return Err(EvalError::Option {
                option: "resamples",
                value: self.resamples.to_string(),
                remedy: "use a number from 2 to 1,000,000; 2,000 is usual",
            });
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(EvalError::Option {
                option: "level",
                value: self.level.to_string(),
                remedy: "use a fraction between 0 and 1, such as 0.95",
            });
        }
        Ok(())
    }
}

/// A mean with its percentile interval; for scores a fraction between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean over items.
    pub value: f64,
    /// Lower end of the interval; absent with fewer than two groups, which show no variation.
    pub low: Option<f64>,
    /// Upper end of the interval.
    pub high: Option<f64>,
}

impl Estimate {
    /// Takes the percentile interval from resampled values, which are sorted; none when more than half
    /// of the resamples had no value.
    pub(crate) fn set_interval(&mut self, draws: &mut [f64], options: &BootstrapOptions) {
        if 2 * draws.len() < options.resamples {
            return;
        }
        draws.sort_by(f64::total_cmp);
        let tail = (1.0 - options.level) / 2.0;
        self.low = Some(quantile(draws, tail));
        self.high = Some(quantile(draws, 1.0 - tail));
    }
}

/// Number of items and sum of `K` scores of every group, in the order of the groups' names.
#[derive(Clone, Debug)]
pub(crate) struct ClusterTotals<const K: usize> {
    items: usize,
    groups: Vec<(f64, [f64; K])>,
}

impl<const K: usize> ClusterTotals<K> {
    /// Adds up items given as (group, scores); their order does not matter beyond rounding.
    pub(crate) fn new<'a>(items: impl IntoIterator<Item = (&'a str, [f64; K])>) -> Self {
        let mut groups: BTreeMap<&str, (f64, [f64; K])> = BTreeMap::new();
        let mut count = 0;
        for (group, scores) in items {
            let total = groups.entry(group).or_insert((0.0, [0.0; K]));
            total.0 += 1.0;
            for (sum, score) in total.1.iter_mut().zip(scores) {
                *sum += score;
            }
            count += 1;
        }
        Self { items: count, groups: groups.into_values().collect() }
    }

    /// Number of items.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// Number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The means with percentile intervals over resampled groups.
    pub(crate) fn estimates(&self, options: &BootstrapOptions) -> [Estimate; K] {
        self.estimates_of(options, means_of)
    }

    /// The sums over all groups.
    pub(crate) fn sums(&self) -> [f64; K] {
        total(self.groups.iter()).1
    }

    /// Any function of the number of items and the sums, such as a ratio of sums, with percentile
    /// intervals over resampled groups: every resample computes it anew from its own sums.
    pub(crate) fn estimates_of<const M: usize>(
        &self,
        options: &BootstrapOptions,
        statistic: impl Fn(f64, &[f64; K]) -> [f64; M],
    ) -> [Estimate; M] {
        let estimates = self.defined_estimates_of(options, |n, sums| statistic(n, sums).map(Some));
        estimates.map(|estimate| estimate.unwrap_or(Estimate { value: 0.0, low: None, high: None }))
    }

    /// [`Self::estimates_of`] a function that some sums leave undefined, such as a ratio to a sum that
    /// may be 0: none where it is not defined for all items. Resamples that leave it undefined are
    /// passed over; where those are more than half there is no interval.
    pub(crate) fn defined_estimates_of<const M: usize>(
        &self,
        options: &BootstrapOptions,
        statistic: impl Fn(f64, &[f64; K]) -> [Option<f64>; M],
    ) -> [Option<Estimate>; M] {
        let (items, sums) = total(self.groups.iter());
        let values = statistic(items, &sums);
        let mut estimates =
            values.map(|value| Some(Estimate { value: value?, low: None, high: None }));
        if self.groups.len() < 2 {
            return estimates;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let mut draws: [Vec<f64>; M] =
            std::array::from_fn(|_| Vec::with_capacity(options.resamples));
        for _ in 0..options.resamples {
            let (items, sums) = total(
                (0..self.groups.len()).map(|_| &self.groups[below(&mut rng, self.groups.len())]),
            );
            for (draws, value) in draws.iter_mut().zip(statistic(items, &sums)) {
                draws.extend(value);
            }
        }
        for (estimate, draws) in estimates.iter_mut().zip(&mut draws) {
            if let Some(estimate) = estimate {
                estimate.set_interval(draws, options);
            }
        }
        estimates
    }

    /// Two-sided p-value of each mean being 0, by approximate randomisation: the sign of all of a
    /// group's scores flips together, at random. For paired differences this swaps the two systems
    /// within a group. The observed assignment counts as one, so the value is never 0
    /// (Phipson & Smyth 2010).
    pub(crate) fn sign_flip_p_values(&self, permutations: usize, seed: u64) -> [f64; K] {
        let total = |sums: &mut dyn Iterator<Item = [f64; K]>| {
            let mut total = [0.0; K];
            for sums in sums {
                for (total, sum) in total.iter_mut().zip(sums) {
                    *total += sum;
                }
            }
            total
        };
        let observed = total(&mut self.groups.iter().map(|group| group.1));
        let mut at_least = [1_usize; K];
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..permutations {
            let mut coins = Coins::new(&mut rng);
            let flipped = total(&mut self.groups.iter().map(|group| {
                let sign = if coins.toss() { -1.0 } else { 1.0 };
                group.1.map(|sum| sign * sum)
            }));
            for ((count, flipped), observed) in at_least.iter_mut().zip(flipped).zip(observed) {
                // Equal sums must count although their terms were added with other signs.
                *count += usize::from(flipped.abs() >= observed.abs() - 1e-9);
            }
        }
        at_least.map(|count| count as f64 / (permutations + 1) as f64)
    }
}

/// Fair coins, 64 of one random number.
pub(crate) struct Coins<'a> {
    rng: &'a mut ChaCha8Rng,
    bits: u64,
    left: u32,
}

impl<'a> Coins<'a> {
    pub(crate) fn new(rng: &'a mut ChaCha8Rng) -> Self {
        Self { rng, bits: 0, left: 0 }
    }

    pub(crate) fn toss(&mut self) -> bool {
        if self.left == 0 {
            (self.bits, self.left) = (self.rng.next_u64(), 64);
        }
        let coin = self.bits & 1 == 1;
        (self.bits, self.left) = (self.bits >> 1, self.left - 1);
        coin
    }
}

/// Number of items and sums of some groups.
fn total<'a, const K: usize>(groups: impl Iterator<Item = &'a (f64, [f64; K])>) -> (f64, [f64; K]) {
    let mut items = 0.0;
    let mut total = [0.0; K];
    for (count, sums) in groups {
        items += count;
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += sum;
        }
    }
    (items, total)
}

fn means_of<const K: usize>(items: f64, sums: &[f64; K]) -> [f64; K] {
    sums.map(|sum| if items > 0.0 { sum / items } else { 0.0 })
}

/// An unbiased draw from `0..n` (Lemire 2019, "Fast random integer generation in an interval").
pub(crate) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    let n = n as u32;
    let rejected_below = n.wrapping_neg() % n;
    loop {
        let product = u64::from(rng.next_u32()) * u64::from(n);
        if product as u32 >= rejected_below {
            return (product >> 32) as usize;
        }
    }
}

/// Quantile of sorted values with linear interpolation between order statistics (type 7 of
/// Hyndman & Fan 1996, the default of NumPy and R).
pub(crate) fn quantile(sorted: &[f64], at: f64) -> f64 {
    let position = at * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bernoulli items, `size` a group, with a group effect of ±`effect` on the probability.
    fn sample(groups: usize, size: usize, effect: f64, seed: u64) -> Vec<(String, f64)> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = move || f64::from(rng.next_u32()) / 4_294_967_296.0;
        let mut items = Vec::new();
        for group in 0..groups {
            let p = if uniform() < 0.5 { 0.6 - effect } else { 0.6 + effect };
            for _ in 0..size {
                items.push((format!("g{group}"), f64::from(u8::from(uniform() < p))));
            }
        }
        items
    }

    fn estimate(items: &[(String, f64)], options: &BootstrapOptions) -> Estimate {
        let totals = ClusterTotals::new(items.iter().map(|(group, x)| (group.as_str(), [*x])));
        totals.estimates(options)[0]
    }

    #[test]
    fn quantiles_interpolate_as_numpy_does() {
        // numpy.quantile([1, 2, 4, 8], [0.025, 0.5, 0.9]) = [1.075, 3, 6.8]
        for (at, expected) in [(0.025, 1.075), (0.5, 3.0), (0.9, 6.8), (0.0, 1.0), (1.0, 8.0)] {
            assert!((quantile(&[1.0, 2.0, 4.0, 8.0], at) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn draws_are_uniform() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7)] += 1;
        }
        // Six standard deviations of a binomial count.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 560), "{counts:?}");
    }

    #[test]
    fn the_interval_covers_the_truth_about_as_often_as_it_says() {
        let options = BootstrapOptions { resamples: 400, ..Default::default() };
        let runs = 300;
        let covered = (0..runs)
            .filter(|seed| {
                let interval = estimate(&sample(60, 5, 0.25, *seed), &options);
                interval.low.unwrap() <= 0.6 && 0.6 <= interval.high.unwrap()
            })
            .count();
        // 95 % of 300 is 285; a percentile interval of 60 clusters is a little short.
        assert!((270..=297).contains(&covered), "{covered} of {runs}");
    }

    #[test]
    fn the_interval_of_independent_items_is_that_of_the_binomial() {
        let items: Vec<_> =
            (0..400).map(|i| (format!("g{i}"), f64::from(u8::from(i % 5 < 3)))).collect();
        let interval = estimate(&items, &BootstrapOptions::default());
        let half = 1.96 * (0.6_f64 * 0.4 / 400.0).sqrt();
        assert_eq!(interval.value, 0.6);
        assert!((interval.low.unwrap() - (0.6 - half)).abs() < 0.006, "{interval:?}");
        assert!((interval.high.unwrap() - (0.6 + half)).abs() < 0.006, "{interval:?}");
    }

    #[test]
    fn clusters_widen_the_interval_as_the_design_effect_says() {
        // Items of a group are all alike: 40 groups of 10 carry the information of 40 items.
        let alike: Vec<_> = (0..400)
            .map(|i| (format!("g{}", i / 10), f64::from(u8::from((i / 10) % 5 < 3))))
            .collect();
        let alone: Vec<_> =
            alike.iter().enumerate().map(|(i, (_, x))| (format!("i{i}"), *x)).collect();
        let width = |items: &[(String, f64)]| {
            let interval = estimate(items, &BootstrapOptions::default());
            interval.high.unwrap() - interval.low.unwrap()
        };
        let ratio = width(&alike) / width(&alone);
        assert!((ratio - 10.0_f64.sqrt()).abs() < 0.35, "{ratio}");
    }

    #[test]
    fn a_ratio_of_sums_is_resampled_as_a_ratio() {
        // Two groups, (1, 2) and (3, 4): a resample is 1/2, 4/6 or 3/4, never the mean of ratios.
        let totals = ClusterTotals::new([("a", [1.0, 2.0]), ("b", [3.0, 4.0])]);
        let ratio = |_: f64, sums: &[f64; 2]| [sums[0] / sums[1]];
        let [estimate] = totals.estimates_of(&BootstrapOptions::default(), ratio);
        assert_eq!(estimate.value, 4.0 / 6.0);
        assert_eq!((estimate.low, estimate.high), (Some(0.5), Some(0.75)));
    }

    #[test]
    fn what_is_not_defined_has_no_value_and_no_interval() {
        let ratio = |_: f64, sums: &[f64; 2]| {
            [(sums[1] > 0.0).then(|| sums[0] / sums[1]), (sums[0] > 9.0).then_some(1.0)]
        };
        let options = BootstrapOptions::default();
        // Only one of two groups has anything to divide by: a quarter of the resamples miss it.
        let totals = ClusterTotals::new([("a", [1.0, 2.0]), ("b", [0.0, 0.0])]);
        let [some, never] = totals.defined_estimates_of(&options, ratio);
        assert_eq!(some, Some(Estimate { value: 0.5, low: Some(0.5), high: Some(0.5) }));
        assert_eq!(never, None);
        // Defined only when each of three groups is drawn once, as two resamples of nine are.
        let each = [("a", [1.0, 0.0, 0.0]), ("b", [0.0, 1.0, 0.0]), ("c", [0.0, 0.0, 1.0])];
        let whole = |_: f64, sums: &[f64; 3]| [(*sums == [1.0; 3]).then_some(1.0)];
        let [rarely] = ClusterTotals::new(each).defined_estimates_of(&options, whole);
        assert_eq!(rarely, Some(Estimate { value: 1.0, low: None, high: None }));
    }

    #[test]
    fn one_group_has_a_value_but_no_interval() {
        let items = vec![("only".to_owned(), 1.0), ("only".to_owned(), 0.0)];
        let interval = estimate(&items, &BootstrapOptions::default());
        assert_eq!(interval, Estimate { value: 0.5, low: None, high: None });
    }

    #[test]
    fn the_order_of_rows_changes_nothing() {
        let items = sample(30, 4, 0.2, 9);
        let reversed: Vec<_> = items.iter().rev().cloned().collect();
        let options = BootstrapOptions::default();
        assert_eq!(estimate(&items, &options), estimate(&reversed, &options));
    }

    #[test]
    fn p_values_are_those_of_the_exact_sign_test() {
        // Eight groups that all differ by +1: only all-plus and all-minus are as extreme, so the
        // exact value is 2/256.
        let totals =
            ClusterTotals::new(["a", "b", "c", "d", "e", "f", "g", "h"].map(|g| (g, [1.0])));
        let [p] = totals.sign_flip_p_values(20_000, 1);
        assert!((p - 2.0 / 256.0).abs() < 0.002, "{p}");
        let [none] = ClusterTotals::new([("a", [1.0]), ("b", [-1.0])]).sign_flip_p_values(999, 1);
        assert_eq!(none, 1.0);
    }

    #[test]
    fn options_without_sense_are_refused() {
        for (resamples, level) in [(0, 0.95), (2_000, 0.0), (2_000, 1.0), (2_000, f64::NAN)] {
            let options = BootstrapOptions { resamples, level, seed: 0 };
            assert!(options.check().is_err(), "{options:?}");
        }
        assert!(BootstrapOptions::default().check().is_ok());
    }
}
