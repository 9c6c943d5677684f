//! Data set layouts: one adapter for each, all ending in [`Example`].
//!
//! The originals come first: a data set is read as its authors publish it, with its numbers among
//! the answers and its slips in the labels, so that nobody has to convert files before training.
//! A row that cannot be understood is an error with its number, never a row silently left out:
//! a score over fewer questions than the paper's is not the paper's score.

mod annotation;
mod captions;
mod columns;
mod conversation;
mod csv;
mod json;
pub mod jsonl;
mod locate;
mod m3g;
mod medexpqa;
mod medicat;
mod mimic_cxr;
mod openi_xml;
mod options;
mod parquet;
mod pathvqa;
mod pickle;
mod reading;
mod row;
mod slake;
mod vqa_rad;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{DataError, Example, names};

pub use jsonl::write_jsonl;
pub use options::{Columns, Language, ReadOptions, Sections, Views};
pub(crate) use parquet::images_inside;
pub use reading::Problems;

use conversation::Shape;
use reading::Reading;

/// A data set layout this crate reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// VQA-RAD: the official release, or the usual `trainset.json` and `testset.json`.
    VqaRad,
    /// SLAKE: `train.json`, `validate.json`, `test.json` and `imgs`.
    Slake,
    /// PathVQA: parquet, or the first release with its pickles.
    Pathvqa,
    /// IU-Xray as R2Gen's `annotation.json`.
    IuXray,
    /// Open-i's XML reports.
    OpeniXml,
    /// ROCO and ROCOv2 captions.
    Roco,
    /// ImageCLEFmedical captions.
    Imageclef,
    /// MedICaT figures.
    Medicat,
    /// MIMIC-CXR: R2Gen's `annotation.json`, the release, or a table of paths and reports.
    MimicCxr,
    /// MedExpQA: multiple choice without images.
    Medexpqa,
    /// MEDIQA-M3G: dermatology cases.
    MediqaM3g,
    /// Parquet files with columns of the usual or given names, images inside.
    Parquet,
    /// LLaVA's `conversations`.
    Llava,
    /// ShareGPT's conversations with `images`.
    Sharegpt,
    /// `messages` of `role` and `content`, which may have parts.
    Messages,
    /// Any CSV or TSV table with columns of the usual or given names.
    Csv,
    /// This project's own neutral layout: one JSON object a line.
    Jsonl,
}

impl Format {
    /// All formats, in the order messages list them.
    pub const ALL: [Self; 17] = [
        Self::VqaRad,
        Self::Slake,
        Self::Pathvqa,
        Self::IuXray,
        Self::OpeniXml,
        Self::Roco,
        Self::Imageclef,
        Self::Medicat,
        Self::MimicCxr,
        Self::Medexpqa,
        Self::MediqaM3g,
        Self::Parquet,
        Self::Llava,
        Self::Sharegpt,
        Self::Messages,
        Self::Csv,
        Self::Jsonl,
    ];

    /// The name used on the command line and in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::VqaRad => "vqa-rad",
            Self::Slake => "slake",
            Self::Pathvqa => "pathvqa",
            Self::IuXray => "iu-xray",
            Self::OpeniXml => "openi-xml",
            Self::Roco => "roco",
            Self::Imageclef => "imageclef",
            Self::Medicat => "medicat",
            Self::MimicCxr => "mimic-cxr",
            Self::Medexpqa => "medexpqa",
            Self::MediqaM3g => "mediqa-m3g",
            Self::Parquet => "parquet",
            Self::Llava => "llava",
            Self::Sharegpt => "sharegpt",
            Self::Messages => "messages",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }

    /// The names of the [`ReadOptions`] it takes, beside the image folder.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Self::VqaRad | Self::Roco | Self::Imageclef | Self::Medicat | Self::Jsonl => &[],
            Self::Slake | Self::Medexpqa | Self::MediqaM3g => &["language"],
            Self::Pathvqa => &["columns"],
            Self::IuXray => &["views"],
            Self::OpeniXml => &["views", "sections"],
            Self::MimicCxr => &["views", "sections", "columns"],
            Self::Parquet | Self::Csv => &["columns", "task"],
            Self::Llava | Self::Sharegpt | Self::Messages => &["task"],
        }
    }

    fn visit(self, path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
        match self {
            Self::VqaRad => vqa_rad::read(path, reading),
            Self::Slake => slake::read(path, reading),
            Self::Pathvqa => pathvqa::read(path, reading),
            Self::IuXray => annotation::read(path, "IU-Xray", reading),
            Self::OpeniXml => openi_xml::read(path, reading),
            Self::Roco => captions::read(path, captions::Set::Roco, reading),
            Self::Imageclef => captions::read(path, captions::Set::ImageClef, reading),
            Self::Medicat => medicat::read(path, reading),
            Self::MimicCxr => mimic_cxr::read(path, reading),
            Self::Medexpqa => medexpqa::read(path, reading),
            Self::MediqaM3g => m3g::read(path, reading),
            Self::Parquet => parquet::read(path, reading, |_| ()),
            Self::Llava => conversation::read(path, Shape::Llava, reading),
            Self::Sharegpt => conversation::read(path, Shape::ShareGpt, reading),
            Self::Messages => conversation::read(path, Shape::Messages, reading),
            Self::Csv => csv::read(path, reading),
            Self::Jsonl => jsonl::read(path, reading),
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
    let options = ReadOptions { images: images_dir.map(Path::to_owned), ..ReadOptions::default() };
    read_with(format, path, &options, &mut Problems::strict())
}

/// Reads a data set with options; `problems` decides whether the first bad row ends it.
///
/// # Errors
/// As [`visit`].
pub fn read_with(
    format: Format,
    path: &Path,
    options: &ReadOptions,
    problems: &mut Problems,
) -> Result<Vec<Example>, DataError> {
    let mut examples = Vec::new();
    visit(format, path, options, problems, &mut |example| {
        examples.push(example);
        Ok(())
    })?;
    Ok(examples)
}

/// Reads a data set example by example: what `keep` drops takes no memory.
///
/// # Errors
/// As [`read`], and whatever `keep` returns; [`DataError::Option`] for an option that the format
/// does not take. When a lenient reading leaves no row, the error of the first is returned.
pub fn visit(
    format: Format,
    path: &Path,
    options: &ReadOptions,
    problems: &mut Problems,
    keep: &mut dyn FnMut(Example) -> Result<(), DataError>,
) -> Result<(), DataError> {
    options.check(format)?;
    let (skipped, notes) = (problems.skipped.len(), problems.notes.len());
    let mut reading = Reading::new(options, problems, keep);
    format.visit(path, &mut reading)?;
    if reading.examples() > 0 {
        return Ok(());
    }
    for (list, before) in [(&mut problems.skipped, skipped), (&mut problems.notes, notes)] {
        if list.len() > before {
            return Err(list.remove(before));
        }
    }
    Err(DataError::NoExamples { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_format_is_told_the_nearest_one() {
        let message = "vqarad".parse::<Format>().unwrap_err().to_string();
        assert!(message.starts_with("unknown format `vqarad`: known are vqa-rad, slake, "));
        assert!(message.ends_with("jsonl; did you mean `vqa-rad`?"), "{message}");
    }

    #[test]
    fn names_go_there_and_back() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
    }
}
