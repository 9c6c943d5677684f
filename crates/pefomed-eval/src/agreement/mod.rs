//! How far metrics, model judges and raters agree.
//!
//! A metric is worth as much as it says what people would have said, a judge likewise, and people
//! themselves agree only so far. Everything here starts from grades ([`crate::grade`]), whoever
//! wrote them, and ends in one file, [`Agreement`]: what each grader gave to each system, how far
//! raters agree among themselves, how metrics and judges relate to them and to each other, how
//! steady a judge is when asked again, how systems differ, and on which items graders part ways.
//!
//! Three rules hold throughout. Intervals resample groups (images or patients), never items.
//! A statistic that is undefined says why. Stand-ins for people are computed with the same
//! formulas and never counted among people. `docs/agreement.md` has formula, source and pitfalls
//! of every number.

mod alpha;
mod bland_altman;
mod correlation;
mod differences;
mod disagreement;
mod distribution;
mod findings;
mod icc;
mod kappa;
mod likert;
mod measure;
mod panel;
mod relation;
mod resample;
mod side;
mod stability;
mod table;
pub mod words;

use std::collections::BTreeMap;
use std::path::Path;

use pefomed_data::{Prediction, files};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::alpha::{Distance, krippendorff};
pub use self::bland_altman::{BlandAltman, Point, limits_of_agreement};
pub use self::correlation::correlations;
pub use self::differences::SystemDifference;
pub use self::disagreement::{Between, Disagreement, GivenGrade, ItemText};
pub use self::distribution::{Distribution, LevelCount};
pub use self::findings::{FindingAgreement, FindingGrades, FindingRow, FindingSet, LabelSource};
pub use self::icc::{Icc, icc};
pub use self::kappa::{Weighting, cohen, fleiss};
pub use self::likert::LikertRange;
pub use self::measure::{Measure, Undefined, Value};
pub use self::panel::{Panel, RaterPair};
pub use self::relation::{Correlations, Relation, SameScale, SystemCorrelations};
pub use self::side::Side;
pub use self::stability::{Changed, RepeatAverage, Stability};
use self::table::Table;
use crate::EvalError;
use crate::bootstrap::BootstrapOptions;
use crate::compare::check_permutations;
use crate::grade::{Grade, GraderKind, Scale};
use crate::versioned;

/// What [`agree`] needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgreeOptions {
    /// How intervals are made; p-values use the same seed.
    pub bootstrap: BootstrapOptions,
    /// Number of random swaps behind the p-value of a difference of systems; 10,000 by default.
    pub permutations: usize,
    /// How Likert averages are shown; the numbers in the file stay on 0–4.
    pub likert: LikertRange,
    /// Items listed for each kind of disagreement; 6 by default.
    pub examples: usize,
}

impl Default for AgreeOptions {
    fn default() -> Self {
        Self {
            bootstrap: BootstrapOptions::default(),
            permutations: 10_000,
            likert: LikertRange::default(),
            examples: 6,
        }
    }
}

/// The contents of `agreement.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Version of this layout: [`Agreement::FORMAT`].
    pub format: u32,
    /// How it was computed.
    pub options: AgreeOptions,
    /// Digest of the grades, whatever their order and files.
    pub grades_digest: String,
    /// Names of the systems, sorted.
    pub systems: Vec<String>,
    /// Texts that were graded, over all systems.
    pub items: usize,
    /// Images or patients they belong to.
    pub groups: usize,
    /// Items whose image or patient nobody named: each stands for itself in the intervals, which
    /// are too narrow if several are about one image.
    pub items_without_group: usize,
    /// Who graded, in the order of kinds, scales and names.
    pub graders: Vec<Grader>,
    /// What each gave to each system.
    pub distributions: Vec<Distribution>,
    /// Raters among themselves.
    pub panels: Vec<Panel>,
    /// Metrics and judges against people, stand-ins and each other.
    pub relations: Vec<Relation>,
    /// Graders that were asked more than once.
    pub stability: Vec<Stability>,
    /// Systems against each other.
    pub differences: Vec<SystemDifference>,
    /// Items on which graders part ways.
    pub disagreements: Vec<Disagreement>,
    /// Agreement finding by finding; absent when no report is among the predictions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub findings: Option<FindingAgreement>,
    /// Graded items that the predictions given for their system do not have.
    pub items_without_prediction: usize,
}

/// One grader on one scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grader {
    /// The name.
    pub name: String,
    /// What kind of grader it is.
    pub kind: GraderKind,
    /// What its number means.
    pub scale: Scale,
    /// Items it graded.
    pub graded: usize,
    /// Items it looked at and could not judge.
    pub not_judged: usize,
    /// Most repeats of one item.
    pub repeats: usize,
}

