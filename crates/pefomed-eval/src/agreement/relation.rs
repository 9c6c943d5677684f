//! Two sides on the items that both graded: correlation, and difference where they share a scale.

use serde::{Deserialize, Serialize};

use super::bland_altman::{BlandAltman, bland_altman};
use super::correlation::{Paired, correlations};
use super::measure::{Measure, Undefined};
use super::panel::{mean_difference, two_raters};
use super::resample::{Clusters, Interval};
use super::side::{Graded, Side, given, is_panel};
use super::table::Table;
use crate::bootstrap::BootstrapOptions;
use crate::grade::Scale;

/// One side against another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relation {
    /// The one that is tested: a metric before a judge, a judge before people.
    pub a: Side,
    /// The one it is tested against.
    pub b: Side,
    /// Items of all systems together. Here a side that only tells good systems from bad ones
    /// already correlates.
    pub pooled: Correlations,
    /// Items of each system by itself: does the side tell a good text from a bad one of the same
    /// system? Absent with a single system.
    pub within: Vec<SystemCorrelations>,
    /// The systems' means: does it order the systems alike?
    pub of_systems: Correlations,
    /// How far grades differ, where both are on one scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_scale: Option<SameScale>,
}

/// Three correlations of the same items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Correlations {
    /// Items, or systems, that both graded.
    pub n: usize,
    /// Kendall's τ-b.
    pub kendall: Measure,
    /// Spearman's ρ.
    pub spearman: Measure,
    /// Pearson's r.
    pub pearson: Measure,
}

/// Correlations within one system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemCorrelations {
    /// The system.
    pub system: String,
    /// Over its items.
    #[serde(flatten)]
    pub correlations: Correlations,
}

/// Differences of grades on one scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SameScale {
    /// Difference of side `a` less side `b` against their mean, item by item.
    pub bland_altman: BlandAltman,
    /// Mean absolute difference of `a` and each single grader of `b`.
    pub mean_difference: Measure,
    /// Mean absolute difference of two graders of `b`, on the same items: what to compare with.
    pub between_raters: Measure,
    /// Items on which the graders of `b` have a consensus: their median, where it is a level of the
    /// scale. For right or wrong that is the majority.
    pub consensus_items: usize,
    /// Items that both graded and whose graders of `b` have no consensus.
    pub no_consensus: usize,
    /// Share of items on which `a` equals the consensus.
    pub equal: Measure,
    /// Cohen's κ of `a` and the consensus.
    pub kappa: Measure,
    /// With weights |a − b|.
    pub kappa_linear: Measure,
    /// With weights (a − b)².
    pub kappa_quadratic: Measure,
}

