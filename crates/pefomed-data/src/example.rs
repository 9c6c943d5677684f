//! The one shape that every data set is read into.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What the model is asked to do; it fixes the tag in the prompt (`[vqa]`, `[caption]`, `[report]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// A question about an image with a short answer.
    Vqa,
    /// A caption of an image: the alignment stage.
    Caption,
    /// A radiology report.
    Report,
}

impl Task {
    /// The tag that stands before the instruction, without brackets.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Vqa => "vqa",
            Self::Caption => "caption",
            Self::Report => "report",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

/// The part of a data set an example belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Seen in training.
    Train,
    /// For choosing settings.
    Val,
    /// For the numbers that are reported.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        })
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "train" => Ok(Self::Train),
            "val" | "valid" | "validation" | "dev" => Ok(Self::Val),
            "test" => Ok(Self::Test),
            other => Err(format!("unknown split `{other}`: use train, val or test")),
        }
    }
}

/// Where the pixels of an image come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageSource {
    /// The name results show and splits are keyed by: the file name as the data set writes it.
    pub name: String,
    /// The file on disk.
    pub path: PathBuf,
}

/// One question, caption or report about zero or more images.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Unique within its data set; stable from run to run.
    pub id: String,
    /// The images in the order the prompt refers to them.
    pub images: Vec<ImageSource>,
    /// What is asked.
    pub task: Task,
    /// The question or instruction as written in the data set, not yet a prompt.
    pub instruction: String,
    /// The reference answer, caption or report.
    pub answer: String,
    /// The unit that must not be shared between splits and that intervals are clustered by: the
    /// patient where the data set names one, otherwise the image.
    pub group: String,
    /// The split as the data set publishes it.
    pub split: Split,
    /// Label columns by name: `answer_type`, `question_type`, `organ`, `modality`, …
    /// Values are trimmed; a missing label is absent, never empty.
    pub labels: BTreeMap<String, String>,
    /// Row in the file it was read from, counted from 1: for messages.
    pub row: usize,
}
