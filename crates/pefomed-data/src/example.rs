//! The one shape that every data set is read into.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DataError;
use crate::image::{DecodedImage, ImageFile, view};
use crate::parquet_file::ParquetCell;

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
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Vqa, Self::Caption, Self::Report];

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

impl FromStr for Task {
    type Err = String;

    /// From its [tag](Self::tag).
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|task| task.tag() == name)
            .ok_or_else(|| format!("unknown task `{name}`: use vqa, caption or report"))
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
            "val" | "valid" | "validation" | "validate" | "dev" => Ok(Self::Val),
            "test" => Ok(Self::Test),
            other => Err(format!("unknown split `{other}`: use train, val or test")),
        }
    }
}

/// Where the bytes of an image lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImagePlace {
    /// In a file of its own.
    File(PathBuf),
    /// Inside a parquet file.
    Parquet(ParquetCell),
}

/// Where the pixels of an image come from; the bytes are read when they are needed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageSource {
    /// The name results show and splits are keyed by: the file name as the data set writes it, for
    /// an image inside another file the digest of its bytes.
    pub name: String,
    /// Where it lies.
    pub place: ImagePlace,
}

impl ImageSource {
    /// An image in a file of its own.
    pub fn file(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), place: ImagePlace::File(path.into()) }
    }

    /// The file on disk that holds the image: its own, or the parquet file it is part of.
    pub fn path(&self) -> PathBuf {
        match &self.place {
            ImagePlace::File(path) => view::file_of(path),
            ImagePlace::Parquet(cell) => cell.path.to_path_buf(),
        }
    }

    /// The image's own file, if it has one, with the view that is asked for.
    pub fn own_file(&self) -> Option<&Path> {
        match &self.place {
            ImagePlace::File(path) => Some(path),
            ImagePlace::Parquet(_) => None,
        }
    }

    /// The place in words, for messages.
    pub fn location(&self) -> String {
        match &self.place {
            ImagePlace::File(path) => path.display().to_string(),
            ImagePlace::Parquet(cell) => cell.to_string(),
        }
    }

    /// The group of examples about this image, where a data set names none: the image's name without
    /// the view, so that slices of one volume stay together.
    pub fn group(&self) -> String {
        view::split(&self.name).0.to_owned()
    }

    /// Reads the image file, with the view that the path asks for.
    ///
    /// # Errors
    /// Those of [`ImageFile::read`], and [`DataError::Layout`] for a parquet file that is damaged or
    /// has changed.
    pub fn read(&self) -> Result<ImageFile, DataError> {
        match &self.place {
            ImagePlace::File(path) => ImageFile::read(path),
            ImagePlace::Parquet(cell) => Ok(ImageFile::inside(&self.location(), cell.read()?)),
        }
    }

    /// Reads and decodes the image.
    ///
    /// # Errors
    /// Those of [`Self::read`] and of [`ImageFile::decode`].
    pub fn decode(&self) -> Result<DecodedImage, DataError> {
        self.read()?.decode()
    }
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
    /// Further answers that are as right, where a data set has several; most have none.
    pub other_answers: Vec<String>,
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