/// The pairs of sides worth relating: all but people with stand-ins.
pub(crate) fn pairs(sides: &[Graded<'_>]) -> Vec<(usize, usize)> {
    let panel = |side: usize| is_panel(sides[side].side.kind);
    (0..sides.len())
        .flat_map(|a| (a + 1..sides.len()).map(move |b| (a, b)))
        .filter(|(a, b)| !(panel(*a) && panel(*b)))
        .collect()
}

/// Relates two sides; none when no item was graded by both.
pub(crate) fn relation(
    table: &Table,
    a: &Graded<'_>,
    b: &Graded<'_>,
    options: &BootstrapOptions,
) -> Option<Relation> {
    let common: Vec<(usize, f64, f64)> = (0..table.items.len())
        .filter_map(|item| Some((item, a.values[item]?, b.values[item]?)))
        .collect();
    if common.is_empty() {
        return None;
    }
    let within = table
        .systems
        .iter()
        .enumerate()
        .filter(|_| table.systems.len() > 1)
        .filter_map(|(system, name)| {
            let items: Vec<_> = (common.iter().copied())
                .filter(|(item, ..)| table.items[*item].system == system)
                .collect();
            (!items.is_empty()).then(|| SystemCorrelations {
                system: name.clone(),
                correlations: of_items(table, &items, options),
            })
        })
        .collect();
    Some(Relation {
        a: a.side.clone(),
        b: b.side.clone(),
        pooled: of_items(table, &common, options),
        within,
        of_systems: of_systems(table, &common, options),
        same_scale: same_scale(table, a, b, &common, options),
    })
}

fn of_items(
    table: &Table,
    items: &[(usize, f64, f64)],
    options: &BootstrapOptions,
) -> Correlations {
    let clusters = table.clusters(items.iter().map(|item| item.0));
    let (x, y) = items.iter().map(|(_, x, y)| (*x, *y)).unzip();
    let paired = Paired::new(x, y);
    measured(items.len(), &clusters, options, |weights| paired.all(weights))
}

/// Over the means of systems. A resample draws groups of items, and the means follow; the systems
/// themselves are the ones at hand.
fn of_systems(
    table: &Table,
    items: &[(usize, f64, f64)],
    options: &BootstrapOptions,
) -> Correlations {
    let clusters = table.clusters(items.iter().map(|item| item.0));
    let systems = table.systems.len();
    let means = |weights: &[u32]| -> Vec<(f64, f64)> {
        let mut sums = vec![(0.0, 0.0, 0.0); systems];
        for ((item, x, y), weight) in items.iter().zip(weights) {
            let weight = f64::from(*weight);
            let sum = &mut sums[table.items[*item].system];
            *sum = (sum.0 + weight, sum.1 + weight * x, sum.2 + weight * y);
        }
        let present = sums.iter().filter(|sum| sum.0 > 0.0);
        present.map(|(weight, x, y)| (x / weight, y / weight)).collect()
    };
    let n = means(&clusters.once()).len();
    if n < 3 {
        let few: Measure = Undefined::TooFewSystems.into();
        return Correlations { n, kendall: few.clone(), spearman: few.clone(), pearson: few };
    }
    // A resample without any item of a system would be about other systems.
    measured(n, &clusters, options, |weights| {
        let means = means(weights);
        if means.len() == n { correlations(&means) } else { [Err(Undefined::TooFewSystems); 3] }
    })
}

fn measured(
    n: usize,
    clusters: &Clusters,
    options: &BootstrapOptions,
    statistics: impl Fn(&[u32]) -> [Result<f64, Undefined>; 3],
) -> Correlations {
    let values = statistics(&clusters.once());
    let intervals = if values.iter().any(Result::is_ok) {
        clusters.intervals(options, |weights| statistics(weights).map(Result::ok))
    } else {
        [Interval::default(); 3]
    };
    let measure = |index: usize| Measure::new(values[index], n, intervals[index]);
    Correlations { n, kendall: measure(0), spearman: measure(1), pearson: measure(2) }
}

/// Differences, where the two count in the same unit: two scores seldom do.
fn same_scale(
    table: &Table,
    a: &Graded<'_>,
    b: &Graded<'_>,
    common: &[(usize, f64, f64)],
    options: &BootstrapOptions,
) -> Option<SameScale> {
    if a.side.scale != b.side.scale || a.side.scale == Scale::Score {
        return None;
    }
    let clusters = table.clusters(common.iter().map(|item| item.0));
    let rows: Vec<Vec<Option<f64>>> = common
        .iter()
        .map(|(item, ..)| b.columns.iter().map(|column| column.values[*item]).collect())
        .collect();
    let firsts: Vec<f64> = common.iter().map(|(_, x, _)| *x).collect();
    let to_each = |weights: &[u32]| {
        let (mut sum, mut count) = (0.0, 0.0);
        for ((first, row), weight) in firsts.iter().zip(&rows).zip(weights) {
            for value in row.iter().flatten() {
                sum += f64::from(*weight) * (first - value).abs();
                count += f64::from(*weight);
            }
        }
        if count > 0.0 { Ok(sum / count) } else { Err(Undefined::NoCommonItems) }
    };
    let mean_difference_to_each = Measure::new(
        to_each(&clusters.once()),
        common.len(),
        clusters.interval(options, |weights| to_each(weights).ok()),
    );
    let twice = rows.iter().filter(|row| row.iter().flatten().count() > 1).count();
    let between_raters = if b.columns.len() < 2 {
        Undefined::OneRater.into()
    } else {
        Measure::new(
            mean_difference(&rows, &clusters.once()),
            twice,
            clusters.interval(options, |weights| mean_difference(&rows, weights).ok()),
        )
    };
    let agreed: Vec<(usize, (f64, f64))> = common
        .iter()
        .filter_map(|(item, x, _)| {
            let middle = median(given(b, *item))?;
            b.side.scale.holds(middle).then_some((*item, (*x, middle)))
        })
        .collect();
    let grades: Vec<(f64, f64)> = agreed.iter().map(|(_, pair)| *pair).collect();
    let agreed_clusters = table.clusters(agreed.iter().map(|(item, _)| *item));
    let [equal, kappa, kappa_linear, kappa_quadratic] =
        two_raters(&grades, &agreed_clusters, options);
    let both: Vec<(f64, f64)> = common.iter().map(|(_, x, y)| (*x, *y)).collect();
    Some(SameScale {
        bland_altman: bland_altman(&both, a.side.scale, &clusters, options),
        mean_difference: mean_difference_to_each,
        between_raters,
        consensus_items: agreed.len(),
        no_consensus: common.len() - agreed.len(),
        equal,
        kappa,
        kappa_linear,
        kappa_quadratic,
    })
}

/// The middle grade; the mean of the two in the middle of an even number.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}
