//! What a metrics file holds: numbers, each with the words that say what it means.
//!
//! The file is written for two readers. A script reads the numbers; a person who finds the file a
//! year later reads which rule told open from closed questions, how the intervals were made and
//! how many test images the model had seen in training.

use std::collections::BTreeMap;
use std::path::Path;

use pefomed_data::{ImageCondition, Task, files};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::bootstrap::{BootstrapOptions, Estimate};
use crate::clinical::{ClinicalDifferences, ClinicalScores};
use crate::external::{ExternalRun, ExternalScore};
use crate::lexical::MeteorKind;
use crate::versioned;

/// The contents of `metrics-<split>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Version of this layout: [`Metrics::FORMAT`].
    pub format: u32,
    /// Name of the split that was scored.
    pub split: String,
    /// Digest of the split's items, so that two files can be known to be about the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_digest: Option<String>,
    /// Prediction lines that came in, over all tasks and conditions. Each is counted in one
    /// condition of one task or listed in `unscored`.
    pub rows: usize,
    /// Distinct images that the lines name.
    pub images: usize,
    /// Test images that were also trained on; absent when it was not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leakage: Option<Leakage>,
    /// How the intervals were made.
    pub bootstrap: BootstrapOptions,
    /// Scorers outside this program whose scores stand among the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub externals: Vec<ExternalRun>,
    /// One entry for each task in the file, since their scores mean different things.
    pub tasks: Vec<TaskMetrics>,
    /// Lines that could not be scored, each with its reason.
    #[serde(default)]
    pub unscored: Vec<Unscored>,
    /// What each number means, by name.
    pub definitions: BTreeMap<String, String>,
}

impl Metrics {
    /// Version of the layout that this crate writes.
    pub const FORMAT: u32 = 1;

    /// Name of the metrics file of a split.
    pub fn file_name(split: &str) -> String {
        format!("metrics-{split}.json")
    }

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
    /// [`EvalError::Data`] when it cannot be read or is not a metrics file,
    /// [`EvalError::NewerFormat`] when a newer version wrote it.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        versioned::read(path, Self::FORMAT)
    }

    /// The scores of one task.
    pub fn task(&self, task: Task) -> Option<&TaskMetrics> {
        self.tasks.iter().find(|metrics| metrics.task == task)
    }
}

/// How many images of the scored split the training split has too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leakage {
    /// Images of the scored split.
    pub images: usize,
    /// Those of them that occur in training.
    pub also_in_train: usize,
}

/// A line that no score could be given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unscored {
    /// Id of the item.
    pub id: String,
    /// Which image was shown.
    pub condition: ImageCondition,
    /// Why it has no score.
    pub reason: String,
}

/// Scores of one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskMetrics {
    /// The task.
    pub task: Task,
    /// How open questions were told from closed ones; absent for captions and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_type_rule: Option<AnswerTypeRule>,
    /// Scores by what image was shown, the true one first.
    pub conditions: Vec<ConditionMetrics>,
    /// What answering without looking would score; empty without training answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baselines: Vec<BaselineMetrics>,
    /// What is lost when the image is taken away or exchanged; empty without controls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image_dependence: Vec<ImageDependence>,
}

impl TaskMetrics {
    /// The scores under one condition.
    pub fn condition(&self, condition: ImageCondition) -> Option<&ConditionMetrics> {
        self.conditions.iter().find(|metrics| metrics.condition == condition)
    }
}

/// How many items each half of the open/closed rule decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerTypeRule {
    /// Items whose `answer_type` label says open or closed.
    pub by_label: usize,
    /// Items without such a label: closed when the reference is yes or no, otherwise open.
    pub by_answer: usize,
}

/// Scores under one image condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionMetrics {
    /// Which image was shown.
    pub condition: ImageCondition,
    /// Items whose text was cut at the limit of new tokens.
    pub cut: usize,
    /// Items for which the model wrote nothing.
    pub empty: usize,
    /// All items.
    pub overall: Scores,
    /// Open questions; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Scores>,
    /// Closed questions; absent when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Scores>,
    /// Clinical scores; absent where texts are not labelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinical: Option<ClinicalScores>,
    /// Scores of external scorers over all items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalScore>,
    /// Scores by label column, then label, the most frequent label first.
    pub by_label: BTreeMap<String, Vec<LabelScores>>,
}

