//! Bias and limits of agreement of two graders on one scale (Bland & Altman 1986).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::measure::{Measure, Undefined};
use super::resample::{Clusters, Interval};
use crate::bootstrap::BootstrapOptions;
use crate::grade::Scale;

/// Quantile of the normal distribution that holds 95 % between its limits.
const NORMAL_97_5: f64 = 1.959_963_984_540_054;

/// Differences of two graders, first less second, against their mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlandAltman {
    /// Mean difference.
    pub bias: Measure,
    /// Bias less 1.96 standard deviations (n − 1) of the differences.
    pub lower: Measure,
    /// Bias and 1.96 standard deviations.
    pub upper: Measure,
    /// The plot: how many items have which mean and difference, sorted.
    pub points: Vec<Point>,
}

/// Items at one place of the plot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Mean of the two grades.
    pub mean: f64,
    /// First less second.
    pub difference: f64,
    /// Items.
    pub count: usize,
}

/// Bias and limits with intervals from resampled groups. Grades that are right or wrong have a bias
/// and no limits: three possible differences are not spread like a normal variable.
pub(crate) fn bland_altman(
    pairs: &[(f64, f64)],
    scale: Scale,
    clusters: &Clusters,
    options: &BootstrapOptions,
) -> BlandAltman {
    let three = |weights: &[u32]| match limits(pairs, weights) {
        Ok(three) => three.map(Some),
        Err(_) => [None; 3],
    };
    let intervals = clusters.intervals(options, three);
    let measure = |index: usize, interval: Interval| {
        let value = limits(pairs, &clusters.once()).map(|three| three[index]);
        Measure::new(value, pairs.len(), interval)
    };
    let limit = |index: usize, interval: Interval| match scale {
        Scale::Correct => Undefined::RightOrWrong.into(),
        _ => measure(index, interval),
    };
    BlandAltman {
        bias: measure(0, intervals[0]),
        lower: limit(1, intervals[1]),
        upper: limit(2, intervals[2]),
        points: points(pairs),
    }
}

/// Bias, lower and upper limit of weighted pairs.
pub(crate) fn limits(pairs: &[(f64, f64)], weights: &[u32]) -> Result<[f64; 3], Undefined> {
    let total: f64 = weights.iter().copied().map(f64::from).sum();
    if total < 2.0 {
        return Err(Undefined::TooFewItems);
    }
    let weighted = |of: &dyn Fn(f64) -> f64| -> f64 {
        pairs.iter().zip(weights).map(|((a, b), w)| f64::from(*w) * of(a - b)).sum()
    };
    let bias = weighted(&|difference| difference) / total;
    let variance = weighted(&|difference| (difference - bias).powi(2)) / (total - 1.0);
    let half = NORMAL_97_5 * variance.sqrt();
    Ok([bias, bias - half, bias + half])
}

fn points(pairs: &[(f64, f64)]) -> Vec<Point> {
    // Means of raters carry rounding: places closer than a millionth are one.
    let place = |value: f64| (value * 1e6).round() as i64;
    let mut places: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    for (a, b) in pairs {
        *places.entry((place(f64::midpoint(*a, *b)), place(a - b))).or_default() += 1;
    }
    places
        .into_iter()
        .map(|((mean, difference), count)| Point {
            mean: mean as f64 / 1e6,
            difference: difference as f64 / 1e6,
            count,
        })
        .collect()
}

/// Bias and the lower and upper limit of agreement of pairs: the mean of the differences, first
/// less second, and 1.96 of their standard deviations to either side.
///
/// # Errors
/// [`Undefined::TooFewItems`] below two pairs.
///
/// ```
/// use pefomed_eval::agreement::limits_of_agreement;
/// let [bias, low, high] = limits_of_agreement(&[(1.0, 0.0), (2.0, 3.0), (4.0, 4.0)]).unwrap();
/// assert_eq!(bias, 0.0);
/// assert!((high - 1.96).abs() < 1e-4 && (low + high).abs() < 1e-12);
/// ```
pub fn limits_of_agreement(pairs: &[(f64, f64)]) -> Result<[f64; 3], Undefined> {
    limits(pairs, &vec![1; pairs.len()])
}
