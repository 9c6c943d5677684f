//! From prediction lines to [`Metrics`], and to grades of single items.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use pefomed_data::{ImageCondition, Prediction, Task};

use crate::EvalError;
use crate::baseline::{TrainAnswer, baselines};
use crate::bootstrap::{BootstrapOptions, ClusterTotals, Estimate};
use crate::clinical::{LabelLine, LabelledPair, Uncertain, clinical_differences, clinical_scores};
use crate::definitions;
use crate::external::{self, Column, ExternalRun, ExternalScore, ExternalScorer};
use crate::grade::{Grade, GraderKind, Scale};
use crate::item::{AnswerType, Item, Lexical, by_label, lexical_differences, scores};
use crate::lexical::{MeteorKind, Reader, measure};
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
    /// METEOR's archive or the folder that holds it; without it METEOR matches exact words and stems
    /// only and is named so.
    pub meteor_data: Option<PathBuf>,
    /// Whether texts get clinical labels: reports do and captions do not, unless this says otherwise.
    /// Answers to questions never do.
    pub clinical: Option<bool>,
    /// What an uncertain finding counts as.
    pub uncertain: Uncertain,
    /// Scorers outside this program, which are run when the lines are scored.
    pub externals: Vec<ExternalScorer>,
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
            meteor_data: None,
            clinical: None,
            uncertain: Uncertain::default(),
            externals: Vec::new(),
        }
    }
}

/// What this program's own metrics are called in tables and in grades.
pub(crate) const METRIC_NAMES: [&str; 17] = [
    "exact match",
    "token F1",
    "token recall",
    "BLEU-1",
    "BLEU-2",
    "BLEU-3",
    "BLEU-4",
    "ROUGE-L",
    "METEOR",
    "METEOR (exact and stem only)",
    "CIDEr",
    "clinical F1",
    "F1-14 micro",
    "F1-14 macro",
    "F1-5 micro",
    "F1-5 macro",
    "accuracy",
];

/// Scores predictions of one split: any mix of tasks and image conditions, in any order.
///
/// Items are grouped by task, then by condition; every number has its interval, clustered by
/// `group`. No line is dropped: each is counted once or listed in [`Metrics::unscored`].
///
/// # Errors
/// As [`Scoring::new`].
pub fn score(predictions: &[Prediction], options: &ScoreOptions) -> Result<Metrics, EvalError> {
    Ok(Scoring::new(predictions, options)?.metrics())
}

/// Predictions of one split, each scored on its own.
#[derive(Clone, Debug)]
pub struct Scoring<'a> {
    predictions: &'a [Prediction],
    options: &'a ScoreOptions,
    items: BTreeMap<Task, BTreeMap<ImageCondition, Vec<Item<'a>>>>,
    unscored: Vec<Unscored>,
    externals: Vec<ExternalRun>,
    columns: Vec<Column>,
}

impl<'a> Scoring<'a> {
    /// Scores every line.
    ///
    /// # Errors
    /// [`EvalError::NoPredictions`] without lines, [`EvalError::DuplicateId`] when an id occurs twice
    /// under one condition, [`EvalError::Option`] for bootstrap options that make no sense,
    /// [`EvalError::MeteorData`] when METEOR's data is named and cannot be read,
    /// [`EvalError::External`] when a scorer outside this program fails.
    pub fn new(
        predictions: &'a [Prediction],
        options: &'a ScoreOptions,
    ) -> Result<Self, EvalError> {
        options.bootstrap.check()?;
        if predictions.is_empty() {
            return Err(EvalError::NoPredictions);
        }
        let mut seen = BTreeSet::new();
        let mut scoring = Self {
            predictions,
            options,
            items: BTreeMap::new(),
            unscored: Vec::new(),
            externals: Vec::new(),
            columns: Vec::new(),
        };
        for prediction in predictions {
            if !seen.insert((prediction.condition, prediction.id.as_str())) {
                return Err(EvalError::DuplicateId {
                    id: prediction.id.clone(),
                    condition: prediction.condition,
                });
            }
            match Item::new(prediction) {
                Ok(item) => scoring
                    .items
                    .entry(prediction.task)
                    .or_default()
                    .entry(prediction.condition)
                    .or_default()
                    .push(item),
                Err(reason) => scoring.unscored.push(Unscored {
                    id: prediction.id.clone(),
                    condition: prediction.condition,
                    reason: reason.to_owned(),
                }),
            }
        }
        for (task, conditions) in &mut scoring.items {
            for items in conditions.values_mut() {
                // Of questions only BLEU is shown, which needs no data.
                let data = options.meteor_data.as_deref().filter(|_| *task != Task::Vqa);
                let mut reader = Reader::new();
                let pairs: Vec<_> =
                    items.iter().map(|item| reader.prediction(item.prediction)).collect();
                for (item, measured) in items.iter_mut().zip(measure(&reader, &pairs, data)?) {
                    item.lexical = measured;
                }
                if is_labelled(*task, options.clinical) {
                    for item in items {
                        let Prediction { prediction, reference, .. } = item.prediction;
                        item.clinical = Some(LabelledPair::new(prediction, reference));
                    }
                }
            }
        }
        if !options.externals.is_empty() {
            let items = scoring.items.values().flat_map(BTreeMap::values).flatten();
            let items: Vec<&Prediction> = items.map(|item| item.prediction).collect();
            (scoring.externals, scoring.columns) = external::run(&options.externals, &items)?;
        }
        Ok(scoring)
    }

