//! One scored line, and what it is counted under: open or closed, and its labels.

use std::collections::{BTreeMap, BTreeSet};

use pefomed_data::{Prediction, Task};

use crate::bootstrap::{BootstrapOptions, ClusterTotals, Estimate};
use crate::clinical::LabelledPair;
use crate::lexical::{BleuStatistics, ItemScores, METRICS, MeteorKind, SUMS, of_sums};
use crate::metrics::{LabelScores, LexicalScores, Scores};
use crate::vqa;

/// Label column with the open/closed annotation.
pub(crate) const ANSWER_TYPE: &str = "answer_type";
/// Label column whose values may be several, separated by commas.
pub(crate) const QUESTION_TYPE: &str = "question_type";
/// Row for items that lack the label.
const NO_LABEL: &str = "(no label)";

/// Whether the answer is one of two, or free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum AnswerType {
    Open,
    Closed,
}

impl AnswerType {
    /// The rule: the label where it says so, otherwise whether the reference is yes or no. The
    /// second value tells whether the label decided.
    pub(crate) fn of(labels: &BTreeMap<String, String>, reference: &str) -> (Self, bool) {
        match labels.get(ANSWER_TYPE).map(|label| label.trim().to_lowercase()).as_deref() {
            Some("open") => (Self::Open, true),
            Some("closed") => (Self::Closed, true),
            _ if matches!(vqa::normalise(reference).as_str(), "yes" | "no") => {
                (Self::Closed, false)
            }
            _ => (Self::Open, false),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// A prediction with its scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    pub(crate) prediction: &'a Prediction,
    /// Only for questions.
    pub(crate) answer_type: Option<AnswerType>,
    /// Whether a label decided the answer type.
    pub(crate) typed_by_label: bool,
    /// Exact match, token F1, token recall: each against the accepted answer that it is best for.
    pub(crate) scores: [f64; 3],
    /// What the lexical metrics follow from; set once all items of a condition are known.
    pub(crate) lexical: ItemScores,
    /// Clinical labels of both texts, where they are asked for.
    pub(crate) clinical: Option<LabelledPair>,
}

/// Which lexical metrics some items have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lexical {
    /// Questions: BLEU-1.
    Words,
    /// Captions and reports: all.
    All {
        /// Which METEOR.
        meteor: MeteorKind,
        /// Whether document frequencies mean something.
        cider: bool,
    },
}

impl<'a> Item<'a> {
    /// Scores a line, or says why that cannot be done.
    pub(crate) fn new(prediction: &'a Prediction) -> Result<Self, &'static str> {
        if prediction.reference.trim().is_empty() {
            return Err("the reference is empty");
        }
        let (answer_type, typed_by_label) = match prediction.task {
            Task::Vqa => {
                let (kind, by_label) = AnswerType::of(&prediction.labels, &prediction.reference);
                (Some(kind), by_label)
            }
            Task::Caption | Task::Report => (None, false),
        };
        let text = &prediction.prediction;
        let exact = prediction.references().any(|reference| vqa::exact_match(text, reference));
        let best = |of: fn(vqa::Overlap) -> f64| {
            let each = prediction.references().map(|reference| of(vqa::overlap(text, reference)));
            each.fold(0.0, f64::max)
        };
        let scores =
            [f64::from(u8::from(exact)), best(|shared| shared.f1), best(|shared| shared.recall)];
        let lexical = ItemScores::default();
        let clinical = None;
        Ok(Self { prediction, answer_type, typed_by_label, scores, lexical, clinical })
    }

    pub(crate) fn group(&self) -> &'a str {
        &self.prediction.group
    }
}

/// Scores of some items.
pub(crate) fn scores<'a>(
    items: impl IntoIterator<Item = &'a Item<'a>>,
    lexical: Lexical,
    options: &BootstrapOptions,
) -> Scores {
    let items: Vec<&Item<'_>> = items.into_iter().collect();
    let totals = ClusterTotals::new(items.iter().map(|item| (item.group(), item.scores)));
    let [exact_match, token_f1, token_recall] = totals.estimates(options);
    let (bleu_1, lexical) = match lexical {
        Lexical::Words => (Some(bleu_1(&items, options)), None),
        Lexical::All { meteor, cider } => {
            let sums = items.iter().map(|item| (item.group(), item.lexical.sums()));
            let all = ClusterTotals::new(sums).estimates_of(options, of_sums);
            (None, Some(named(&all, meteor, cider)))
        }
    };
    Scores {
        n: totals.items(),
        groups: totals.groups(),
        exact_match,
        token_f1,
        token_recall,
        bleu_1,
        lexical,
    }
}

