//! The prediction file: one JSON line per item, the contract between models and evaluation.
//!
//! Anything that can write these lines can be scored, whether or not this project trained it.

use std::collections::BTreeMap;
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
    let text = files::read_text(path)?;
    let mut seen = std::collections::HashSet::new();
    let mut predictions = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let row = index + 1;
        let prediction: Prediction =
            serde_json::from_str(line).map_err(|error| DataError::Row {
                path: path.to_owned(),
                row,
                problem: format!("not a prediction: {error}"),
            })?;
        if !seen.insert((prediction.id.clone(), prediction.condition)) {
            return Err(DataError::Row {
                path: path.to_owned(),
                row,
                problem: format!("id `{}` occurs twice", prediction.id),
            });
        }
        predictions.push(prediction);
    }
    Ok(predictions)
}