    fn meteor_kind(&self) -> MeteorKind {
        match self.options.meteor_data {
            Some(_) => MeteorKind::Full,
            None => MeteorKind::ExactAndStem,
        }
    }

    /// Scores of all lines together, with intervals, controls and definitions.
    pub fn metrics(&self) -> Metrics {
        let images: BTreeSet<&str> =
            self.predictions.iter().filter_map(|prediction| prediction.image.as_deref()).collect();
        let options = self.options;
        let has_texts = self.items.keys().any(|task| *task != Task::Vqa);
        let meteor = has_texts.then(|| self.meteor_kind());
        let labelled = self.items.keys().any(|task| is_labelled(*task, options.clinical));
        let labelled = labelled.then_some(options.uncertain);
        let has_externals = !self.externals.is_empty();
        let has_several = self.predictions.iter().any(|line| line.references().nth(1).is_some());
        Metrics {
            format: Metrics::FORMAT,
            split: options.split.clone(),
            split_digest: options.split_digest.clone(),
            rows: self.predictions.len(),
            images: images.len(),
            leakage: options.leakage,
            bootstrap: options.bootstrap,
            externals: self.externals.clone(),
            tasks: self.items.keys().filter_map(|task| self.task_metrics(*task)).collect(),
            unscored: self.unscored.clone(),
            definitions: definitions::all(
                &options.bootstrap,
                meteor,
                labelled,
                has_externals,
                has_several,
            ),
        }
    }

    /// What each metric says of each single item: one grade for each. Items under a control count as
    /// another system, `NAME (blank image)`.
    pub fn grades(&self, system: &str) -> Vec<Grade> {
        let mut grades = Vec::new();
        for (task, conditions) in &self.items {
            for (condition, items) in conditions {
                let system = match condition {
                    ImageCondition::True => system.to_owned(),
                    other => format!("{system} ({} image)", other.name()),
                };
                for item in items {
                    let [exact, f1, recall] = item.scores;
                    let mut named = vec![
                        ("exact match", Scale::Correct, Some(exact)),
                        ("token F1", Scale::Score, Some(f1)),
                        ("token recall", Scale::Score, Some(recall)),
                    ];
                    let lexical = item.lexical.scores();
                    named.push(("BLEU-1", Scale::Score, Some(lexical[0])));
                    if *task != Task::Vqa {
                        let names =
                            ["BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", self.meteor_kind().name()];
                        for (name, value) in names.into_iter().zip(&lexical[1..]) {
                            named.push((name, Scale::Score, Some(*value)));
                        }
                        if items.len() > 1 {
                            named.push(("CIDEr", Scale::Score, Some(lexical[6])));
                        }
                    }
                    if let Some(labelled) = item.clinical {
                        named.push((
                            "clinical F1",
                            Scale::Score,
                            labelled.f1(self.options.uncertain),
                        ));
                    }
                    for column in &self.columns {
                        named.push((&column.name, Scale::Score, column.value(item.prediction)));
                    }
                    grades.extend(named.into_iter().map(|(grader, scale, value)| Grade {
                        system: system.clone(),
                        id: item.prediction.id.clone(),
                        group: item.prediction.group.clone(),
                        grader: grader.to_owned(),
                        kind: GraderKind::Metric,
                        scale,
                        repeat: 0,
                        value,
                    }));
                }
            }
        }
        grades
    }

    /// Clinical labels of every item that has them, the true image first.
    pub fn labels(&self, system: &str) -> Vec<LabelLine> {
        let items = self.items.values().flat_map(BTreeMap::values).flatten();
        items
            .filter_map(|item| Some(LabelLine::new(system, item.prediction, item.clinical?)))
            .collect()
    }

    fn task_metrics(&self, task: Task) -> Option<TaskMetrics> {
        let conditions = self.items.get(&task)?;
        let options = self.options;
        let true_items = conditions.get(&ImageCondition::True).map_or(&[][..], Vec::as_slice);
        let is_vqa = task == Task::Vqa;
        // The rule is reported for the items the headline number is about; the controls ask the same.
        let ruled = if true_items.is_empty() {
            conditions.values().next().map_or(&[][..], Vec::as_slice)
        } else {
            true_items
        };
        let by_rule = ruled.iter().filter(|item| item.typed_by_label).count();
        let metrics = |(condition, items): (&ImageCondition, &Vec<Item<'_>>)| {
            let lexical = if is_vqa {
                Lexical::Words
            } else {
                Lexical::All { meteor: self.meteor_kind(), cider: items.len() > 1 }
            };
            self.condition_metrics(*condition, items, lexical)
        };
        Some(TaskMetrics {
            task,
            answer_type_rule: is_vqa
                .then(|| AnswerTypeRule { by_label: by_rule, by_answer: ruled.len() - by_rule }),
            conditions: conditions.iter().map(metrics).collect(),
            baselines: if is_vqa {
                baselines(true_items, &options.train, &options.bootstrap)
            } else {
                Vec::new()
            },
            image_dependence: [ImageCondition::Blank, ImageCondition::Shuffled]
                .into_iter()
                .filter_map(|control| {
                    let items = conditions.get(&control)?;
                    let lexical = (!is_vqa).then(|| self.meteor_kind());
                    self.image_dependence(control, true_items, items, lexical)
                })
                .collect(),
        })
    }

