//! Raters of one kind and scale among themselves.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::alpha::{Distance, Units};
use super::icc::icc;
use super::kappa::{Counts, Pairs, Weighting, pairwise_agreement};
use super::measure::{Measure, Undefined};
use super::resample::Interval;
use super::side::is_panel;
use super::table::{Column, Table};
use crate::bootstrap::BootstrapOptions;
use crate::grade::{GraderKind, Scale};

/// How far raters of one kind agree on one scale, over the items of all systems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// People, judges, or stand-ins for people.
    pub kind: GraderKind,
    /// What they graded.
    pub scale: Scale,
    /// Their names, sorted.
    pub raters: Vec<String>,
    /// Items that at least one of them graded.
    pub items: usize,
    /// Items that at least two graded: those that α and the share of equal pairs are about.
    pub items_with_two: usize,
    /// Share of pairs of grades of one item that are equal.
    pub equal_pairs: Measure,
    /// Mean absolute difference of pairs of grades of one item.
    pub mean_difference: Measure,
    /// Krippendorff's α, levels as names.
    pub alpha_nominal: Measure,
    /// Krippendorff's α, levels in order.
    pub alpha_ordinal: Measure,
    /// Krippendorff's α, levels as numbers.
    pub alpha_interval: Measure,
    /// Fleiss' κ of the items with the most common number of grades.
    pub fleiss: Measure,
    /// That number of grades.
    pub fleiss_grades: usize,
    /// Items with two grades or more that have another number and are left out of Fleiss' κ.
    pub fleiss_left_out: usize,
    /// ICC(2,1), absolute agreement of single raters, on items that all graded. Its interval is
    /// that of the F distribution.
    pub icc_single: Measure,
    /// ICC(2,k), absolute agreement of the mean of all raters.
    pub icc_average: Measure,
    /// Items that some rater did not grade and that are left out of both.
    pub icc_left_out: usize,
    /// Every two raters.
    pub pairs: Vec<RaterPair>,
}

/// Two raters on the items that both graded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaterPair {
    /// Name of the first.
    pub a: String,
    /// Name of the second.
    pub b: String,
    /// Share of equal grades.
    pub equal: Measure,
    /// Cohen's κ.
    pub kappa: Measure,
    /// Cohen's κ with weights |a − b|.
    pub kappa_linear: Measure,
    /// Cohen's κ with weights (a − b)².
    pub kappa_quadratic: Measure,
}

/// Panels of people and stand-ins, also of a single one; of judges where there are two.
pub(crate) fn panels(table: &Table, options: &BootstrapOptions) -> Vec<Panel> {
    let of = |column: &Column| (column.kind, column.scale);
    table
        .columns
        .chunk_by(|a, b| of(a) == of(b))
        .filter(|columns| {
            is_panel(columns[0].kind) || columns[0].kind == GraderKind::Judge && columns.len() > 1
        })
        .map(|columns| panel(table, columns, options))
        .collect()
}

fn panel(table: &Table, columns: &[Column], options: &BootstrapOptions) -> Panel {
    let items: Vec<usize> = (0..table.items.len())
        .filter(|item| columns.iter().any(|column| column.values[*item].is_some()))
        .collect();
    let rows: Vec<Vec<Option<f64>>> = items
        .iter()
        .map(|item| columns.iter().map(|column| column.values[*item]).collect())
        .collect();
    let clusters = table.clusters(items.iter().copied());
    let scale = columns[0].scale;
    let units = Units::new(&rows);
    let measure = |n: usize, statistic: &(dyn Fn(&[u32]) -> Result<f64, Undefined> + Sync)| {
        if columns.len() < 2 {
            return Undefined::OneRater.into();
        }
        let value = statistic(&clusters.once());
        let interval = match value {
            Ok(_) => clusters.interval(options, |weights| statistic(weights).ok()),
            Err(_) => Interval::default(),
        };
        Measure::new(value, n, interval)
    };
    let alpha = |distance| measure(units.len(), &|weights| units.alpha(distance, weights));
    let counts = Counts::new(&rows);
    let (icc_single, icc_average, complete) = intraclass(&rows, columns.len(), options.level);
    let numbered: Vec<(usize, usize)> =
        (0..columns.len()).flat_map(|a| (a + 1..columns.len()).map(move |b| (a, b))).collect();
    Panel {
        kind: columns[0].kind,
        scale,
        raters: columns.iter().map(|column| column.name.clone()).collect(),
        items: items.len(),
        items_with_two: units.len(),
        equal_pairs: measure(units.len(), &|weights| pairwise_agreement(&rows, weights)),
        mean_difference: measure(units.len(), &|weights| mean_difference(&rows, weights)),
        alpha_nominal: alpha(Distance::Nominal),
        alpha_ordinal: alpha(Distance::Ordinal),
        alpha_interval: alpha(Distance::Interval),
        fleiss: if scale == Scale::Score {
            Undefined::NoLevels.into()
        } else {
            measure(counts.len(), &|weights| counts.kappa(weights))
        },
        fleiss_grades: counts.grades,
        fleiss_left_out: units.len() - counts.len(),
        icc_single,
        icc_average,
        icc_left_out: items.len() - complete,
        pairs: numbered
            .into_par_iter()
            .map(|(a, b)| rater_pair(table, &columns[a], &columns[b], options))
            .collect(),
    }
}

