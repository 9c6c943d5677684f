//! What a model scores that knows the training answers and never looks at an image.
//!
//! A Med-VQA score means little without it: half the closed questions of a data set may be
//! answered by "no".

use std::collections::BTreeMap;

use crate::bootstrap::{BootstrapOptions, ClusterTotals, Estimate};
use crate::item::{AnswerType, Item, QUESTION_TYPE, parts};
use crate::metrics::{BaselineMetrics, BaselineRule};
use crate::vqa;

/// Key of the majority over all training answers.
const ANY: &str = "(any)";

/// One answer of the training split, as the baseline needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainAnswer {
    /// The answer.
    pub answer: String,
    /// Label columns of the example; `answer_type` and `question_type` are used.
    pub labels: BTreeMap<String, String>,
}

/// Scores the baselines that the training answers allow.
///
/// A rule is left out when it cannot differ from a simpler one: by question type where training
/// has no such label.
pub(crate) fn baselines(
    items: &[Item<'_>],
    train: &[TrainAnswer],
    options: &BootstrapOptions,
) -> Vec<BaselineMetrics> {
    if train.is_empty() || items.is_empty() {
        return Vec::new();
    }
    BaselineRule::ALL
        .into_iter()
        .filter(|rule| {
            *rule != BaselineRule::QuestionType
                || train.iter().any(|answer| answer.labels.contains_key(QUESTION_TYPE))
        })
        .map(|rule| baseline(rule, items, train, options))
        .collect()
}

fn baseline(
    rule: BaselineRule,
    items: &[Item<'_>],
    train: &[TrainAnswer],
    options: &BootstrapOptions,
) -> BaselineMetrics {
    let mut counted: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for answer in train {
        let normal = vqa::comparable(&answer.answer);
        let (kind, _) = AnswerType::of(&answer.labels, &answer.answer);
        let key = key(rule, &answer.labels, kind);
        for key in [key.as_deref(), Some(ANY)].into_iter().flatten() {
            *counted.entry(key.to_owned()).or_default().entry(normal.clone()).or_default() += 1;
        }
    }
    let answers: BTreeMap<String, String> =
        counted.into_iter().map(|(key, counts)| (key, majority(counts))).collect();

    let hits: Vec<f64> = items
        .iter()
        .map(|item| {
            let kind = item.answer_type.unwrap_or(AnswerType::Open);
            let answer = key(rule, &item.prediction.labels, kind)
                .and_then(|key| answers.get(&key))
                .or_else(|| answers.get(ANY));
            let mut accepted = item.prediction.references().map(vqa::comparable);
            let is_right = answer.is_some_and(|answer| accepted.any(|text| text == *answer));
            f64::from(u8::from(is_right))
        })
        .collect();
    let estimate = |keep: &dyn Fn(&Item<'_>) -> bool| {
        let totals = ClusterTotals::new(
            items
                .iter()
                .zip(&hits)
                .filter(|(item, _)| keep(item))
                .map(|(item, hit)| (item.group(), [*hit, item.scores[0] - hit])),
        );
        (totals.items() > 0).then(|| totals.estimates(options))
    };
    let nothing = Estimate { value: 0.0, low: None, high: None };
    let [overall, margin] = estimate(&|_| true).unwrap_or([nothing; 2]);
    let of_type = |kind| estimate(&|item| item.answer_type == Some(kind)).map(|[hit, _]| hit);
    BaselineMetrics {
        rule,
        train_answers: train.len(),
        answers,
        overall,
        open: of_type(AnswerType::Open),
        closed: of_type(AnswerType::Closed),
        margin,
    }
}

/// What the majority is taken within; nothing when the item lacks the label.
fn key(rule: BaselineRule, labels: &BTreeMap<String, String>, kind: AnswerType) -> Option<String> {
    match rule {
        BaselineRule::Overall => None,
        BaselineRule::AnswerType => Some(kind.name().to_owned()),
        BaselineRule::QuestionType => {
            // A question of several types is a type of its own, in whatever order they stand.
            let mut types: Vec<String> = parts(QUESTION_TYPE, labels.get(QUESTION_TYPE)?)
                .into_iter()
                .map(str::to_lowercase)
                .collect();
            types.sort();
            types.dedup();
            (!types.is_empty()).then(|| types.join(", "))
        }
    }
}

/// The most frequent answer; of equally frequent ones the first in the alphabet.
fn majority(counts: BTreeMap<String, usize>) -> String {
    let mut best = (String::new(), 0);
    for (answer, count) in counts {
        if count > best.1 {
            best = (answer, count);
        }
    }
    best.0
}