/// BLEU-1 alone, from a fourth of the sums.
fn bleu_1(items: &[&Item<'_>], options: &BootstrapOptions) -> Estimate {
    let totals = ClusterTotals::new(items.iter().map(|item| {
        let BleuStatistics { candidate, reference, said, right } = item.lexical.bleu;
        (item.group(), [candidate, reference, said[0], right[0]])
    }));
    let [score] = totals.estimates_of(options, |_, [candidate, reference, said, right]| {
        let all = BleuStatistics {
            candidate: *candidate,
            reference: *reference,
            said: [*said; 4],
            right: [*right; 4],
        };
        [all.scores()[0]]
    });
    score
}

/// Lexical scores of the first text of each pair less those of the second.
pub(crate) fn lexical_differences(
    pairs: &[(&Item<'_>, &Item<'_>)],
    meteor: MeteorKind,
    cider: bool,
    options: &BootstrapOptions,
) -> LexicalScores {
    let totals = ClusterTotals::new(pairs.iter().map(|(item, other)| {
        let mut both = [0.0; 2 * SUMS];
        both[..SUMS].copy_from_slice(&item.lexical.sums());
        both[SUMS..].copy_from_slice(&other.lexical.sums());
        (item.group(), both)
    }));
    let differences = totals.estimates_of(options, |n, both: &[f64; 2 * SUMS]| {
        let part = |from: usize| of_sums(n, &std::array::from_fn(|k| both[from + k]));
        let (ours, other) = (part(0), part(SUMS));
        std::array::from_fn::<f64, METRICS, _>(|metric| ours[metric] - other[metric])
    });
    named(&differences, meteor, cider)
}

fn named(all: &[Estimate; METRICS], meteor_kind: MeteorKind, has_cider: bool) -> LexicalScores {
    let [bleu_1, bleu_2, bleu_3, bleu_4, rouge_l, meteor, cider] = *all;
    let cider = has_cider.then_some(cider);
    LexicalScores { bleu_1, bleu_2, bleu_3, bleu_4, rouge_l, meteor, meteor_kind, cider }
}

/// The parts of a label value, trimmed; only question types are several.
pub(crate) fn parts<'a>(column: &str, value: &'a str) -> Vec<&'a str> {
    let parts: Vec<&str> = if column == QUESTION_TYPE {
        value.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
    } else {
        Some(value.trim()).filter(|part| !part.is_empty()).into_iter().collect()
    };
    parts
}

/// Scores by label column and label. Every item is in at least one row of every column: those
/// without a label have a row of their own, and labels beyond `max_labels` share one.
pub(crate) fn by_label(
    items: &[Item<'_>],
    lexical: Lexical,
    max_labels: usize,
    options: &BootstrapOptions,
) -> BTreeMap<String, Vec<LabelScores>> {
    let columns: BTreeSet<&str> =
        items.iter().flat_map(|item| item.prediction.labels.keys().map(String::as_str)).collect();
    columns
        .into_iter()
        .filter_map(|column| {
            let rows = column_rows(items, column, max_labels);
            // Open and closed have fields of their own; other answer types have only this.
            let is_answer_type = column == ANSWER_TYPE
                && rows.iter().all(|(label, _)| {
                    ["open", "closed", NO_LABEL].contains(&label.to_lowercase().as_str())
                });
            if is_answer_type || rows.is_empty() {
                return None;
            }
            let rows = rows
                .into_iter()
                .map(|(label, members)| LabelScores {
                    label,
                    scores: scores(members.iter().map(|index| &items[*index]), lexical, options),
                })
                .collect();
            Some((column.to_owned(), rows))
        })
        .collect()
}

/// Labels of a column with the indices of their items, the most frequent first.
fn column_rows(
    items: &[Item<'_>],
    column: &str,
    max_labels: usize,
) -> Vec<(String, BTreeSet<usize>)> {
    // Lower-case label -> (how often each spelling occurs, items).
    let mut found: BTreeMap<String, (BTreeMap<&str, usize>, BTreeSet<usize>)> = BTreeMap::new();
    let mut without = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let value = item.prediction.labels.get(column).map_or("", String::as_str);
        let parts = parts(column, value);
        if parts.is_empty() {
            without.insert(index);
        }
        for part in parts {
            let entry = found.entry(part.to_lowercase()).or_default();
            *entry.0.entry(part).or_default() += 1;
            entry.1.insert(index);
        }
    }
    let mut rows: Vec<(String, BTreeSet<usize>)> = found
        .into_values()
        .map(|(spellings, members)| {
            // The most frequent spelling; of equally frequent ones the first in the alphabet.
            let mut label = ("", 0);
            for (spelling, count) in spellings {
                if count > label.1 {
                    label = (spelling, count);
                }
            }
            (label.0.to_owned(), members)
        })
        .collect();
    rows.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    if rows.len() > max_labels {
        let rest = rows.split_off(max_labels);
        let label = format!("({} further labels)", rest.len());
        rows.push((label, rest.into_iter().flat_map(|(_, members)| members).collect()));
    }
    if !without.is_empty() && !rows.is_empty() {
        rows.push((NO_LABEL.to_owned(), without));
    }
    rows
}
