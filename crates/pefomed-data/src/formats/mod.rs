//! Data set layouts: one adapter for each, all ending in [`Example`].
//!
//! The originals come first: a data set is read as its authors publish it, with its numbers among
//! the answers and its slips in the labels, so that nobody has to convert files before training.
//! A row that cannot be understood is an error with its number, never a row silently left out:
//! a score over fewer questions than the paper's is not the paper's score.

pub mod jsonl;
mod row;
pub mod vqa_rad;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{DataError, Example, names};

pub use jsonl::write_jsonl;

/// A data set layout this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// VQA-RAD: the official release, or the usual `trainset.json` and `testset.json`.
    VqaRad,
    /// This project's own neutral layout: one JSON object a line.
    Jsonl,
}

impl Format {
    /// All formats, in the order messages list them.
    pub const ALL: [Self; 2] = [Self::VqaRad, Self::Jsonl];

    /// The name used on the command line and in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::VqaRad => "vqa-rad",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.map(Self::name);
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            DataError::UnknownFormat {
                name: name.to_owned(),
                known: known.join(", "),
                suggestion: names::suggestion(name, known),
            }
        })
    }
}

/// Reads a data set in its published order. Images are located, not opened: whether they exist
/// and decode is the business of [`check`](crate::check::check).
///
/// `images_dir` is the folder that image names are relative to; each format says where it looks
/// when none is given.
///
/// # Errors
/// [`DataError::Read`], [`DataError::Json`] or [`DataError::Layout`] when the file as a whole is
/// not what the format promises, [`DataError::Row`] for the first malformed row, with its number
/// and the remedy, and [`DataError::NoExamples`] for a data set without rows.
pub fn read(
    format: Format,
    path: &Path,
    images_dir: Option<&Path>,
) -> Result<Vec<Example>, DataError> {
    let examples = match format {
        Format::VqaRad => vqa_rad::read(path, images_dir),
        Format::Jsonl => jsonl::read(path, images_dir),
    }?;
    if examples.is_empty() {
        return Err(DataError::NoExamples { path: path.to_owned() });
    }
    Ok(examples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_format_is_told_the_nearest_one() {
        let message = "vqarad".parse::<Format>().unwrap_err().to_string();
        assert_eq!(
            message,
            "unknown format `vqarad`: known are vqa-rad, jsonl; did you mean `vqa-rad`?"
        );
        let message = "parquet".parse::<Format>().unwrap_err().to_string();
        assert_eq!(message, "unknown format `parquet`: known are vqa-rad, jsonl");
    }

    #[test]
    fn names_go_there_and_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
    }
}
