//! MIMIC-CXR in the shapes people have it: R2Gen's `annotation.json`, the published folders, or a
//! table of paths and reports.
//!
//! The published files are `mimic-cxr-2.0.0-split.csv` (packed with gzip or not), the reports
//! `files/p10/p10000032/s50414267.txt`, and the images below a folder for each study
//! (Johnson et al., Scientific Data 2019). A study with its images is one example, its patient the
//! group. Reports without the wanted section are left out with a note.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::locate::Locator;
use super::reading::{Reading, files_in};
use super::row::inner_path;
use super::{Sections, Views, annotation, csv};
use crate::table::{Table, TableRow};
use crate::{DataError, Example, Split, Task, files};

/// Columns of the published split.
const COLUMNS: [&str; 4] = ["dicom_id", "study_id", "subject_id", "split"];

/// Reads MIMIC-CXR.
///
/// `path` is a JSON file or a folder with `annotation.json`; a split file of the release or a folder
/// with one; or a table with a column of paths and one of reports, where the patient is the part
/// `p10000032` of the path.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    if is_json || path.join("annotation.json").is_file() {
        return annotation::read(path, "MIMIC-CXR", reading);
    }
    let file = if path.is_dir() {
        let files = files_in(path, &["split.csv", "split.csv.gz"])?;
        files.into_iter().next().unwrap_or_else(|| path.to_owned())
    } else {
        path.to_owned()
    };
    let table = Table::open(&file)?;
    let columns: Option<Vec<usize>> = COLUMNS
        .iter()
        .map(|name| table.names().iter().position(|found| found.trim() == *name))
        .collect();
    match columns.as_deref() {
        Some([dicom, study, subject, split]) => {
            let columns = [*dicom, *study, *subject, *split];
            Release::new(&file, reading).read(table, columns, reading)
        }
        _ => csv::read_adapted(&file, reading, |example| {
            let name = example.images.first().map(|image| image.name.clone()).unwrap_or_default();
            if let Some(patient) = name.split('/').find(|part| is_number_after(part, 'p', 8)) {
                patient.clone_into(&mut example.group);
            }
        }),
    }
}

