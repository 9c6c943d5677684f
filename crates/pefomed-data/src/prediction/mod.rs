//! The prediction file: one JSON line per item, the contract between models and evaluation.
//!
//! Anything that can write these lines can be scored, whether or not this project trained it; and
//! [`read_results`] takes less, a table or lines with a reference and a prediction.

mod columns;
mod lines;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::example::Task;
use crate::{DataError, files};

/// Why generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// The model wrote its end token.
    Stop,
    /// The limit of new tokens was reached: the text may be cut.
    Length,
}

/// Which image the model was shown: the true one, or a control.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum ImageCondition {
    /// The image the question is about.
    #[default]
    True,
    /// A uniform image: what can be answered from the question alone.
    Blank,
    /// The image of another group of the same split: what a wrong image does.
    Shuffled,
}

impl ImageCondition {
    /// All conditions, the true image first.
    pub const ALL: [Self; 3] = [Self::True, Self::Blank, Self::Shuffled];

    /// The word used in file names and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::Blank => "blank",
            Self::Shuffled => "shuffled",
        }
    }
}

/// One line of `predictions-<split>.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Id of the example.
    pub id: String,
    /// Name of the image the example is about (the first, when there are several).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Image or patient: the unit intervals are clustered by.
    pub group: String,
    /// What was asked.
    pub task: Task,
    /// The question as the data set writes it.
    pub question: String,
    /// The whole prompt the model read, with `<ImageHere>` where the image stood.
    pub prompt: String,
    /// What the model wrote.
    pub prediction: String,
    /// What the data set says.
    pub reference: String,
    /// What it accepts as well, where it has several answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_references: Vec<String>,
    /// Label columns of the example.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Number of tokens generated, the end token not counted.
    pub tokens: usize,
    /// Why generation ended.
    pub finish: Finish,
    /// Which image was shown.
    #[serde(default)]
    pub condition: ImageCondition,
}

impl Prediction {
    /// All accepted answers, the first being [`Self::reference`]; blank ones are none.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        let others = self.other_references.iter().map(String::as_str);
        let others = others.filter(|text| !text.trim().is_empty());
        std::iter::once(self.reference.as_str()).chain(others)
    }
}

/// Writes predictions as JSON lines, whole or not at all.
///
/// # Errors
/// [`DataError::Write`] when the file cannot be written.
pub fn write_predictions(path: &Path, predictions: &[Prediction]) -> Result<(), DataError> {
    files::write_atomically(path, |out| {
        for prediction in predictions {
            serde_json::to_writer(&mut *out, prediction)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// Reads a prediction file; blank lines are skipped.
///
/// # Errors
/// [`DataError::Read`] when the file cannot be read, [`DataError::Row`] for a line that is not a
/// prediction or repeats an id under the same condition, with the line's number.
pub fn read_predictions(path: &Path) -> Result<Vec<Prediction>, DataError> {
    lines::read(path, &files::read_text(path)?, None, false)
}

/// Reads the results of any model: a `.csv` or `.tsv` table with a head line, or JSON lines.
///
/// Needed are a reference and a prediction, under one of their usual names (`answer`, `ground_truth`,
/// `candidate`, `output`, …; case does not matter). Known are also id (the row's number without one),
/// image, group (the image, or the item itself without one), question, task (questions are VQA, all
/// else reports, unless `task` says otherwise) and condition; in JSON lines also `other_references`, a
/// list of further accepted answers; any other column is a label. Whole
/// prediction lines are read as [`read_predictions`] does.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Layout`] for a head line without the two columns, or a file that
/// is not UTF-8 text at all; [`DataError::Row`] with line and column for a row that cannot be read or
/// repeats an id; [`DataError::NoExamples`] for a table without rows.
pub fn read_results(path: &Path, task: Option<Task>) -> Result<Vec<Prediction>, DataError> {
    let extension = path.extension().and_then(|name| name.to_str()).unwrap_or_default();
    match extension.to_lowercase().as_str() {
        "csv" | "tsv" | "tab" => table::read(path, task),
        _ => {
            let text = files::read_text(path)?;
            lines::read(path, text.strip_prefix('\u{FEFF}').unwrap_or(&text), task, true)
        }
    }
}

/// Ids that have been read, with the line of each.
#[derive(Default)]
struct Seen {
    lines: HashMap<(String, ImageCondition), usize>,
}

impl Seen {
    /// Takes note of a prediction, or says where its id occurred before.
    fn add(&mut self, prediction: &Prediction, line: usize) -> Result<(), String> {
        match self.lines.insert((prediction.id.clone(), prediction.condition), line) {
            None => Ok(()),
            Some(before) => Err(format!(
                "id `{}` occurs twice (first in row {before}): give every item an id of its own, or \
                 leave ids out",
                prediction.id
            )),
        }
    }
}
