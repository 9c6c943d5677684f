//! Two models on the same items: by how much do they differ, and could that be chance?
//!
//! Items are paired by id, so what both find hard cancels. The interval resamples groups; the
//! p-value swaps the two models' scores within whole groups at random (approximate
//! randomisation, Noreen 1989), which assumes nothing about how the scores are distributed. Scores that
//! are no means over items (BLEU, METEOR, F1 of findings) are computed anew from the sums of every
//! resample and every swap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pefomed_data::{ImageCondition, Prediction, Task};
use serde::{Deserialize, Serialize};

use crate::bootstrap::{BootstrapOptions, ClusterTotals, Estimate};
use crate::clinical::{LabelledPair, NAMES, Uncertain, over_findings};
use crate::error::{EvalError, ItemMismatch};
use crate::external::{self, Column, ExternalRun, ExternalScorer};
use crate::item::Item;
use crate::lexical::{MeteorKind, Reader, measure, of_sums};
use crate::metrics::Unscored;
use crate::paired::PairedTotals;
use crate::score::is_labelled;

/// What a comparison needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct CompareOptions {
    /// What the first set is called in messages and tables.
    pub a: String,
    /// What the second set is called.
    pub b: String,
    /// Which image condition is compared; lines under the others are ignored.
    pub condition: ImageCondition,
    /// How intervals are made; the p-value uses the same seed.
    pub bootstrap: BootstrapOptions,
    /// Number of random swaps behind the p-value; 10,000 by default.
    pub permutations: usize,
    /// METEOR's archive or the folder that holds it, as for scoring.
    pub meteor_data: Option<PathBuf>,
    /// Whether texts get clinical labels, as for scoring.
    pub clinical: Option<bool>,
    /// What an uncertain finding counts as.
    pub uncertain: Uncertain,
    /// Scorers outside this program, which are run for each of the two sets.
    pub externals: Vec<ExternalScorer>,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self {
            a: "A".to_owned(),
            b: "B".to_owned(),
            condition: ImageCondition::True,
            bootstrap: BootstrapOptions::default(),
            permutations: 10_000,
            meteor_data: None,
            clinical: None,
            uncertain: Uncertain::default(),
            externals: Vec::new(),
        }
    }
}

/// Two prediction sets on the items they have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Name of the first set.
    pub a: String,
    /// Name of the second set.
    pub b: String,
    /// Which image was shown.
    pub condition: ImageCondition,
    /// How the intervals were made.
    pub bootstrap: BootstrapOptions,
    /// Number of random swaps behind the p-values.
    pub permutations: usize,
    /// Scorers outside this program whose scores are compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub externals: Vec<ExternalRun>,
    /// Differences by task.
    pub tasks: Vec<TaskComparison>,
    /// Ids that only the first set has.
    pub only_in_a: Vec<String>,
    /// Ids that only the second set has.
    pub only_in_b: Vec<String>,
    /// Common items without a score, each with its reason.
    pub unscored: Vec<Unscored>,
}

/// Differences on one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskComparison {
    /// The task.
    pub task: Task,
    /// Number of items compared.
    pub n: usize,
    /// Number of groups they come from.
    pub groups: usize,
    /// Items that only the first set answers exactly.
    pub only_a_right: usize,
    /// Items that only the second set answers exactly.
    pub only_b_right: usize,
    /// Exact match.
    pub exact_match: Difference,
    /// Token F1.
    pub token_f1: Difference,
    /// Token recall.
    pub token_recall: Difference,
    /// All other metrics, in the order of tables: BLEU-1 of questions; of captions and reports the lexical
    /// and, where texts are labelled, the clinical ones; then those of external scorers. A metric that is
    /// not defined for one of the two is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<MetricDifference>,
}

/// One metric of both sets, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricDifference {
    /// What tables call it.
    pub name: String,
    /// Whether it is in a unit of its own, as external scores are; else it is a share, or CIDEr.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_unit: bool,
    /// The difference.
    #[serde(flatten)]
    pub difference: Difference,
}

/// One score of both sets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Mean of the first set.
    pub a: f64,
    /// Mean of the second set.
    pub b: f64,
    /// Second less first, with the interval of the paired difference.
    pub difference: Estimate,
    /// Two-sided p-value of no difference.
    pub p_value: f64,
}

