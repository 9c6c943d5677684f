//! Agreement beyond chance on a scale with levels: Cohen's κ for two raters, Fleiss' κ for many.
//!
//! Cohen's κ and weighted κ are computed as 1 − D_o / D_e from mean disagreements of pairs, observed
//! and expected from the raters' own frequencies (Cohen 1960, 1968). With weights |a − b| or
//! (a − b)² the scale of the weights cancels. Expected disagreements are sums over levels rather
//! than over a table of all pairs of levels, so that a count of errors may be large.

use super::measure::Undefined;

/// How much a disagreement of two levels counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// Every disagreement alike: plain κ.
    Equal,
    /// By the difference of the levels.
    Linear,
    /// By its square.
    Quadratic,
}

/// The grades that two raters gave to the same items.
#[derive(Clone, Debug)]
pub(crate) struct Pairs {
    levels: Vec<f64>,
    pairs: Vec<(usize, usize)>,
}

impl Pairs {
    pub(crate) fn new(pairs: &[(f64, f64)]) -> Self {
        let mut levels: Vec<f64> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        let level = |value: f64| levels.partition_point(|level| *level < value);
        let pairs = pairs.iter().map(|(a, b)| (level(*a), level(*b))).collect();
        Self { levels, pairs }
    }

    /// Share of pairs that are equal.
    pub(crate) fn agreement(&self, weights: &[u32]) -> Result<f64, Undefined> {
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        if total == 0.0 {
            return Err(Undefined::NoCommonItems);
        }
        let equal: f64 = (self.pairs.iter().zip(weights))
            .filter(|((a, b), _)| a == b)
            .map(|(_, weight)| f64::from(*weight))
            .sum();
        Ok(equal / total)
    }

    pub(crate) fn kappa(&self, weighting: Weighting, weights: &[u32]) -> Result<f64, Undefined> {
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        if total == 0.0 {
            return Err(Undefined::NoCommonItems);
        }
        let mut first = vec![0.0; self.levels.len()];
        let mut second = first.clone();
        let mut observed = 0.0;
        for ((a, b), weight) in self.pairs.iter().zip(weights) {
            let share = f64::from(*weight) / total;
            first[*a] += share;
            second[*b] += share;
            let apart = (self.levels[*a] - self.levels[*b]).abs();
            observed += share
                * match weighting {
                    Weighting::Equal => f64::from(u8::from(a != b)),
                    Weighting::Linear => apart,
                    Weighting::Quadratic => apart * apart,
                };
        }
        if first.iter().zip(&second).filter(|(p, q)| **p + **q > 0.0).count() < 2 {
            return Err(Undefined::NoVariation);
        }
        let expected = self.expected(weighting, &first, &second);
        Ok(1.0 - observed / expected)
    }

    /// Mean disagreement of independent raters with these shares of levels.
    fn expected(&self, weighting: Weighting, first: &[f64], second: &[f64]) -> f64 {
        let mean = |shares: &[f64]| -> f64 {
            self.levels.iter().zip(shares).map(|(level, share)| level * share).sum()
        };
        let spread = |shares: &[f64], mean: f64| -> f64 {
            self.levels
                .iter()
                .zip(shares)
                .map(|(level, share)| share * (level - mean).powi(2))
                .sum()
        };
        match weighting {
            Weighting::Equal => 1.0 - first.iter().zip(second).map(|(p, q)| p * q).sum::<f64>(),
            Weighting::Linear => {
                // E|X − Y| is the integral over the levels of F(1 − G) + G(1 − F).
                let (mut f, mut g, mut sum) = (0.0, 0.0, 0.0);
                for (index, pair) in self.levels.windows(2).enumerate() {
                    f += first[index];
                    g += second[index];
                    sum += (pair[1] - pair[0]) * (f * (1.0 - g) + g * (1.0 - f));
                }
                sum
            }
            Weighting::Quadratic => {
                let (x, y) = (mean(first), mean(second));
                spread(first, x) + spread(second, y) + (x - y).powi(2)
            }
        }
    }
}

