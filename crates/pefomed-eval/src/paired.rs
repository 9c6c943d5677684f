//! Two systems on the same items, in a score that is no mean over items: BLEU, METEOR, F1.
//!
//! Such a score follows from sums over items. The interval resamples whole groups, with both systems'
//! sums by the same draw; the p-value swaps the two systems' sums within whole groups at random
//! (approximate randomisation, Noreen 1989; Riezler & Maxwell 2005 for such scores). In both the scores
//! are computed anew from the sums.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::bootstrap::{BootstrapOptions, Coins, Estimate, below};
use crate::compare::Difference;

/// Sums of two systems for every group, in the order of the groups' names.
pub(crate) struct PairedTotals<const K: usize> {
    groups: Vec<Group<K>>,
}

#[derive(Clone, Copy)]
struct Group<const K: usize> {
    items: f64,
    a: [f64; K],
    b: [f64; K],
}

impl<const K: usize> Group<K> {
    const EMPTY: Self = Self { items: 0.0, a: [0.0; K], b: [0.0; K] };

    fn add(&mut self, other: &Self) {
        self.items += other.items;
        add(&mut self.a, &other.a);
        add(&mut self.b, &other.b);
    }
}

fn add<const K: usize>(sums: &mut [f64; K], more: &[f64; K]) {
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

impl<const K: usize> PairedTotals<K> {
    /// Adds up items given as (group, sums of A, sums of B).
    pub(crate) fn new<'a>(items: impl IntoIterator<Item = (&'a str, [f64; K], [f64; K])>) -> Self {
        let mut groups: BTreeMap<&str, Group<K>> = BTreeMap::new();
        for (group, a, b) in items {
            groups.entry(group).or_insert(Group::EMPTY).add(&Group { items: 1.0, a, b });
        }
        Self { groups: groups.into_values().collect() }
    }

    fn total<'g>(groups: impl Iterator<Item = &'g Group<K>>) -> Group<K>
    where
        Group<K>: 'g,
    {
        let mut total = Group::EMPTY;
        for group in groups {
            total.add(group);
        }
        total
    }

    /// Scores of both systems and their differences, B less A. `statistic` makes scores from a number
    /// of items and their sums; a score that it leaves undefined for either system is none. Resamples that
    /// leave it undefined are passed over, swaps that do count as at least as extreme.
    pub(crate) fn differences<const M: usize>(
        &self,
        options: &BootstrapOptions,
        permutations: usize,
        statistic: impl Fn(f64, &[f64; K]) -> [Option<f64>; M] + Sync,
    ) -> [Option<Difference>; M] {
        let total = Self::total(self.groups.iter());
        let (a, b) = (statistic(total.items, &total.a), statistic(total.items, &total.b));
        let observed: [Option<f64>; M] = std::array::from_fn(|k| Some(b[k]? - a[k]?));
        let (draws, p_values) = rayon::join(
            || self.draws(options, &statistic),
            || self.p_values(permutations, options.seed, &observed, &statistic),
        );
        let mut draws = draws;
        std::array::from_fn(|k| {
            let mut difference = Estimate { value: observed[k]?, low: None, high: None };
            if self.groups.len() > 1 {
                difference.set_interval(&mut draws[k], options);
            }
            Some(Difference { a: a[k]?, b: b[k]?, difference, p_value: p_values[k] })
        })
    }

    fn draws<const M: usize>(
        &self,
        options: &BootstrapOptions,
        statistic: &impl Fn(f64, &[f64; K]) -> [Option<f64>; M],
    ) -> [Vec<f64>; M] {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let mut draws: [Vec<f64>; M] = std::array::from_fn(|_| Vec::new());
        let count = self.groups.len();
        for _ in 0..if count < 2 { 0 } else { options.resamples } {
            let drawn = (0..count).map(|_| &self.groups[below(&mut rng, count)]);
            let sums = Self::total(drawn);
            let (a, b) = (statistic(sums.items, &sums.a), statistic(sums.items, &sums.b));
            for (draws, (a, b)) in draws.iter_mut().zip(a.into_iter().zip(b)) {
                draws.extend(a.zip(b).map(|(a, b)| b - a));
            }
        }
        draws
    }

    fn p_values<const M: usize>(
        &self,
        permutations: usize,
        seed: u64,
        observed: &[Option<f64>; M],
        statistic: &impl Fn(f64, &[f64; K]) -> [Option<f64>; M],
    ) -> [f64; M] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let whole = Self::total(self.groups.iter());
        let mut at_least = [1_usize; M];
        for _ in 0..permutations {
            // What one side gets the other does not: one sum gives both.
            let mut a = [0.0; K];
            let mut coins = Coins::new(&mut rng);
            for group in &self.groups {
                add(&mut a, if coins.toss() { &group.b } else { &group.a });
            }
            let b: [f64; K] = std::array::from_fn(|k| whole.a[k] + whole.b[k] - a[k]);
            let (a, b) = (statistic(whole.items, &a), statistic(whole.items, &b));
            for ((count, observed), (a, b)) in
                at_least.iter_mut().zip(observed).zip(a.into_iter().zip(b))
            {
                // Equal differences must count although their terms were added in another order.
                let is_extreme = match (a, b, observed) {
                    (Some(a), Some(b), Some(observed)) => (b - a).abs() >= observed.abs() - 1e-9,
                    _ => true,
                };
                *count += usize::from(is_extreme);
            }
        }
        at_least.map(|count| count as f64 / (permutations + 1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::ClusterTotals;

    #[test]
    fn for_a_mean_all_is_as_for_paired_differences() {
        let items: Vec<(String, f64, f64)> = (0..60)
            .map(|i| {
                let noise = f64::from(i * 7919 % 13) / 13.0;
                (format!("g{}", i / 3), noise, noise + f64::from(i % 5 - 1) * 0.1)
            })
            .collect();
        let options = BootstrapOptions::default();
        let paired =
            PairedTotals::new(items.iter().map(|(group, a, b)| (group.as_str(), [*a], [*b])));
        let mean = |items: f64, sums: &[f64; 1]| [(items > 0.0).then(|| sums[0] / items)];
        let [found] = paired.differences(&options, 2_000, mean);
        let found = found.unwrap();
        let totals =
            ClusterTotals::new(items.iter().map(|(group, a, b)| (group.as_str(), [b - a])));
        let [expected] = totals.estimates(&options);
        let [p_value] = totals.sign_flip_p_values(2_000, options.seed);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(found.difference.value, expected.value), "{found:?}, {expected:?}");
        assert!(close(found.difference.low.unwrap(), expected.low.unwrap()));
        assert!(close(found.difference.high.unwrap(), expected.high.unwrap()));
        // The same bits swap the same groups.
        assert!(close(found.p_value, p_value), "{} and {p_value}", found.p_value);
    }

    #[test]
    fn a_ratio_of_sums_is_compared_as_a_ratio() {
        let ratio = |_: f64, sums: &[f64; 2]| [(sums[1] > 0.0).then(|| sums[0] / sums[1])];
        // A has 1/2 and 1/2, B 2/2 and 2/2: every swap of one group makes both 3/4.
        let groups = [("a", [1.0, 2.0], [2.0, 2.0]), ("b", [1.0, 2.0], [2.0, 2.0])];
        let [found] =
            PairedTotals::new(groups).differences(&BootstrapOptions::default(), 4_000, ratio);
        let found = found.unwrap();
        assert_eq!((found.a, found.b, found.difference.value), (0.5, 1.0, 0.5));
        assert_eq!((found.difference.low, found.difference.high), (Some(0.5), Some(0.5)));
        assert!((found.p_value - 0.5).abs() < 0.03, "{}", found.p_value);
        // Not defined for B.
        let groups = [("a", [1.0, 2.0], [0.0, 0.0]), ("b", [1.0, 2.0], [0.0, 0.0])];
        let [none] = PairedTotals::new(groups).differences(&BootstrapOptions::default(), 10, ratio);
        assert!(none.is_none());
    }
}
