//! A file or a folder in, a folder out.
//!
//! Outputs are named by their new identifiers, in a folder for each patient's pseudonym: file and
//! folder names often hold what is to be removed. For the same reason files are spoken of by their
//! number, counted from 1 in the order of their paths. A run that was stopped goes on with the files
//! that are not there yet; settings and salt must be those it began with.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Counts, EDITION, Options, Refusal, Salt, deidentify};
use crate::{DataError, files};

/// Called with the number of files done and of all files; from several threads.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// The report beside the outputs.
const REPORT: &str = "deidentify.json";

/// What a folder was made with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    edition: String,
    dates: String,
    /// Not the salt, and of no use to find it.
    salt_fingerprint: String,
}

/// What is read back of an earlier report.
#[derive(Deserialize)]
struct Earlier {
    settings: Settings,
}

/// A file that was not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedFile {
    /// Its number, from 1, in the order of the paths.
    pub number: usize,
    /// Why.
    #[serde(flatten)]
    pub refusal: Refusal,
    /// Why, in words.
    pub message: String,
}

/// What was done to a folder; no value and no name of a file is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FolderReport {
    settings: Settings,
    /// Whether files whose pixels may show names were taken.
    pub allow_burned_in: bool,
    /// Files looked at.
    pub files: usize,
    /// Files written.
    pub written: usize,
    /// Files that were there from an earlier run.
    pub already_there: usize,
    /// Files whose identifier another file of this run has too: one of them was written.
    pub repeated: usize,
    /// Files that are not DICOM.
    pub not_dicom: usize,
    /// Patients among the files written or there.
    pub patients: usize,
    /// DICOM files that were not written.
    pub refused: Vec<RefusedFile>,
    /// What was done to attributes of the files written.
    pub counts: Counts,
}

/// What became of one file.
enum Outcome {
    Written(Box<Counts>),
    AlreadyThere,
    Repeated,
    Refused(Refusal),
}

/// De-identifies a file or all files below a folder, and writes `deidentify.json` beside them.
///
/// # Errors
/// [`DataError::Read`] and [`DataError::Write`] for folders and outputs, [`DataError::Layout`] for
/// an output folder that lies in the input or was made with other settings. A file that is refused
/// is in the report.
pub fn deidentify_folder(
    input: &Path,
    output: &Path,
    salt: &Salt,
    options: Options,
    progress: Option<Progress<'_>>,
) -> Result<FolderReport, DataError> {
    let settings = Settings {
        edition: EDITION.to_owned(),
        dates: format!("{:?}", options.dates).to_lowercase(),
        salt_fingerprint: salt.fingerprint(),
    };
    check_output(input, output, &settings)?;
    let mut paths = Vec::new();
    list(input, &mut paths)?;
    paths.sort();
    let (done, claimed) = (AtomicUsize::new(0), Mutex::new(HashSet::new()));
    let outcomes: Vec<(Outcome, Option<String>)> = paths
        .par_iter()
        .map(|path| {
            let outcome = one(path, output, salt, options, &claimed);
            if let Some(progress) = progress {
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, paths.len());
            }
            outcome
        })
        .collect::<Result<_, _>>()?;
    let mut report = FolderReport {
        settings,
        allow_burned_in: options.allow_burned_in,
        files: paths.len(),
        written: 0,
        already_there: 0,
        repeated: 0,
        not_dicom: 0,
        patients: 0,
        refused: Vec::new(),
        counts: Counts::default(),
    };
    let mut patients = HashSet::new();
    for (index, (outcome, patient)) in outcomes.into_iter().enumerate() {
        patients.extend(patient);
        match outcome {
            Outcome::Written(counts) => {
                report.written += 1;
                report.counts.add(*counts);
            }
            Outcome::AlreadyThere => report.already_there += 1,
            Outcome::Repeated => report.repeated += 1,
            Outcome::Refused(Refusal::NotDicom) => report.not_dicom += 1,
            Outcome::Refused(refusal) => {
                let message = refusal.to_string();
                report.refused.push(RefusedFile { number: index + 1, refusal, message });
            }
        }
    }
    report.patients = patients.len();
    files::write_json(&output.join(REPORT), &report)?;
    Ok(report)
}

/// The output must not be read as input, and must not mix two ways of doing it.
fn check_output(input: &Path, output: &Path, settings: &Settings) -> Result<(), DataError> {
    let failed = |source| DataError::Write { path: output.to_owned(), source };
    std::fs::create_dir_all(output).map_err(failed)?;
    let real = |path: &Path| {
        path.canonicalize().map_err(|source| DataError::Read { path: path.to_owned(), source })
    };
    let wrong = |problem: &str| {
        Err(DataError::Layout { path: output.to_owned(), problem: problem.to_owned() })
    };
    if real(output)?.starts_with(real(input)?) {
        return wrong("the output lies in the input: choose a folder outside of it");
    }
    let report = output.join(REPORT);
    if report.exists() && files::read_json::<Earlier>(&report)?.settings != *settings {
        return wrong("it was made with another salt or other dates: choose an empty folder");
    }
    Ok(())
}

fn list(path: &Path, paths: &mut Vec<PathBuf>) -> Result<(), DataError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    if !path.is_dir() {
        paths.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A link may lead out of the folder, or round in a circle.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            list(&entry.path(), paths)?;
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn one(
    path: &Path,
    output: &Path,
    salt: &Salt,
    options: Options,
    claimed: &Mutex<HashSet<String>>,
) -> Result<(Outcome, Option<String>), DataError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        // The path is kept out of the words.
        Err(error) => {
            let refusal = Refusal::Unreadable(error.kind().to_string());
            return Ok((Outcome::Refused(refusal), None));
        }
    };
    let clean = match deidentify(&bytes, salt, options) {
        Ok(clean) => clean,
        Err(refusal) => return Ok((Outcome::Refused(refusal), None)),
    };
    let patient = Some(clean.patient.clone());
    let is_first = claimed
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .insert(clean.instance.clone());
    if !is_first {
        return Ok((Outcome::Repeated, patient));
    }
    let path = output.join(&clean.patient).join(format!("{}.dcm", clean.instance));
    if path.exists() {
        return Ok((Outcome::AlreadyThere, patient));
    }
    files::write_bytes(&path, &clean.bytes)?;
    Ok((Outcome::Written(Box::new(clean.counts)), patient))
}