/// Mean absolute difference over pairs of grades of one item.
pub(crate) fn mean_difference(
    rows: &[Vec<Option<f64>>],
    weights: &[u32],
) -> Result<f64, Undefined> {
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (row, weight) in rows.iter().zip(weights).filter(|(_, weight)| **weight > 0) {
        let values: Vec<f64> = row.iter().flatten().copied().collect();
        for (index, a) in values.iter().enumerate() {
            for b in &values[index + 1..] {
                pairs += f64::from(*weight);
                sum += f64::from(*weight) * (a - b).abs();
            }
        }
    }
    if pairs > 0.0 { Ok(sum / pairs) } else { Err(Undefined::NoCommonItems) }
}

/// ICC(2,1), ICC(2,k) and the number of complete items.
fn intraclass(rows: &[Vec<Option<f64>>], raters: usize, level: f64) -> (Measure, Measure, usize) {
    let complete: Vec<Vec<f64>> =
        rows.iter().filter_map(|row| row.iter().copied().collect()).collect();
    let measure = |(value, ends): (f64, Option<(f64, f64)>)| {
        let (low, high) = ends.unzip();
        Measure::new(Ok(value), complete.len(), Interval { low, high, lost: 0 })
    };
    match icc(&complete, level) {
        _ if raters < 2 => {
            let alone: Measure = Undefined::OneRater.into();
            (alone.clone(), alone, complete.len())
        }
        Ok(icc) => {
            (measure(icc.single), icc.average.map_or_else(Measure::from, measure), complete.len())
        }
        Err(reason) => (reason.into(), reason.into(), complete.len()),
    }
}

fn rater_pair(table: &Table, a: &Column, b: &Column, options: &BootstrapOptions) -> RaterPair {
    let common: Vec<(usize, (f64, f64))> = (0..table.items.len())
        .filter_map(|item| Some((item, (a.values[item]?, b.values[item]?))))
        .collect();
    let pairs: Vec<(f64, f64)> = common.iter().map(|(_, pair)| *pair).collect();
    let clusters = table.clusters(common.iter().map(|(item, _)| *item));
    let [equal, kappa, kappa_linear, kappa_quadratic] = two_raters(&pairs, &clusters, options);
    let leveled = |measure: Measure| match a.scale {
        Scale::Score => Undefined::NoLevels.into(),
        _ => measure,
    };
    RaterPair {
        a: a.name.clone(),
        b: b.name.clone(),
        equal,
        kappa: leveled(kappa),
        kappa_linear: leveled(kappa_linear),
        kappa_quadratic: leveled(kappa_quadratic),
    }
}

/// Share of equal grades, κ, linear and quadratic κ of two graders, with intervals.
pub(crate) fn two_raters(
    pairs: &[(f64, f64)],
    clusters: &super::resample::Clusters,
    options: &BootstrapOptions,
) -> [Measure; 4] {
    let crossed = Pairs::new(pairs);
    let all = |weights: &[u32]| {
        [
            crossed.agreement(weights),
            crossed.kappa(Weighting::Equal, weights),
            crossed.kappa(Weighting::Linear, weights),
            crossed.kappa(Weighting::Quadratic, weights),
        ]
    };
    let values = all(&clusters.once());
    let intervals = clusters.intervals(options, |weights| all(weights).map(Result::ok));
    let mut measures = values
        .into_iter()
        .zip(intervals)
        .map(|(value, interval)| Measure::new(value, pairs.len(), interval));
    std::array::from_fn(|_| measures.next().unwrap_or_else(|| Undefined::NoCommonItems.into()))
}
