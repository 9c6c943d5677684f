//! What a check reports: counts, and problems with their rows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ImageSummary;
use crate::split::Leakage;
use crate::{Example, Split, Task};

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Training or evaluation cannot use the row.
    Error,
    /// It can, but the result may not mean what it seems to.
    Warning,
    /// Worth knowing.
    Note,
}

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// A row that cannot be read, left out by a lenient reading.
    UnusableRow,
    /// The image file does not exist.
    MissingImage,
    /// The image file is there and cannot be decoded.
    UnreadableImage,
    /// A question-answering row without a question.
    EmptyQuestion,
    /// A row without an answer, caption or report.
    EmptyAnswer,
    /// The same question about the same image has different answers.
    ConflictingAnswers,
    /// One image file under two names in two splits.
    SharedImageFile,
    /// A 16-bit image that uses less than an eighth of its range: nearly black in 8 bits.
    DimImage,
    /// The same question about the same image occurs again.
    RepeatedQuestion,
    /// One image file under two names in one split.
    RepeatedImageFile,
    /// Two pictures of different splits that look alike.
    SimilarImages,
    /// A row that was mended, or left out by the rules of its layout.
    NotedRow,
    /// An image with 16 bits or transparency, which the conversion to 8-bit RGB changes.
    ConvertedImage,
}

impl ProblemKind {
    /// How much it matters.
    pub fn severity(self) -> Severity {
        match self {
            Self::UnusableRow
            | Self::MissingImage
            | Self::UnreadableImage
            | Self::EmptyQuestion
            | Self::EmptyAnswer => Severity::Error,
            Self::ConflictingAnswers | Self::SharedImageFile | Self::DimImage => Severity::Warning,
            Self::RepeatedQuestion
            | Self::RepeatedImageFile
            | Self::SimilarImages
            | Self::NotedRow
            | Self::ConvertedImage => Severity::Note,
        }
    }
}

/// A row that a problem is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowRef {
    /// Its split, which tells the file where splits are files.
    pub split: Split,
    /// Row in its file, from 1.
    pub row: usize,
    /// Its id.
    pub id: String,
}

impl RowRef {
    pub(super) fn new(example: &Example) -> Self {
        Self { split: example.split, row: example.row, id: example.id.clone() }
    }
}

/// One thing that is wrong or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// How much it matters.
    pub severity: Severity,
    /// The image, question or reason, in a few words.
    pub detail: String,
    /// The rows it is in, in the order of the data set.
    pub rows: Vec<RowRef>,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, detail: String, rows: Vec<RowRef>) -> Self {
        Self { kind, severity: kind.severity(), detail, rows }
    }
}

/// Size of a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SplitCounts {
    /// Rows.
    pub examples: usize,
    /// Distinct groups.
    pub groups: usize,
    /// Distinct images.
    pub images: usize,
}

/// The values of a label column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LabelCounts {
    /// Rows by value.
    pub values: BTreeMap<String, usize>,
    /// Rows without a value.
    pub absent: usize,
}

/// Question-answering rows by two rules of what a closed question is: the label in the file, and
/// whether the answer is yes or no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ByRule {
    /// Rows whose answer is yes or no.
    pub yes_no: usize,
    /// All other rows.
    pub other: usize,
}

/// The answers of the question-answering rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerStatistics {
    /// Rows by their `answer_type`; rows without one are under `unlabelled`.
    pub by_label: BTreeMap<String, ByRule>,
    /// Distinct answers, letter case and final punctuation aside.
    pub distinct: usize,
    /// The ten most frequent answers with their counts; ties in alphabetical order.
    pub most_frequent: Vec<(String, usize)>,
    /// Words of the longest answer.
    pub longest_words: usize,
}

/// Questions that occur more than once about the same image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepeatStatistics {
    /// Questions that occur at least twice within one split.
    pub within_splits: usize,
    /// Questions that occur in more than one split.
    pub between_splits: usize,
    /// Those of both kinds whose answers differ.
    pub conflicting: usize,
}

/// What [`check`](super::check) found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckReport {
    /// Rows.
    pub examples: usize,
    /// Rows that the reading left out because they cannot be used.
    pub skipped: usize,
    /// Rows that the reading mended or left out by the rules of the layout.
    pub noted: usize,
    /// Rows without an image.
    pub text_only: usize,
    /// Distinct groups.
    pub groups: usize,
    /// The splits that have rows.
    pub splits: BTreeMap<Split, SplitCounts>,
    /// Names rows and splits by their contents; see [`split_digest`](crate::split::split_digest).
    pub split_digest: String,
    /// Rows by task.
    pub tasks: BTreeMap<Task, usize>,
    /// The label columns.
    pub labels: BTreeMap<String, LabelCounts>,
    /// The image files.
    pub images: ImageSummary,
    /// The answers.
    pub answers: AnswerStatistics,
    /// Repeated questions.
    pub repeats: RepeatStatistics,
    /// What the evaluated splits share with training, and test with validation.
    pub leakage: Vec<Leakage>,
    /// All problems, the gravest kind first.
    pub problems: Vec<Problem>,
}

impl CheckReport {
    /// Number of problems of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    /// Whether any row cannot be used.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }
}
