//! Krippendorff's α: agreement of any number of raters, with any grade missing.
//!
//! α = 1 − D_o / D_e, observed over expected disagreement, where a pair of grades of one item
//! disagrees by δ² and an item with m grades counts its pairs with weight 1 / (m − 1)
//! (K. Krippendorff, "Computing Krippendorff's alpha-reliability", 2011). Items with one grade
//! take no part. δ² is 0 or 1 for names, the squared difference for numbers, and for ordered
//! levels the squared sum of the frequencies between two levels, which is the squared difference
//! of their mid-ranks: ordinal α is interval α on mid-ranks, and that is how it is computed here.

use super::measure::Undefined;

/// How far apart two grades are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// Equal or not.
    Nominal,
    /// By how many grades of the data lie between.
    Ordinal,
    /// By the difference of the numbers.
    Interval,
}

/// The items that were graded at least twice.
#[derive(Clone, Debug)]
pub(crate) struct Units {
    levels: Vec<f64>,
    /// Index of the row, and its levels in ascending order.
    units: Vec<(usize, Vec<usize>)>,
}

impl Units {
    pub(crate) fn new(rows: &[Vec<Option<f64>>]) -> Self {
        let mut levels: Vec<f64> = rows.iter().flatten().flatten().copied().collect();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        let level = |value: f64| levels.partition_point(|level| *level < value);
        let units = rows
            .iter()
            .enumerate()
            .map(|(row, values)| {
                let mut unit: Vec<usize> = values.iter().flatten().map(|v| level(*v)).collect();
                unit.sort_unstable();
                (row, unit)
            })
            .filter(|(_, unit)| unit.len() >= 2)
            .collect();
        Self { levels, units }
    }

    /// Number of items that take part.
    pub(crate) fn len(&self) -> usize {
        self.units.len()
    }

    /// α with each row counted as often as its weight says.
    pub(crate) fn alpha(&self, distance: Distance, weights: &[u32]) -> Result<f64, Undefined> {
        let drawn = || {
            self.units
                .iter()
                .map(|(row, unit)| (f64::from(weights[*row]), unit))
                .filter(|(weight, _)| *weight > 0.0)
        };
        let mut counts = vec![0.0; self.levels.len()];
        for (weight, unit) in drawn() {
            for level in unit {
                counts[*level] += weight;
            }
        }
        let total: f64 = counts.iter().sum();
        if total == 0.0 {
            return Err(Undefined::NoCommonItems);
        }
        if counts.iter().filter(|count| **count > 0.0).count() < 2 {
            return Err(Undefined::NoVariation);
        }
        let (observed, expected) = match distance {
            Distance::Nominal => {
                let observed: f64 = drawn()
                    .map(|(weight, unit)| {
                        let size = unit.len() as f64;
                        let alike: f64 = unit
                            .chunk_by(|a, b| a == b)
                            .map(|same| (same.len() * same.len()) as f64)
                            .sum();
                        weight * (size * size - alike) / (size - 1.0)
                    })
                    .sum();
                let alike: f64 = counts.iter().map(|count| count * count).sum();
                (observed, total * total - alike)
            }
            Distance::Ordinal => squares(drawn(), &mid_ranks(&counts), &counts),
            Distance::Interval => squares(drawn(), &self.levels, &counts),
        };
        Ok(1.0 - (total - 1.0) * observed / expected)
    }
}

/// Σ of squared differences of pairs, within items (weighted by 1 / (m − 1)) and over all.
fn squares<'a>(
    drawn: impl Iterator<Item = (f64, &'a Vec<usize>)>,
    scores: &[f64],
    counts: &[f64],
) -> (f64, f64) {
    let observed = drawn
        .map(|(weight, unit)| {
            let size = unit.len() as f64;
            let mean = unit.iter().map(|level| scores[*level]).sum::<f64>() / size;
            let spread: f64 = unit.iter().map(|level| (scores[*level] - mean).powi(2)).sum();
            weight * 2.0 * size * spread / (size - 1.0)
        })
        .sum();
    let total: f64 = counts.iter().sum();
    let mean = scores.iter().zip(counts).map(|(s, n)| s * n).sum::<f64>() / total;
    let spread: f64 = scores.iter().zip(counts).map(|(s, n)| n * (s - mean).powi(2)).sum();
    (observed, 2.0 * total * spread)
}

/// Mid-rank of each level: how many grades lie below, and half of its own.
fn mid_ranks(counts: &[f64]) -> Vec<f64> {
    let mut below = 0.0;
    counts
        .iter()
        .map(|count| {
            let rank = below + count / 2.0;
            below += count;
            rank
        })
        .collect()
}

/// Krippendorff's α of `rows` (items) by raters; `None` is a grade that was not given.
///
/// # Errors
/// [`Undefined::NoCommonItems`] when no item has two grades, [`Undefined::NoVariation`] when all
/// grades of such items are equal: nothing could have been disagreed about.
///
/// ```
/// use pefomed_eval::agreement::{Distance, krippendorff};
/// let rows = [vec![Some(1.0), Some(1.0)], vec![Some(2.0), Some(2.0)], vec![Some(3.0), None]];
/// assert_eq!(krippendorff(&rows, Distance::Nominal), Ok(1.0));
/// ```
pub fn krippendorff(rows: &[Vec<Option<f64>>], distance: Distance) -> Result<f64, Undefined> {
    Units::new(rows).alpha(distance, &vec![1; rows.len()])
}