/// Compares two prediction sets on their common ids.
///
/// # Errors
/// [`EvalError::NothingInCommon`] when no id is in both, [`EvalError::DifferentItem`] when an id
/// has another reference, group or task in one set than in the other, [`EvalError::DuplicateId`],
/// [`EvalError::Option`] for options that make no sense, [`EvalError::MeteorData`] when METEOR's data is
/// named and cannot be read, [`EvalError::External`] when a scorer outside this program fails.
pub fn compare(
    a: &[Prediction],
    b: &[Prediction],
    options: &CompareOptions,
) -> Result<Comparison, EvalError> {
    options.bootstrap.check()?;
    check_permutations(options.permutations)?;
    let (a, b) = (by_id(a, options.condition)?, by_id(b, options.condition)?);
    let mut pairs: BTreeMap<Task, Pairs<'_>> = BTreeMap::new();
    let mut unscored = Vec::new();
    let mut common = 0;
    for (id, first) in &a {
        let Some(second) = b.get(id) else { continue };
        common += 1;
        same_item(first, second, options)?;
        match (Item::new(first), Item::new(second)) {
            (Ok(x), Ok(y)) => pairs.entry(first.task).or_default().push((x, y)),
            (Err(reason), _) | (_, Err(reason)) => unscored.push(Unscored {
                id: (*id).to_owned(),
                condition: options.condition,
                reason: reason.to_owned(),
            }),
        }
    }
    if common == 0 {
        return Err(EvalError::NothingInCommon {
            a: options.a.clone(),
            in_a: a.len(),
            b: options.b.clone(),
            in_b: b.len(),
            condition: options.condition,
        });
    }
    let without = |these: &BTreeMap<&str, &Prediction>, those: &BTreeMap<&str, &Prediction>| {
        let those: BTreeSet<&str> = those.keys().copied().collect();
        these.keys().filter(|id| !those.contains(**id)).map(|id| (*id).to_owned()).collect()
    };
    let mut tasks = Vec::new();
    let (externals, columns) = run_externals(&pairs, options)?;
    for (task, pairs) in &mut pairs {
        measure_texts(*task, pairs, options)?;
        tasks.push(on_task(*task, pairs, &columns, options));
    }
    Ok(Comparison {
        a: options.a.clone(),
        b: options.b.clone(),
        condition: options.condition,
        bootstrap: options.bootstrap,
        permutations: options.permutations,
        externals,
        tasks,
        only_in_a: without(&a, &b),
        only_in_b: without(&b, &a),
        unscored,
    })
}

/// Refuses numbers of swaps that no p-value can be made with.
pub(crate) fn check_permutations(permutations: usize) -> Result<(), EvalError> {
    if permutations == 0 || permutations > 10_000_000 {
        return Err(EvalError::Option {
            option: "permutations",
            value: permutations.to_string(),
            remedy: "use a number from 1 to 10,000,000; 10,000 is usual",
        });
    }
    Ok(())
}

/// Two systems' grades of the same items, given as (group, grade of A, grade of B), and the number
/// of groups; none without items.
pub(crate) fn paired_difference<'a>(
    items: impl IntoIterator<Item = (&'a str, f64, f64)>,
    options: &BootstrapOptions,
    permutations: usize,
) -> Option<(Difference, usize)> {
    let totals = ClusterTotals::new(items.into_iter().map(|(group, a, b)| (group, [a, b, b - a])));
    if totals.items() == 0 {
        return None;
    }
    let [a, b, difference] = totals.estimates(options);
    let [_, _, p_value] = totals.sign_flip_p_values(permutations, options.seed);
    Some((Difference { a: a.value, b: b.value, difference, p_value }, totals.groups()))
}

fn by_id(
    predictions: &[Prediction],
    condition: ImageCondition,
) -> Result<BTreeMap<&str, &Prediction>, EvalError> {
    let mut found = BTreeMap::new();
    for prediction in predictions.iter().filter(|prediction| prediction.condition == condition) {
        if found.insert(prediction.id.as_str(), prediction).is_some() {
            return Err(EvalError::DuplicateId { id: prediction.id.clone(), condition });
        }
    }
    Ok(found)
}

fn same_item(a: &Prediction, b: &Prediction, options: &CompareOptions) -> Result<(), EvalError> {
    let (task_a, task_b) = (a.task.to_string(), b.task.to_string());
    let others = |line: &Prediction| line.other_references.join("; ");
    let (others_a, others_b) = (others(a), others(b));
    for (field, in_a, in_b) in [
        ("task", &task_a, &task_b),
        ("reference", &a.reference, &b.reference),
        ("other references", &others_a, &others_b),
        ("group", &a.group, &b.group),
    ] {
        if in_a != in_b {
            return Err(EvalError::DifferentItem(Box::new(ItemMismatch {
                id: a.id.clone(),
                field,
                a: options.a.clone(),
                b: options.b.clone(),
                in_a: in_a.clone(),
                in_b: in_b.clone(),
            })));
        }
    }
    Ok(())
}

/// Items of one task, each as A and as B answered it.
type Pairs<'a> = Vec<(Item<'a>, Item<'a>)>;

/// Scores of external scorers, of A and of B.
type Columns = Vec<(Column, Column)>;

/// Runs external scorers, once over each set.
fn run_externals(
    pairs: &BTreeMap<Task, Pairs<'_>>,
    options: &CompareOptions,
) -> Result<(Vec<ExternalRun>, Columns), EvalError> {
    if options.externals.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let all = || pairs.values().flatten();
    let a: Vec<&Prediction> = all().map(|(a, _)| a.prediction).collect();
    let b: Vec<&Prediction> = all().map(|(_, b)| b.prediction).collect();
    let (runs, a) = external::run(&options.externals, &a)?;
    let (_, b) = external::run(&options.externals, &b)?;
    Ok((runs, a.into_iter().zip(b).collect()))
}