/// Cohen's κ of two raters' grades of the same items, plain or weighted.
///
/// # Errors
/// [`Undefined::NoCommonItems`] without items; [`Undefined::NoVariation`] when both raters give
/// one and the same grade throughout, so that chance alone would agree fully.
///
/// ```
/// use pefomed_eval::agreement::{Weighting, cohen};
/// let pairs = [(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)];
/// assert_eq!(cohen(&pairs, Weighting::Equal), Ok(0.5));
/// ```
pub fn cohen(pairs: &[(f64, f64)], weighting: Weighting) -> Result<f64, Undefined> {
    Pairs::new(pairs).kappa(weighting, &vec![1; pairs.len()])
}

/// Items with the same number of grades, for Fleiss' κ.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// Grades for each item.
    pub(crate) grades: usize,
    levels: usize,
    /// Index of the row, and how many grades each of its levels has.
    items: Vec<(usize, Vec<(usize, usize)>)>,
}

impl Counts {
    /// Takes the items with the most common number of grades, two or more; the larger number
    /// where two are as common.
    pub(crate) fn new(rows: &[Vec<Option<f64>>]) -> Self {
        let given = |row: &Vec<Option<f64>>| row.iter().flatten().count();
        let most = rows.iter().map(given).max().unwrap_or(0);
        let grades = (2..=most)
            .max_by_key(|number| (rows.iter().filter(|row| given(row) == *number).count(), *number))
            .unwrap_or(0);
        let mut levels: Vec<f64> = rows.iter().flatten().flatten().copied().collect();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        let items = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| grades >= 2 && given(row) == grades)
            .map(|(index, row)| {
                let mut values: Vec<usize> = row
                    .iter()
                    .flatten()
                    .map(|value| levels.partition_point(|level| level < value))
                    .collect();
                values.sort_unstable();
                let counts = values.chunk_by(|a, b| a == b).map(|same| (same[0], same.len()));
                (index, counts.collect())
            })
            .collect();
        Self { grades, levels: levels.len(), items }
    }

    /// Number of items that take part.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn kappa(&self, weights: &[u32]) -> Result<f64, Undefined> {
        let m = self.grades as f64;
        let (mut total, mut agree) = (0.0, 0.0);
        let mut shares = vec![0.0; self.levels];
        for (row, counts) in &self.items {
            let weight = f64::from(weights[*row]);
            total += weight;
            for (level, count) in counts {
                let count = *count as f64;
                shares[*level] += weight * count;
                agree += weight * count * (count - 1.0);
            }
        }
        if total == 0.0 {
            return Err(Undefined::NoCommonItems);
        }
        let observed = agree / (total * m * (m - 1.0));
        let expected: f64 = shares.iter().map(|share| (share / (total * m)).powi(2)).sum();
        if shares.iter().filter(|share| **share > 0.0).count() < 2 {
            return Err(Undefined::NoVariation);
        }
        Ok((observed - expected) / (1.0 - expected))
    }
}

/// Fleiss' κ of `rows` (items) by raters (Fleiss 1971). It needs the same number of grades for
/// every item, so the items with the most common number take part; that number and how many they
/// are come with the value.
///
/// # Errors
/// [`Undefined::NoCommonItems`] when no item has two grades, [`Undefined::NoVariation`] when all
/// grades are equal.
pub fn fleiss(rows: &[Vec<Option<f64>>]) -> Result<(f64, usize, usize), Undefined> {
    let counts = Counts::new(rows);
    counts.kappa(&vec![1; rows.len()]).map(|kappa| (kappa, counts.grades, counts.len()))
}

/// Share of pairs of grades of one item that are equal, over all pairs of all items.
pub(crate) fn pairwise_agreement(
    rows: &[Vec<Option<f64>>],
    weights: &[u32],
) -> Result<f64, Undefined> {
    let (mut equal, mut pairs) = (0.0, 0.0);
    for (row, weight) in rows.iter().zip(weights) {
        let weight = f64::from(*weight);
        let values: Vec<f64> = row.iter().flatten().copied().collect();
        for (index, a) in values.iter().enumerate() {
            for b in &values[index + 1..] {
                pairs += weight;
                equal += if a == b { weight } else { 0.0 };
            }
        }
    }
    if pairs > 0.0 { Ok(equal / pairs) } else { Err(Undefined::NoCommonItems) }
}
