//! The items on which metrics, judges and raters disagree most: that is where one learns.
//!
//! Grades on different scales are compared by standing: the share of items that a grader puts
//! below this one, and half of those it puts level with it. A kind's standing is the mean of its
//! graders'. Ties are ordered by a digest of the item's name, which knows nothing of the grades.

use std::collections::{BTreeMap, BTreeSet};

use pefomed_data::{ImageCondition, Prediction, Task, files};
use serde::{Deserialize, Serialize};

use super::side::is_panel;
use super::table::{Column, Table};
use crate::grade::{GraderKind, Scale};

/// Who disagrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Between {
    /// Metrics and people.
    MetricsAndPeople,
    /// Judges and people.
    JudgesAndPeople,
    /// Metrics and judges.
    MetricsAndJudges,
    /// People among themselves.
    PeopleAmongThemselves,
}

/// An item with all its grades.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Disagreement {
    /// Who disagrees about it.
    pub between: Between,
    /// Whether stand-ins take the place of people.
    pub synthetic: bool,
    /// Whose text.
    pub system: String,
    /// Id of the item.
    pub id: String,
    /// Standing of the item before the first, from 0 (worst) to 1 (best); among people the lowest
    /// grade.
    pub first: f64,
    /// Standing before the second; among people the highest grade.
    pub second: f64,
    /// All grades, in the order of kinds, scales and names.
    pub grades: Vec<GivenGrade>,
    /// What was asked and said, when predictions were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<ItemText>,
}

/// One grade of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GivenGrade {
    /// Who graded.
    pub grader: String,
    /// What kind of grader that is.
    pub kind: GraderKind,
    /// What the number means.
    pub scale: Scale,
    /// The grade.
    pub value: f64,
}

/// What was asked and said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemText {
    /// What was asked for.
    pub task: Task,
    /// Name of the image, below the image folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The question.
    pub question: String,
    /// What the data set says.
    pub reference: String,
    /// What the system wrote.
    pub candidate: String,
}

/// The items with the widest gaps, at most `limit` for each kind of disagreement, every item once
/// and one of each image in a list.
pub(crate) fn disagreements(
    table: &Table,
    predictions: &BTreeMap<String, Vec<Prediction>>,
    limit: usize,
) -> Vec<Disagreement> {
    let people = if table.columns.iter().any(|column| column.kind == GraderKind::Human) {
        GraderKind::Human
    } else {
        GraderKind::Synthetic
    };
    let standings = Standings::new(table);
    let mut shown = BTreeSet::new();
    let mut found = Vec::new();
    for between in [
        Between::MetricsAndPeople,
        Between::JudgesAndPeople,
        Between::MetricsAndJudges,
        Between::PeopleAmongThemselves,
    ] {
        let two = match between {
            Between::MetricsAndPeople => Some((GraderKind::Metric, people)),
            Between::JudgesAndPeople => Some((GraderKind::Judge, people)),
            Between::MetricsAndJudges => Some((GraderKind::Metric, GraderKind::Judge)),
            Between::PeopleAmongThemselves => None,
        };
        let mut gaps: Vec<Gap> = (0..table.items.len())
            .filter_map(|item| match two {
                Some((a, b)) => standings.gap(item, a, b),
                None => spread(table, item, people),
            })
            .filter(|gap| gap.width > 1e-9)
            .collect();
        gaps.sort_by_cached_key(|gap| {
            let item = &table.items[gap.item];
            // Widths that differ by rounding alone are level.
            let width = (gap.width * 1e9).round() as i64;
            let digest = files::digest([table.systems[item.system].as_str(), item.id.as_str()]);
            (std::cmp::Reverse(width), digest)
        });
        let mut images = BTreeSet::new();
        for gap in gaps {
            let item = &table.items[gap.item];
            if images.len() == limit || images.contains(&item.cluster()) || !shown.insert(gap.item)
            {
                continue;
            }
            images.insert(item.cluster());
            let system = &table.systems[item.system];
            found.push(Disagreement {
                between,
                synthetic: people == GraderKind::Synthetic && between != Between::MetricsAndJudges,
                system: system.clone(),
                id: item.id.clone(),
                first: gap.first,
                second: gap.second,
                grades: grades(table, gap.item),
                text: predictions.get(system).and_then(|lines| text(lines, &item.id)),
            });
        }
    }
    found
}