/// Fills in what lexical and clinical metrics follow from.
fn measure_texts(
    task: Task,
    pairs: &mut Pairs<'_>,
    options: &CompareOptions,
) -> Result<(), EvalError> {
    let data = options.meteor_data.as_deref().filter(|_| task != Task::Vqa);
    let labelled = is_labelled(task, options.clinical);
    let (a, b): (Vec<_>, Vec<_>) = pairs.iter_mut().map(|(a, b)| (a, b)).unzip();
    for side in [a, b] {
        let mut reader = Reader::new();
        let texts: Vec<_> = side.iter().map(|item| reader.prediction(item.prediction)).collect();
        let measured = measure(&reader, &texts, data)?;
        for (item, measured) in side.into_iter().zip(measured) {
            item.lexical = measured;
            let Prediction { prediction, reference, .. } = item.prediction;
            item.clinical = labelled.then(|| LabelledPair::new(prediction, reference));
        }
    }
    Ok(())
}

/// Differences of all metrics but those of the normalised answers.
fn others(
    task: Task,
    pairs: &Pairs<'_>,
    columns: &Columns,
    options: &CompareOptions,
) -> Vec<MetricDifference> {
    let mut others = Vec::new();
    let mut take = |name: &str, own_unit: bool, difference: Option<Difference>| {
        let name = name.to_owned();
        others.extend(difference.map(|difference| MetricDifference { name, own_unit, difference }));
    };
    let (bootstrap, permutations) = (&options.bootstrap, options.permutations);
    let totals = PairedTotals::new(
        pairs.iter().map(|(a, b)| (a.group(), a.lexical.sums(), b.lexical.sums())),
    );
    let lexical =
        totals.differences(bootstrap, permutations, |items, sums| of_sums(items, sums).map(Some));
    let meteor = match options.meteor_data {
        Some(_) => MeteorKind::Full,
        None => MeteorKind::ExactAndStem,
    };
    let names = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", meteor.name(), "CIDEr"];
    // Of questions only the first means anything, and with one item nothing is rare.
    let shown = match task {
        Task::Vqa => 1,
        _ if pairs.len() > 1 => names.len(),
        _ => names.len() - 1,
    };
    for (name, difference) in names.into_iter().zip(lexical).take(shown) {
        take(name, false, difference);
    }
    let uncertain = options.uncertain;
    let labelled: Vec<_> = pairs
        .iter()
        .filter_map(|(a, b)| {
            Some((a.group(), a.clinical?.sums(uncertain), b.clinical?.sums(uncertain)))
        })
        .collect();
    if !labelled.is_empty() {
        let all = PairedTotals::new(labelled);
        let all = all.differences(bootstrap, permutations, |_, sums| over_findings(sums));
        for (name, difference) in NAMES.into_iter().zip(all) {
            take(name, false, difference);
        }
    }
    for (of_a, of_b) in columns {
        let values = pairs.iter().filter_map(|(a, b)| {
            Some((a.group(), of_a.value(a.prediction)?, of_b.value(b.prediction)?))
        });
        let difference = paired_difference(values, bootstrap, permutations);
        take(&of_a.name, true, difference.map(|(difference, _)| difference));
    }
    others
}

fn on_task(
    task: Task,
    pairs: &Pairs<'_>,
    columns: &Columns,
    options: &CompareOptions,
) -> TaskComparison {
    let differences = ClusterTotals::new(pairs.iter().map(|(a, b)| {
        let difference: [f64; 3] = std::array::from_fn(|k| b.scores[k] - a.scores[k]);
        (a.group(), difference)
    }));
    let mean = |of: fn(&(Item<'_>, Item<'_>)) -> [f64; 3], k: usize| {
        pairs.iter().map(|pair| of(pair)[k]).sum::<f64>() / pairs.len() as f64
    };
    let intervals = differences.estimates(&options.bootstrap);
    let p_values = differences.sign_flip_p_values(options.permutations, options.bootstrap.seed);
    let metric = |k: usize| Difference {
        a: mean(|pair| pair.0.scores, k),
        b: mean(|pair| pair.1.scores, k),
        difference: intervals[k],
        p_value: p_values[k],
    };
    let right = |item: &Item<'_>| item.scores[0] == 1.0;
    TaskComparison {
        task,
        n: pairs.len(),
        groups: differences.groups(),
        only_a_right: pairs.iter().filter(|(a, b)| right(a) && !right(b)).count(),
        only_b_right: pairs.iter().filter(|(a, b)| !right(a) && right(b)).count(),
        exact_match: metric(0),
        token_f1: metric(1),
        token_recall: metric(2),
        others: others(task, pairs, columns, options),
    }
}
