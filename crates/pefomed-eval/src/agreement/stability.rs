//! A grader that was asked several times: does it say the same again?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alpha::{Distance, Units};
use super::measure::{Measure, Undefined};
use super::table::{Column, Table};
use crate::bootstrap::BootstrapOptions;
use crate::grade::{GraderKind, Scale};

/// How one grader's grades vary over repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Who graded.
    pub grader: String,
    /// What kind of grader that is.
    pub kind: GraderKind,
    /// What the numbers mean.
    pub scale: Scale,
    /// Items with grades of two repeats or more: all below is about them.
    pub items: usize,
    /// The average at each repeat, over those of the items that have a grade there.
    pub averages: Vec<RepeatAverage>,
    /// Standard deviation (n − 1) of these averages.
    pub spread_of_averages: Measure,
    /// Standard deviation of a grade over repeats of one item: root of the mean variance (n − 1).
    pub spread_within_items: Measure,
    /// Share of items whose grades are not all equal.
    pub changed: Measure,
    /// Mean over items of the share of repeats whose grade differs from that of the repeat before.
    pub flips: Measure,
    /// Krippendorff's α of the repeats, taken as raters: nominal for right or wrong, else interval.
    pub alpha: Measure,
    /// The items that vary most, at most as many as examples are asked for.
    pub most_changed: Vec<Changed>,
}

/// The average of one repeat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RepeatAverage {
    /// Which time of asking.
    pub repeat: u32,
    /// Items with a grade.
    pub n: usize,
    /// Their mean.
    pub average: f64,
}

/// An item and what was said about it each time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// Whose text.
    pub system: String,
    /// Id of the item.
    pub id: String,
    /// The grades in the order of repeats.
    pub values: Vec<f64>,
}

/// Graders with at least one item that has two repeats.
pub(crate) fn stabilities(
    table: &Table,
    examples: usize,
    options: &BootstrapOptions,
) -> Vec<Stability> {
    table.columns.iter().filter_map(|column| stability(table, column, examples, options)).collect()
}

fn stability(
    table: &Table,
    column: &Column,
    examples: usize,
    options: &BootstrapOptions,
) -> Option<Stability> {
    let series: Vec<(usize, Vec<(u32, f64)>)> = column
        .repeats
        .iter()
        .map(|(item, repeats)| {
            let given = repeats.iter().filter_map(|(repeat, value)| Some((*repeat, (*value)?)));
            (*item, given.collect::<Vec<_>>())
        })
        .filter(|(_, given)| given.len() > 1)
        .collect();
    if series.is_empty() {
        return None;
    }
    let clusters = table.clusters(series.iter().map(|(item, _)| *item));
    let values = |given: &[(u32, f64)]| given.iter().map(|(_, value)| *value).collect::<Vec<_>>();
    let each: Vec<[f64; 3]> = series
        .iter()
        .map(|(_, given)| {
            let values = values(given);
            let flips = values.windows(2).filter(|two| two[0] != two[1]).count();
            let changed = f64::from(u8::from(flips > 0));
            [variance(&values), changed, flips as f64 / (values.len() - 1) as f64]
        })
        .collect();
    let means = |weights: &[u32]| -> [f64; 3] {
        let total: f64 = weights.iter().copied().map(f64::from).sum();
        let sum =
            |k: usize| each.iter().zip(weights).map(|(x, w)| x[k] * f64::from(*w)).sum::<f64>();
        [(sum(0) / total).sqrt(), sum(1) / total, sum(2) / total]
    };
    let intervals = clusters.intervals(options, |weights| means(weights).map(Some));
    let at = means(&clusters.once());
    let measure = |k: usize| Measure::new(Ok(at[k]), series.len(), intervals[k]);

    let mut by_repeat: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (_, given) in &series {
        for (repeat, value) in given {
            by_repeat.entry(*repeat).or_default().push(*value);
        }
    }
    let averages: Vec<RepeatAverage> = by_repeat
        .iter()
        .map(|(repeat, values)| RepeatAverage {
            repeat: *repeat,
            n: values.len(),
            average: values.iter().sum::<f64>() / values.len() as f64,
        })
        .collect();
    let spread = variance(&averages.iter().map(|one| one.average).collect::<Vec<_>>()).sqrt();
    let rows: Vec<Vec<Option<f64>>> =
        series.iter().map(|(_, given)| values(given).into_iter().map(Some).collect()).collect();
    let units = Units::new(&rows);
    let distance =
        if column.scale == Scale::Correct { Distance::Nominal } else { Distance::Interval };
    let alpha = units.alpha(distance, &clusters.once());
    let alpha_interval = clusters.interval(options, |weights| units.alpha(distance, weights).ok());
    Some(Stability {
        grader: column.name.clone(),
        kind: column.kind,
        scale: column.scale,
        items: series.len(),
        spread_of_averages: match averages.len() {
            0 | 1 => Undefined::TooFewItems.into(),
            _ => Measure::new(Ok(spread), averages.len(), super::resample::Interval::default()),
        },
        averages,
        spread_within_items: measure(0),
        changed: measure(1),
        flips: measure(2),
        alpha: Measure::new(alpha, series.len(), alpha_interval),
        most_changed: most_changed(table, &series, &each, examples),
    })
}

fn most_changed(
    table: &Table,
    series: &[(usize, Vec<(u32, f64)>)],
    each: &[[f64; 3]],
    examples: usize,
) -> Vec<Changed> {
    let mut order: Vec<usize> = (0..series.len()).filter(|index| each[*index][1] > 0.0).collect();
    // Stable, so that equal ones stay in the order of the table.
    order.sort_by(|a, b| {
        each[*b][0].total_cmp(&each[*a][0]).then(each[*b][2].total_cmp(&each[*a][2]))
    });
    order
        .into_iter()
        .take(examples)
        .map(|index| {
            let (item, given) = &series[index];
            Changed {
                system: table.systems[table.items[*item].system].clone(),
                id: table.items[*item].id.clone(),
                values: given.iter().map(|(_, value)| *value).collect(),
            }
        })
        .collect()
}

/// Sample variance; 0 for a single value.
fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}
