//! Kendall's τ-b, Spearman's ρ and Pearson's r of two graders of the same items.
//!
//! Grades have few levels, so ties are the rule: τ-b takes them out of the denominator on either
//! side (Kendall 1945), ρ is Pearson's r of mid-ranks. Items carry whole weights, which is how a
//! resample is told; an item of weight 2 is two equal items. Levels are sorted once, and a resample
//! costs one pass: concordant pairs are counted with a Fenwick tree (Knight 1966 sorts instead).

use super::measure::Undefined;

/// The fewest items for which a correlation says anything: through two points there is always a
/// line.
const FEWEST: u64 = 3;

/// Two grades of the same items, made ready for counting.
#[derive(Clone, Debug)]
pub(crate) struct Paired {
    x: Side,
    y: Side,
    /// Items by ascending `x`.
    order: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Side {
    values: Vec<f64>,
    /// Rank of the value among the distinct ones.
    level: Vec<usize>,
    levels: usize,
}

impl Side {
    fn new(values: Vec<f64>) -> Self {
        let mut distinct = values.clone();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        let level = values.iter().map(|v| distinct.partition_point(|d| d < v)).collect();
        Self { values, level, levels: distinct.len() }
    }

    fn counts(&self, weights: &[u32]) -> Vec<u64> {
        let mut counts = vec![0; self.levels];
        for (level, weight) in self.level.iter().zip(weights) {
            counts[*level] += u64::from(*weight);
        }
        counts
    }
}

/// Twice the mid-rank of each level, less one: whole numbers.
fn mid_ranks(counts: &[u64]) -> Vec<f64> {
    let mut below = 0;
    counts
        .iter()
        .map(|count| {
            let rank = 2 * below + count;
            below += count;
            rank as f64
        })
        .collect()
}

impl Paired {
    pub(crate) fn new(x: Vec<f64>, y: Vec<f64>) -> Self {
        let (x, y) = (Side::new(x), Side::new(y));
        let mut order: Vec<usize> = (0..x.level.len()).collect();
        order.sort_by_key(|item| x.level[*item]);
        Self { x, y, order }
    }

    /// Kendall's τ-b, Spearman's ρ, Pearson's r.
    pub(crate) fn all(&self, weights: &[u32]) -> [Result<f64, Undefined>; 3] {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        if total < FEWEST {
            return [Err(Undefined::TooFewItems); 3];
        }
        let (in_x, in_y) = (self.x.counts(weights), self.y.counts(weights));
        let (rank_x, rank_y) = (mid_ranks(&in_x), mid_ranks(&in_y));
        let ranks = weights.iter().enumerate().map(|(item, weight)| {
            (rank_x[self.x.level[item]], rank_y[self.y.level[item]], f64::from(*weight))
        });
        let values = weights
            .iter()
            .enumerate()
            .map(|(item, weight)| (self.x.values[item], self.y.values[item], f64::from(*weight)));
        [self.kendall(weights, &in_x, &in_y), product_moment(ranks), product_moment(values)]
    }

    fn kendall(&self, weights: &[u32], in_x: &[u64], in_y: &[u64]) -> Result<f64, Undefined> {
        let pairs = |count: u64| count as f64 * (count as f64 - 1.0).max(0.0) / 2.0;
        let tied = |counts: &[u64]| counts.iter().map(|count| pairs(*count)).sum::<f64>();
        let all = pairs(in_x.iter().sum());
        let by = (all - tied(in_x)) * (all - tied(in_y));
        if by <= 0.0 {
            return Err(Undefined::NoVariation);
        }
        let mut tree = vec![0_u64; self.y.levels + 1];
        let (mut seen, mut score) = (0_u64, 0_i64);
        for same in self.order.chunk_by(|a, b| self.x.level[*a] == self.x.level[*b]) {
            // Against all items with a smaller x: those with a smaller y agree, larger ones do not.
            for item in same.iter().filter(|item| weights[**item] > 0) {
                let level = self.y.level[*item];
                let (below, to) = (sum(&tree, level), sum(&tree, level + 1));
                score += i64::from(weights[*item]) * (below as i64 - (seen - to) as i64);
            }
            for item in same.iter().filter(|item| weights[**item] > 0) {
                let weight = u64::from(weights[*item]);
                add(&mut tree, self.y.level[*item], weight);
                seen += weight;
            }
        }
        Ok(score as f64 / by.sqrt())
    }
}

/// Sum of the first `count` entries of a Fenwick tree.
fn sum(tree: &[u64], mut count: usize) -> u64 {
    let mut sum = 0;
    while count > 0 {
        sum += tree[count];
        count &= count - 1;
    }
    sum
}

fn add(tree: &mut [u64], index: usize, weight: u64) {
    let mut at = index + 1;
    while at < tree.len() {
        tree[at] += weight;
        at += at & at.wrapping_neg();
    }
}

/// Pearson's r of (x, y, weight).
fn product_moment(items: impl Iterator<Item = (f64, f64, f64)> + Clone) -> Result<f64, Undefined> {
    let (mut total, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
    let (mut x_range, mut y_range) = (Range::default(), Range::default());
    for (x, y, weight) in items.clone().filter(|item| item.2 > 0.0) {
        total += weight;
        x_sum += weight * x;
        y_sum += weight * y;
        x_range.add(x);
        y_range.add(y);
    }
    // Rounding alone can give equal numbers a spread above zero.
    if x_range.is_one() || y_range.is_one() {
        return Err(Undefined::NoVariation);
    }
    let (x_mean, y_mean) = (x_sum / total, y_sum / total);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y, weight) in items {
        let (x, y) = (x - x_mean, y - y_mean);
        xx += weight * x * x;
        yy += weight * y * y;
        xy += weight * x * y;
    }
    let r = xy / (xx * yy).sqrt();
    if r.is_finite() { Ok(r.clamp(-1.0, 1.0)) } else { Err(Undefined::NotFinite) }
}

#[derive(Clone, Copy, Default)]
struct Range(Option<(f64, f64)>);

impl Range {
    fn add(&mut self, value: f64) {
        let (low, high) = self.0.unwrap_or((value, value));
        self.0 = Some((low.min(value), high.max(value)));
    }

    fn is_one(self) -> bool {
        self.0.is_none_or(|(low, high)| low == high)
    }
}

/// Kendall's τ-b, Spearman's ρ and Pearson's r of two grades of the same items, in this order.
///
/// # Errors
/// Each by itself: [`Undefined::TooFewItems`] below three items, [`Undefined::NoVariation`] when
/// one side has the same grade everywhere, [`Undefined::NotFinite`] when sums overflow.
///
/// ```
/// let pairs = [(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)];
/// assert_eq!(pefomed_eval::agreement::correlations(&pairs), [Ok(1.0), Ok(1.0), Ok(1.0)]);
/// ```
pub fn correlations(pairs: &[(f64, f64)]) -> [Result<f64, Undefined>; 3] {
    let (x, y) = pairs.iter().copied().unzip();
    Paired::new(x, y).all(&vec![1; pairs.len()])
}