/// Scores of some items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Number of items.
    pub n: usize,
    /// Number of groups (images or patients) they come from.
    pub groups: usize,
    /// Share of items whose normal form equals the reference's.
    pub exact_match: Estimate,
    /// Mean token F1.
    pub token_f1: Estimate,
    /// Mean token recall; of open questions what LLaVA-Med reports as its score.
    pub token_recall: Estimate,
    /// BLEU-1 of all answers together; only for questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bleu_1: Option<Estimate>,
    /// The lexical metrics of captions and reports; absent for questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lexical: Option<LexicalScores>,
}

/// Lexical metrics of some texts, or differences of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LexicalScores {
    /// BLEU of single words, between 0 and 1, of all texts together.
    pub bleu_1: Estimate,
    /// BLEU of up to two words.
    pub bleu_2: Estimate,
    /// BLEU of up to three words.
    pub bleu_3: Estimate,
    /// BLEU of up to four words: what is called BLEU without a number.
    pub bleu_4: Estimate,
    /// Mean ROUGE-L, between 0 and 1.
    pub rouge_l: Estimate,
    /// METEOR, between 0 and 1, of all texts together.
    pub meteor: Estimate,
    /// Which METEOR that is.
    pub meteor_kind: MeteorKind,
    /// Mean CIDEr, from 0 to 10; absent when there are not two texts to tell rare words from usual
    /// ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cider: Option<Estimate>,
}

impl LexicalScores {
    /// Every metric with its name, in the order of tables; none where it is not defined.
    pub fn named(&self) -> [(&'static str, Option<Estimate>); 7] {
        [
            ("BLEU-1", Some(self.bleu_1)),
            ("BLEU-2", Some(self.bleu_2)),
            ("BLEU-3", Some(self.bleu_3)),
            ("BLEU-4", Some(self.bleu_4)),
            ("ROUGE-L", Some(self.rouge_l)),
            (self.meteor_kind.name(), Some(self.meteor)),
            ("CIDEr", self.cider),
        ]
    }
}

/// Scores of the items with one label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelScores {
    /// The label.
    pub label: String,
    /// Their scores.
    #[serde(flatten)]
    pub scores: Scores,
}

/// What picks the answer of a majority baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaselineRule {
    /// The most frequent training answer, whatever is asked.
    Overall,
    /// The most frequent one of the same answer type (open or closed).
    AnswerType,
    /// The most frequent one of the same question type.
    QuestionType,
}

impl BaselineRule {
    /// All rules, the simplest first.
    pub const ALL: [Self; 3] = [Self::Overall, Self::AnswerType, Self::QuestionType];

    /// Words for a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overall => "one answer",
            Self::AnswerType => "by answer type",
            Self::QuestionType => "by question type",
        }
    }
}

/// Exact match of answering every question with the majority answer of the training split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineMetrics {
    /// What picks the answer.
    pub rule: BaselineRule,
    /// Number of training answers the majorities were counted over.
    pub train_answers: usize,
    /// The answer by key: answer type, question type, or `(any)`, which also serves keys that
    /// training lacks.
    pub answers: BTreeMap<String, String>,
    /// Exact match over all items under the true image.
    pub overall: Estimate,
    /// Over open questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Estimate>,
    /// Over closed questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Estimate>,
    /// Exact match of the model less that of the baseline, paired over items.
    pub margin: Estimate,
}

/// Scores under the true image less those under a control, paired over items: exact match and token
/// overlap; for captions and reports also the lexical and clinical metrics; and external scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageDependence {
    /// The control.
    pub control: ImageCondition,
    /// Items that have both.
    pub n: usize,
    /// Groups they come from.
    pub groups: usize,
    /// Items that have only one of the two and are left out.
    pub unpaired: usize,
    /// Difference over all paired items.
    pub overall: Estimate,
    /// Difference of token F1; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_f1: Option<Estimate>,
    /// Difference of token recall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_recall: Option<Estimate>,
    /// Over open questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Estimate>,
    /// Over closed questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Estimate>,
    /// Differences of the lexical metrics; absent for questions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lexical: Option<LexicalScores>,
    /// Differences of the clinical scores; absent where texts are not labelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinical: Option<ClinicalDifferences>,
    /// Differences of the external scorers' means.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalScore>,
}
