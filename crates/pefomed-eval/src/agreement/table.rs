//! Grades as a table: items down, graders across.
//!
//! Everything is sorted by name, so that the order of lines and files changes nothing. Where a
//! grader was asked several times, its grade is that of the first repeat that has one: a mean of
//! repeats would leave the levels of the scale, and the first is what a single asking gives.
//! Repeats are looked at by themselves ([`super::stability`]).

use std::collections::{BTreeMap, BTreeSet};

use super::resample::Clusters;
use crate::EvalError;
use crate::grade::{Grade, GraderKind, Scale};

/// One text that was graded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ItemKey {
    /// Index of the system.
    pub(crate) system: usize,
    pub(crate) id: String,
    /// Image or patient, empty where nobody said.
    pub(crate) group: String,
}

impl ItemKey {
    /// What intervals are clustered by: an item of unknown group stands for itself, and for the
    /// same item of another system.
    pub(crate) fn cluster(&self) -> String {
        match self.group.as_str() {
            "" => format!("id {}", self.id),
            group => format!("group {group}"),
        }
    }
}

/// One grader on one scale.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: GraderKind,
    pub(crate) scale: Scale,
    /// Grade of each item, from the first repeat that has one.
    pub(crate) values: Vec<Option<f64>>,
    /// Grades by repeat, for each item that was looked at.
    pub(crate) repeats: BTreeMap<usize, Vec<(u32, Option<f64>)>>,
}

/// All grades.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Sorted names.
    pub(crate) systems: Vec<String>,
    /// Sorted by system and id.
    pub(crate) items: Vec<ItemKey>,
    /// Sorted by kind, scale and name.
    pub(crate) columns: Vec<Column>,
}

impl Table {
    /// Sorts grades into a table.
    ///
    /// # Errors
    /// [`EvalError::NoGrades`], [`EvalError::GradedTwice`], [`EvalError::TwoKinds`] for a grader
    /// that is said to be of two kinds, [`EvalError::TwoGroups`] for an item that is said to
    /// belong to two groups.
    pub(crate) fn new(grades: &[Grade]) -> Result<Self, EvalError> {
        if grades.is_empty() {
            return Err(EvalError::NoGrades);
        }
        let groups = groups(grades)?;
        kinds(grades)?;
        let systems: BTreeSet<&str> = grades.iter().map(|grade| grade.system.as_str()).collect();
        let systems: Vec<String> = systems.into_iter().map(str::to_owned).collect();
        let system = |name: &str| systems.partition_point(|system| system.as_str() < name);
        let keys: BTreeSet<(usize, &str)> =
            grades.iter().map(|grade| (system(&grade.system), grade.id.as_str())).collect();
        let index: BTreeMap<(usize, &str), usize> =
            keys.iter().enumerate().map(|(index, key)| (*key, index)).collect();
        let items: Vec<ItemKey> = keys
            .iter()
            .map(|(system, id)| ItemKey {
                system: *system,
                id: (*id).to_owned(),
                group: groups.get(id).copied().unwrap_or_default().to_owned(),
            })
            .collect();
        let mut columns: BTreeMap<(GraderKind, Scale, &str), Column> = BTreeMap::new();
        for grade in grades {
            let column = columns
                .entry((grade.kind, grade.scale, grade.grader.as_str()))
                .or_insert_with(|| Column {
                    name: grade.grader.clone(),
                    kind: grade.kind,
                    scale: grade.scale,
                    values: vec![None; items.len()],
                    repeats: BTreeMap::new(),
                });
            let item = index[&(system(&grade.system), grade.id.as_str())];
            column.repeats.entry(item).or_default().push((grade.repeat, grade.value));
        }
        let mut columns: Vec<Column> = columns.into_values().collect();
        for column in &mut columns {
            for (item, repeats) in &mut column.repeats {
                repeats.sort_by_key(|(repeat, _)| *repeat);
                if let Some(twice) = repeats.windows(2).find(|two| two[0].0 == two[1].0) {
                    return Err(EvalError::GradedTwice {
                        grader: column.name.clone(),
                        system: systems[items[*item].system].clone(),
                        id: items[*item].id.clone(),
                        repeat: twice[0].0,
                    });
                }
                column.values[*item] = repeats.iter().find_map(|(_, value)| *value);
            }
        }
        Ok(Self { systems, items, columns })
    }

    /// Clusters of some items.
    pub(crate) fn clusters(&self, items: impl IntoIterator<Item = usize>) -> Clusters {
        let names: Vec<String> = items.into_iter().map(|item| self.items[item].cluster()).collect();
        Clusters::new(names.iter().map(String::as_str))
    }

    /// Number of groups of all items.
    pub(crate) fn groups(&self) -> usize {
        self.clusters(0..self.items.len()).count()
    }
}

/// The group of each id that some line gives one for. Raters need not know groups; metrics do.
fn groups(grades: &[Grade]) -> Result<BTreeMap<&str, &str>, EvalError> {
    let mut groups: BTreeMap<&str, &str> = BTreeMap::new();
    for grade in grades.iter().filter(|grade| !grade.group.is_empty()) {
        let known = *groups.entry(&grade.id).or_insert(&grade.group);
        if known != grade.group {
            return Err(EvalError::TwoGroups {
                id: grade.id.clone(),
                first: known.to_owned(),
                second: grade.group.clone(),
            });
        }
    }
    Ok(groups)
}

/// A stand-in must not be a person on another line.
fn kinds(grades: &[Grade]) -> Result<(), EvalError> {
    let mut kinds: BTreeMap<&str, GraderKind> = BTreeMap::new();
    for grade in grades {
        let known = *kinds.entry(&grade.grader).or_insert(grade.kind);
        if known != grade.kind {
            return Err(EvalError::TwoKinds {
                grader: grade.grader.clone(),
                first: known,
                second: grade.kind,
            });
        }
    }
    Ok(())
}