    fn condition_metrics(
        &self,
        condition: ImageCondition,
        items: &[Item<'_>],
        lexical: Lexical,
    ) -> ConditionMetrics {
        let options = self.options;
        let of_type = |kind| {
            let some: Vec<&Item<'_>> =
                items.iter().filter(|item| item.answer_type == Some(kind)).collect();
            (!some.is_empty()).then(|| scores(some, lexical, &options.bootstrap))
        };
        let count = |keep: fn(&Prediction) -> bool| {
            items.iter().filter(|item| keep(item.prediction)).count()
        };
        let labelled = items.iter().filter_map(|item| Some((item.group(), item.clinical?)));
        let has_labels = items.iter().any(|item| item.clinical.is_some());
        let external = self.columns.iter().map(|column| {
            let values = items.iter().filter_map(|item| {
                Some((item.prediction.group.as_str(), [column.value(item.prediction)?]))
            });
            let [estimate] = ClusterTotals::new(values).estimates(&options.bootstrap);
            ExternalScore { name: column.name.clone(), estimate }
        });
        ConditionMetrics {
            condition,
            cut: count(|prediction| prediction.finish == pefomed_data::Finish::Length),
            empty: count(|prediction| prediction.prediction.trim().is_empty()),
            overall: scores(items, lexical, &options.bootstrap),
            open: of_type(AnswerType::Open),
            closed: of_type(AnswerType::Closed),
            clinical: has_labels
                .then(|| clinical_scores(labelled, options.uncertain, &options.bootstrap)),
            external: external.collect(),
            by_label: by_label(items, lexical, options.max_labels, &options.bootstrap),
        }
    }

    /// Pairs items by id; nothing when no item has both images.
    fn image_dependence(
        &self,
        control: ImageCondition,
        true_items: &[Item<'_>],
        control_items: &[Item<'_>],
        meteor: Option<MeteorKind>,
    ) -> Option<ImageDependence> {
        let options = &self.options.bootstrap;
        let controls: BTreeMap<&str, &Item<'_>> =
            control_items.iter().map(|item| (item.prediction.id.as_str(), item)).collect();
        let pairs: Vec<(&Item<'_>, &Item<'_>)> = true_items
            .iter()
            .filter_map(|item| Some((item, *controls.get(item.prediction.id.as_str())?)))
            .collect();
        let totals = |kind: Option<AnswerType>| {
            ClusterTotals::new(
                pairs.iter().filter(|(item, _)| kind.is_none() || item.answer_type == kind).map(
                    |(item, other)| {
                        let lost = |k: usize| item.scores[k] - other.scores[k];
                        (item.group(), [lost(0), lost(1), lost(2)])
                    },
                ),
            )
        };
        let estimate = |kind: Option<AnswerType>| -> Option<Estimate> {
            let totals = totals(kind);
            (totals.items() > 0).then(|| totals.estimates(options)[0])
        };
        let all = totals(None);
        let [_, token_f1, token_recall] = all.estimates(options);
        // Two files with one item each have no document frequencies to speak of.
        let has_cider = true_items.len() > 1 && control_items.len() > 1;
        let labelled = pairs
            .iter()
            .filter_map(|(item, other)| Some((item.group(), item.clinical?, other.clinical?)));
        let has_labels = labelled.clone().next().is_some();
        let external = self.columns.iter().map(|column| {
            let values = pairs.iter().filter_map(|(item, other)| {
                let [ours, other] = [item, other].map(|item| column.value(item.prediction));
                Some((item.group(), [ours? - other?]))
            });
            let [estimate] = ClusterTotals::new(values).estimates(options);
            ExternalScore { name: column.name.clone(), estimate }
        });
        Some(ImageDependence {
            control,
            n: all.items(),
            groups: all.groups(),
            unpaired: true_items.len() + control_items.len() - 2 * pairs.len(),
            overall: estimate(None)?,
            token_f1: (all.items() > 0).then_some(token_f1),
            token_recall: (all.items() > 0).then_some(token_recall),
            open: estimate(Some(AnswerType::Open)),
            closed: estimate(Some(AnswerType::Closed)),
            lexical: meteor.map(|meteor| lexical_differences(&pairs, meteor, has_cider, options)),
            clinical: has_labels
                .then(|| clinical_differences(labelled, self.options.uncertain, options)),
            external: external.collect(),
        })
    }
}

/// Whether texts of a task get clinical labels.
pub(crate) fn is_labelled(task: Task, asked: Option<bool>) -> bool {
    task != Task::Vqa && asked.unwrap_or(task == Task::Report)
}