struct Gap {
    item: usize,
    width: f64,
    first: f64,
    second: f64,
}

/// Mean standing of each item by kind of grader.
struct Standings(BTreeMap<GraderKind, Vec<Option<f64>>>);

impl Standings {
    fn new(table: &Table) -> Self {
        let mut kinds: BTreeMap<GraderKind, Vec<Vec<Option<f64>>>> = BTreeMap::new();
        for column in &table.columns {
            kinds.entry(column.kind).or_default().push(standing(column));
        }
        let mean = |columns: Vec<Vec<Option<f64>>>| {
            (0..table.items.len())
                .map(|item| {
                    let given: Vec<f64> = columns.iter().filter_map(|c| c[item]).collect();
                    (!given.is_empty()).then(|| given.iter().sum::<f64>() / given.len() as f64)
                })
                .collect()
        };
        Self(kinds.into_iter().map(|(kind, columns)| (kind, mean(columns))).collect())
    }

    fn gap(&self, item: usize, a: GraderKind, b: GraderKind) -> Option<Gap> {
        let (first, second) = (self.0.get(&a)?[item]?, self.0.get(&b)?[item]?);
        Some(Gap { item, width: (first - second).abs(), first, second })
    }
}

/// Share of graded items below each one, and half of the level ones.
fn standing(column: &Column) -> Vec<Option<f64>> {
    let sign = if column.scale == Scale::Errors { -1.0 } else { 1.0 };
    let mut sorted: Vec<f64> = column.values.iter().flatten().map(|value| sign * value).collect();
    sorted.sort_by(f64::total_cmp);
    let standing = |value: f64| {
        let value = sign * value;
        let below = sorted.partition_point(|other| *other < value);
        let not_above = sorted.partition_point(|other| *other <= value);
        (below + not_above) as f64 / (2 * sorted.len()) as f64
    };
    column.values.iter().map(|value| value.map(standing)).collect()
}

/// How far a panel's grades of one item spread: their variance, over the scale that spreads most.
fn spread(table: &Table, item: usize, people: GraderKind) -> Option<Gap> {
    let of = |column: &Column| (column.kind, column.scale);
    table
        .columns
        .chunk_by(|a, b| of(a) == of(b))
        .filter(|columns| columns[0].kind == people && is_panel(people))
        .filter_map(|columns| {
            let given: Vec<f64> = columns.iter().filter_map(|c| c.values[item]).collect();
            if given.len() < 2 {
                return None;
            }
            let mean = given.iter().sum::<f64>() / given.len() as f64;
            let width = given.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
            Some(Gap {
                item,
                width: width / given.len() as f64,
                first: given.iter().copied().fold(f64::INFINITY, f64::min),
                second: given.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            })
        })
        .max_by(|a, b| a.width.total_cmp(&b.width))
}

fn grades(table: &Table, item: usize) -> Vec<GivenGrade> {
    table
        .columns
        .iter()
        .filter_map(|column| {
            Some(GivenGrade {
                grader: column.name.clone(),
                kind: column.kind,
                scale: column.scale,
                value: column.values[item]?,
            })
        })
        .collect()
}

/// The line of an item: under the true image, or else the first there is.
fn text(lines: &[Prediction], id: &str) -> Option<ItemText> {
    let line = lines.iter().filter(|line| line.id == id).min_by_key(|line| {
        ImageCondition::ALL.iter().position(|condition| *condition == line.condition)
    })?;
    Some(ItemText {
        task: line.task,
        image: line.image.clone(),
        question: line.question.clone(),
        reference: line.reference.clone(),
        candidate: line.prediction.clone(),
    })
}
