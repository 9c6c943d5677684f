//! What each grader gave to each system: how often each level, and the weighted average.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::measure::{Measure, Undefined};
use super::resample::Interval;
use super::table::{Column, Table};
use crate::bootstrap::{BootstrapOptions, ClusterTotals};
use crate::grade::{GraderKind, Scale};

/// Grades of one system by one grader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// Whose texts were graded.
    pub system: String,
    /// Who graded.
    pub grader: String,
    /// What kind of grader that is.
    pub kind: GraderKind,
    /// What the numbers mean.
    pub scale: Scale,
    /// How often each level was given, all levels of the scale, the lowest first; for a number of
    /// errors those that occur. Empty for a score.
    pub counts: Vec<LevelCount>,
    /// Items the grader looked at and could not judge; they are in no other number.
    pub not_judged: usize,
    /// Weighted average Σ s·n_s / Σ n_s of the levels s with their counts n_s, on the scale itself
    /// (0–4 for Likert, the share of right ones for right or wrong). Intervals are clustered by
    /// group.
    pub average: Measure,
}

/// How often a level was given.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelCount {
    /// The level.
    pub level: f64,
    /// Items that were given it.
    pub count: usize,
}

/// Distributions by system and grader, in the order of the table.
pub(crate) fn distributions(table: &Table, options: &BootstrapOptions) -> Vec<Distribution> {
    let mut found = Vec::new();
    for column in &table.columns {
        for (system, name) in table.systems.iter().enumerate() {
            let looked: Vec<usize> = column
                .repeats
                .keys()
                .copied()
                .filter(|item| table.items[*item].system == system)
                .collect();
            if looked.is_empty() {
                continue;
            }
            let values: Vec<(String, f64)> = looked
                .iter()
                .filter_map(|item| Some((table.items[*item].cluster(), column.values[*item]?)))
                .collect();
            found.push(Distribution {
                system: name.clone(),
                grader: column.name.clone(),
                kind: column.kind,
                scale: column.scale,
                counts: counts(column, &values),
                not_judged: looked.len() - values.len(),
                average: average(&values, options),
            });
        }
    }
    found
}

fn counts(column: &Column, values: &[(String, f64)]) -> Vec<LevelCount> {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    // Levels are whole numbers and not negative, so their bits are in their order.
    let levels = column.scale.levels().unwrap_or_default();
    counts.extend(levels.iter().map(|level| (level.to_bits(), 0)));
    if column.scale != Scale::Score {
        for (_, value) in values {
            *counts.entry(value.abs().to_bits()).or_default() += 1;
        }
    }
    let level = |(bits, count)| LevelCount { level: f64::from_bits(bits), count };
    counts.into_iter().map(level).collect()
}

/// Mean of (cluster, grade) with its clustered interval.
pub(crate) fn average(values: &[(String, f64)], options: &BootstrapOptions) -> Measure {
    if values.is_empty() {
        return Undefined::TooFewItems.into();
    }
    let totals = ClusterTotals::new(values.iter().map(|(group, value)| (group.as_str(), [*value])));
    let [estimate] = totals.estimates(options);
    let interval = Interval { low: estimate.low, high: estimate.high, lost: 0 };
    Measure::new(Ok(estimate.value), values.len(), interval)
}