/// Whether a part of a path is a letter and so many digits.
fn is_number_after(part: &str, letter: char, digits: usize) -> bool {
    part.strip_prefix(letter)
        .is_some_and(|rest| rest.len() == digits && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The published folders.
struct Release {
    file: PathBuf,
    /// Folders that may hold `files`.
    roots: Vec<PathBuf>,
    images: Locator,
    sections: Sections,
    views: Views,
}

/// The images of one study; they follow one another in the split file.
struct Study {
    row: usize,
    number: String,
    subject: String,
    split: String,
    images: Vec<String>,
}

impl Release {
    fn new(file: &Path, reading: &Reading<'_>) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let roots = vec![folder.to_owned(), folder.join("mimic-cxr-reports")];
        let images = match &reading.options.images {
            Some(given) => vec![given.clone()],
            None => vec![folder.to_owned(), folder.join("images")],
        };
        Self {
            file: file.to_owned(),
            roots,
            images: Locator::new(images),
            sections: reading.options.sections.unwrap_or_default(),
            views: reading.options.views.unwrap_or_default(),
        }
    }

    fn read(
        &mut self,
        mut table: Table,
        columns: [usize; 4],
        reading: &mut Reading<'_>,
    ) -> Result<(), DataError> {
        let mut open: Option<Study> = None;
        while let Some(row) = table.next()? {
            let (image, study) = match self.study(row, columns) {
                Ok(found) => found,
                Err(error) => {
                    reading.skip(error)?;
                    continue;
                }
            };
            match &mut open {
                Some(before)
                    if before.number == study.number && before.subject == study.subject =>
                {
                    before.images.push(image);
                }
                _ => {
                    if let Some(done) = open.replace(study) {
                        self.take(done, reading)?;
                    }
                }
            }
        }
        open.map_or(Ok(()), |done| self.take(done, reading))
    }

    /// The image of a row, and a study with that image alone.
    fn study(&self, row: TableRow, columns: [usize; 4]) -> Result<(String, Study), DataError> {
        let cells = row.cells.map_err(|problem| self.error(row.line, problem))?;
        let [dicom, study, subject, split] =
            columns.map(|column| cells.get(column).map_or("", |cell| cell.trim()).to_owned());
        for (name, value, is_number) in [
            ("dicom_id", &dicom, false),
            ("study_id", &study, true),
            ("subject_id", &subject, true),
        ] {
            let is_right = if is_number {
                !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit())
            } else {
                inner_path(value).is_some() && !value.contains('/')
            };
            if !is_right {
                return Err(self.error(
                    row.line,
                    format!("`{name}` is `{value}`: give it as the release does"),
                ));
            }
        }
        let (row, images) = (row.line, vec![dicom.clone()]);
        Ok((dicom, Study { row, number: study, subject, split, images }))
    }

    fn error(&self, row: usize, problem: impl Into<String>) -> DataError {
        DataError::Row { path: self.file.clone(), row, problem: problem.into() }
    }

    fn take(&mut self, study: Study, reading: &mut Reading<'_>) -> Result<(), DataError> {
        let row = study.row;
        match self.example(study) {
            Ok(Ok(example)) => reading.take(&self.file, Ok(example)),
            Ok(Err(reason)) => {
                reading.note(&self.file, row, format!("left out: {reason}"));
                Ok(())
            }
            Err(error) => reading.skip(error),
        }
    }

    /// The example, or why the study makes none.
    fn example(&mut self, study: Study) -> Result<Result<Example, String>, DataError> {
        let Study { row, number: study, subject, split, mut images } = study;
        let split = split.parse::<Split>().map_err(|problem| self.error(row, problem))?;
        let folder = format!("files/p{}/p{subject}/s{study}", subject.get(..2).unwrap_or(&subject));
        let report = format!("{folder}.txt");
        let path = self.roots.iter().map(|root| root.join(&report)).find(|path| path.is_file());
        let Some(path) = path else {
            return Err(self.error(
                row,
                format!(
                    "there is no report `{report}`: unpack the reports \
                                                beside the split file"
                ),
            ));
        };
        let text = String::from_utf8_lossy(&files::read_bytes(&path)?).into_owned();
        let [findings, impression] = sections(&text);
        let Some(answer) = self.sections.choose(findings, impression) else {
            let wanted = self.sections.name();
            return Ok(Err(format!("the report of study {study} has no section for `{wanted}`")));
        };
        if self.views == Views::First {
            images.truncate(1);
        }
        let images = images.iter().map(|name| self.images.image(&format!("{folder}/{name}")));
        Ok(Ok(Example {
            images: images.collect(),
            task: Task::Report,
            instruction: String::new(),
            answer,
            other_answers: Vec::new(),
            group: format!("p{subject}"),
            id: format!("s{study}"),
            split,
            labels: BTreeMap::new(),
            row,
        }))
    }
}

/// Findings and impression of a report: sections begin with their name in capitals and a colon.
fn sections(report: &str) -> [Option<String>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    let mut current: Option<usize> = None;
    for line in report.lines() {
        let line = line.trim();
        let mut text = line;
        if let Some((head, rest)) = line.split_once(':') {
            let is_head = head.len() < 60
                && head.bytes().any(|byte| byte.is_ascii_uppercase())
                && !head.bytes().any(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            if is_head {
                current = if head.contains("FINDINGS") {
                    Some(0)
                } else if head.contains("IMPRESSION") {
                    Some(1)
                } else {
                    None
                };
                text = rest;
            }
        }
        if let Some(section) = current {
            found[section].extend(text.split_whitespace());
        }
    }
    found.map(|words| (!words.is_empty()).then(|| words.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_begin_with_their_name_in_capitals() {
        let report = " FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n\n FINDINGS: \n\n Two views.\n \
                      Heart: normal\n size.\n\n IMPRESSION:  No acute process.\n NOTIFICATION: called.";
        let [findings, impression] = sections(report);
        assert_eq!(findings.as_deref(), Some("Two views. Heart: normal size."));
        assert_eq!(impression.as_deref(), Some("No acute process."));
        assert_eq!(sections("Clear lungs."), [None, None]);
    }
}
