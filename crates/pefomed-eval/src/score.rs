//! From prediction lines to [`Metrics`].

use std::collections::{BTreeMap, BTreeSet};

use pefomed_data::{ImageCondition, Prediction, Task};

use crate::EvalError;
use crate::baseline::{TrainAnswer, baselines};
use crate::bootstrap::{BootstrapOptions, ClusterTotals, Estimate};
use crate::definitions;
use crate::item::{AnswerType, Item, by_label, scores};
use crate::metrics::{
    AnswerTypeRule, ConditionMetrics, ImageDependence, Leakage, Metrics, TaskMetrics, Unscored,
};

/// What scoring needs to know beside the lines.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreOptions {
    /// Name of the split: `test`, `test-disjoint`, …
    pub split: String,
    /// Digest of the split's items, where known.
    pub split_digest: Option<String>,
    /// How many images of the split are also in train, where it was checked.
    pub leakage: Option<Leakage>,
    /// Answers of the training split for the majority baselines; none, no baseline.
    pub train: Vec<TrainAnswer>,
    /// How intervals are made.
    pub bootstrap: BootstrapOptions,
    /// Labels of a column that get a row each; the rarer ones share one.
    pub max_labels: usize,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self {
            split: "test".to_owned(),
            split_digest: None,
            leakage: None,
            train: Vec::new(),
            bootstrap: BootstrapOptions::default(),
            max_labels: 40,
        }
    }
}

/// Scores predictions of one split: any mix of tasks and image conditions, in any order.
///
/// Items are grouped by task, then by condition; every number has its interval, clustered by
/// `group`. No line is dropped: each is counted once or listed in [`Metrics::unscored`].
///
/// # Errors
/// [`EvalError::NoPredictions`] without lines, [`EvalError::DuplicateId`] when an id occurs twice
/// under one condition, [`EvalError::Option`] for bootstrap options that make no sense.
pub fn score(predictions: &[Prediction], options: &ScoreOptions) -> Result<Metrics, EvalError> {
    options.bootstrap.check()?;
    if predictions.is_empty() {
        return Err(EvalError::NoPredictions);
    }
    let mut seen = BTreeSet::new();
    let mut unscored = Vec::new();
    let mut scored: BTreeMap<Task, BTreeMap<ImageCondition, Vec<Item<'_>>>> = BTreeMap::new();
    for prediction in predictions {
        if !seen.insert((prediction.condition, prediction.id.as_str())) {
            return Err(EvalError::DuplicateId {
                id: prediction.id.clone(),
                condition: prediction.condition,
            });
        }
        match Item::new(prediction) {
            Ok(item) => scored
                .entry(prediction.task)
                .or_default()
                .entry(prediction.condition)
                .or_default()
                .push(item),
            Err(reason) => unscored.push(Unscored {
                id: prediction.id.clone(),
                condition: prediction.condition,
                reason: reason.to_owned(),
            }),
        }
    }
    let images: BTreeSet<&str> =
        predictions.iter().filter_map(|prediction| prediction.image.as_deref()).collect();
    Ok(Metrics {
        format: Metrics::FORMAT,
        split: options.split.clone(),
        split_digest: options.split_digest.clone(),
        rows: predictions.len(),
        images: images.len(),
        leakage: options.leakage,
        bootstrap: options.bootstrap,
        tasks: scored
            .into_iter()
            .map(|(task, conditions)| task_metrics(task, &conditions, options))
            .collect(),
        unscored,
        definitions: definitions::all(&options.bootstrap),
    })
}

fn task_metrics(
    task: Task,
    conditions: &BTreeMap<ImageCondition, Vec<Item<'_>>>,
    options: &ScoreOptions,
) -> TaskMetrics {
    let true_items = conditions.get(&ImageCondition::True).map_or(&[][..], Vec::as_slice);
    let is_vqa = task == Task::Vqa;
    // The rule is reported for the items the headline number is about; the controls ask the same.
    let ruled = if true_items.is_empty() {
        conditions.values().next().map_or(&[][..], Vec::as_slice)
    } else {
        true_items
    };
    let by_rule = ruled.iter().filter(|item| item.typed_by_label).count();
    TaskMetrics {
        task,
        answer_type_rule: is_vqa
            .then(|| AnswerTypeRule { by_label: by_rule, by_answer: ruled.len() - by_rule }),
        conditions: conditions
            .iter()
            .map(|(condition, items)| condition_metrics(*condition, items, options))
            .collect(),
        baselines: if is_vqa {
            baselines(true_items, &options.train, &options.bootstrap)
        } else {
            Vec::new()
        },
        image_dependence: [ImageCondition::Blank, ImageCondition::Shuffled]
            .into_iter()
            .filter_map(|control| {
                image_dependence(control, true_items, conditions.get(&control)?, options)
            })
            .collect(),
    }
}

fn condition_metrics(
    condition: ImageCondition,
    items: &[Item<'_>],
    options: &ScoreOptions,
) -> ConditionMetrics {
    let of_type = |kind| {
        let some: Vec<&Item<'_>> =
            items.iter().filter(|item| item.answer_type == Some(kind)).collect();
        (!some.is_empty()).then(|| scores(some, &options.bootstrap))
    };
    let count =
        |keep: fn(&Prediction) -> bool| items.iter().filter(|item| keep(item.prediction)).count();
    ConditionMetrics {
        condition,
        cut: count(|prediction| prediction.finish == pefomed_data::Finish::Length),
        empty: count(|prediction| prediction.prediction.trim().is_empty()),
        overall: scores(items, &options.bootstrap),
        open: of_type(AnswerType::Open),
        closed: of_type(AnswerType::Closed),
        by_label: by_label(items, options.max_labels, &options.bootstrap),
    }
}

/// Pairs items by id; nothing when no item has both images.
fn image_dependence(
    control: ImageCondition,
    true_items: &[Item<'_>],
    control_items: &[Item<'_>],
    options: &ScoreOptions,
) -> Option<ImageDependence> {
    let controls: BTreeMap<&str, &Item<'_>> =
        control_items.iter().map(|item| (item.prediction.id.as_str(), item)).collect();
    let pairs: Vec<(&Item<'_>, f64)> = true_items
        .iter()
        .filter_map(|item| {
            let other = controls.get(item.prediction.id.as_str())?;
            Some((item, item.scores[0] - other.scores[0]))
        })
        .collect();
    let totals = |kind: Option<AnswerType>| {
        ClusterTotals::new(
            pairs
                .iter()
                .filter(|(item, _)| kind.is_none() || item.answer_type == kind)
                .map(|(item, drop)| (item.group(), [*drop])),
        )
    };
    let estimate = |kind: Option<AnswerType>| -> Option<Estimate> {
        let totals = totals(kind);
        (totals.items() > 0).then(|| totals.estimates(&options.bootstrap)[0])
    };
    let all = totals(None);
    Some(ImageDependence {
        control,
        n: all.items(),
        groups: all.groups(),
        unpaired: true_items.len() + control_items.len() - 2 * pairs.len(),
        overall: estimate(None)?,
        open: estimate(Some(AnswerType::Open)),
        closed: estimate(Some(AnswerType::Closed)),
    })
}