impl Agreement {
    /// Version of the layout that this crate writes.
    pub const FORMAT: u32 = 1;
    /// Name of the file in a run folder.
    pub const FILE: &'static str = "agreement.json";

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// [`EvalError::Data`] when it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        Ok(files::write_json(path, self)?)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`EvalError::Data`] when it cannot be read or is no such file, [`EvalError::NewerFormat`]
    /// when a newer version wrote it.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        versioned::read(path, Self::FORMAT)
    }

    /// Whether someone of this kind graded.
    pub fn has(&self, kind: GraderKind) -> bool {
        self.graders.iter().any(|grader| grader.kind == kind)
    }
}

/// Computes everything from grades. `predictions`, by system, give the items' texts, and groups
/// where grades have none. `progress` is told how many of how many parts are done, from several
/// threads; the result does not depend on their number.
///
/// # Errors
/// [`EvalError::NoGrades`]; [`EvalError::GradedTwice`], [`EvalError::TwoKinds`],
/// [`EvalError::TwoGroups`] for grades that contradict each other; [`EvalError::UnknownSystem`] for
/// predictions of a system that nobody graded; [`EvalError::Option`] for options without sense.
pub fn agree(
    grades: &[Grade],
    predictions: &BTreeMap<String, Vec<Prediction>>,
    options: &AgreeOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Agreement, EvalError> {
    options.bootstrap.check()?;
    check_permutations(options.permutations)?;
    let grades = with_groups(grades, predictions);
    let table = Table::new(&grades)?;
    for system in predictions.keys() {
        if !table.systems.contains(system) {
            return Err(EvalError::UnknownSystem {
                system: system.clone(),
                known: table.systems.join("`, `"),
            });
        }
    }
    let sides = side::sides(&table);
    let pairs = relation::pairs(&sides);
    let done = std::sync::atomic::AtomicUsize::new(0);
    let relations = pairs
        .par_iter()
        .map(|(a, b)| {
            let relation = relation::relation(&table, &sides[*a], &sides[*b], &options.bootstrap);
            let done = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            progress(done, pairs.len());
            relation
        })
        .collect::<Vec<_>>()
        .into_iter()
        .flatten()
        .collect();
    Ok(Agreement {
        format: Agreement::FORMAT,
        options: *options,
        grades_digest: digest(&grades),
        groups: table.groups(),
        items_without_group: table.items.iter().filter(|item| item.group.is_empty()).count(),
        graders: graders(&table),
        distributions: distribution::distributions(&table, &options.bootstrap),
        panels: panel::panels(&table, &options.bootstrap),
        relations,
        stability: stability::stabilities(&table, options.examples, &options.bootstrap),
        differences: differences::differences(
            &table,
            &sides,
            &options.bootstrap,
            options.permutations,
        ),
        findings: findings::findings(&table, &sides, predictions, &options.bootstrap),
        disagreements: disagreement::disagreements(&table, predictions, options.examples),
        items_without_prediction: without_prediction(&table, predictions),
        items: table.items.len(),
        systems: table.systems,
    })
}

/// Grades of unknown group take that of the prediction they are about.
fn with_groups(grades: &[Grade], predictions: &BTreeMap<String, Vec<Prediction>>) -> Vec<Grade> {
    let groups: BTreeMap<(&str, &str), &str> = predictions
        .iter()
        .flat_map(|(system, lines)| {
            lines.iter().map(move |line| ((system.as_str(), line.id.as_str()), line.group.as_str()))
        })
        .collect();
    grades
        .iter()
        .map(|grade| {
            let mut grade = grade.clone();
            if grade.group.is_empty() {
                let known = groups.get(&(grade.system.as_str(), grade.id.as_str()));
                grade.group = known.copied().unwrap_or_default().to_owned();
            }
            grade
        })
        .collect()
}

fn without_prediction(table: &Table, predictions: &BTreeMap<String, Vec<Prediction>>) -> usize {
    predictions
        .iter()
        .map(|(system, lines)| {
            let ids: std::collections::BTreeSet<&str> =
                lines.iter().map(|line| line.id.as_str()).collect();
            let items = table.items.iter().filter(|item| &table.systems[item.system] == system);
            items.filter(|item| !ids.contains(item.id.as_str())).count()
        })
        .sum()
}

fn graders(table: &Table) -> Vec<Grader> {
    table
        .columns
        .iter()
        .map(|column| {
            let graded = column.values.iter().flatten().count();
            Grader {
                name: column.name.clone(),
                kind: column.kind,
                scale: column.scale,
                graded,
                not_judged: column.repeats.len() - graded,
                repeats: column.repeats.values().map(Vec::len).max().unwrap_or(0),
            }
        })
        .collect()
}

/// Names the set of grades.
fn digest(grades: &[Grade]) -> String {
    let mut lines: Vec<String> = grades
        .iter()
        .map(|grade| {
            let Grade { system, id, group, grader, kind, scale, repeat, value } = grade;
            format!("{system:?} {id:?} {group:?} {grader:?} {kind:?} {scale:?} {repeat} {value:?}")
        })
        .collect();
    lines.sort_unstable();
    files::digest(lines)
}
