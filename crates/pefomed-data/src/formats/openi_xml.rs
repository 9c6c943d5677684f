//! Open-i's chest X-ray collection of Indiana University as it is published: an XML file for each
//! report, and the images beside (Demner-Fushman et al., JAMIA 2016).
//!
//! A report has sections (`AbstractText` with a `Label`) and names its images (`parentImage`). Many
//! reports have no findings, some no image: they are left out with a note, as everybody does, but
//! counted. The collection has no split of its own; give the data a rule of splitting.

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

use super::locate::Locator;
use super::reading::{Reading, files_in};
use super::{Sections, Views};
use crate::{DataError, Example, Split, Task, files};

/// A report may have so many bytes; the longest has some ten thousand.
const LIMIT_BYTES: u64 = 4 << 20;

/// Reads all reports of a folder (or of its subfolder `ecgen-radiology`), or one file.
///
/// Files are taken in the order of their numbers. Images are looked for in the image folder, by
/// default `NLMCXR_png` or `images` beside the reports, or in the folder above. The group is the
/// report: the collection has one for each patient.
///
/// # Errors
/// See [`super::read`]; the row of an error is the report's place in the order of the files.
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let inner = path.join("ecgen-radiology");
    let folder = if inner.is_dir() { inner.as_path() } else { path };
    let mut reports =
        if folder.is_dir() { files_in(folder, &[".xml"])? } else { vec![path.to_owned()] };
    reports.sort_by_key(|file| {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let number: String = stem.chars().filter(char::is_ascii_digit).collect();
        (number.parse::<u64>().unwrap_or(u64::MAX), stem.to_owned())
    });
    let beside = if folder.is_dir() { folder } else { path.parent().unwrap_or(Path::new("")) };
    let above = beside.parent().unwrap_or(Path::new(""));
    let mut images = Locator::new(match &reading.options.images {
        Some(folder) => vec![folder.clone()],
        None => [beside, above]
            .into_iter()
            .flat_map(|place| [place.join("NLMCXR_png"), place.join("images"), place.to_owned()])
            .collect(),
    });
    let sections = reading.options.sections.unwrap_or_default();
    let views = reading.options.views.unwrap_or_default();
    for (number, file) in (1..).zip(&reports) {
        let report = Report { file, number, sections, views };
        match report.example(&mut images) {
            Ok(Ok(example)) => reading.take(file, Ok(example))?,
            Ok(Err(reason)) => reading.note(file, number, format!("left out: {reason}")),
            Err(error) => reading.skip(error)?,
        }
    }
    Ok(())
}

struct Report<'a> {
    file: &'a PathBuf,
    number: usize,
    sections: Sections,
    views: Views,
}

impl Report<'_> {
    fn error(&self, problem: impl Into<String>) -> DataError {
        DataError::Row { path: self.file.clone(), row: self.number, problem: problem.into() }
    }

    /// The example, or why the report makes none.
    fn example(&self, images: &mut Locator) -> Result<Result<Example, String>, DataError> {
        let failed = |source| DataError::Read { path: self.file.clone(), source };
        if std::fs::metadata(self.file).map_err(failed)?.len() > LIMIT_BYTES {
            return Err(self.error("has more than 4 MiB: it is no report"));
        }
        let text = decoded(&files::read_bytes(self.file)?);
        let document = Document::parse(&text)
            .map_err(|error| self.error(format!("not valid XML, {error}: fetch it again")))?;
        let root = document.root_element();
        let stem = self.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let id = named(root, "uId")
            .find_map(|node| node.attribute("id"))
            .map_or_else(|| stem.to_owned(), |id| id.trim().to_owned());
        let section = |label: &str| {
            let of_label = named(root, "AbstractText").filter(|node| {
                node.attribute("Label")
                    .is_some_and(|found| found.trim().eq_ignore_ascii_case(label))
            });
            let text: Vec<String> = of_label.map(content).filter(|text| !text.is_empty()).collect();
            (!text.is_empty()).then(|| text.join("\n"))
        };
        let answer = self.sections.choose(section("FINDINGS"), section("IMPRESSION"));
        let Some(answer) = answer else {
            return Ok(Err(format!("it has no section for `{}`", self.sections.name())));
        };
        let mut names = Vec::new();
        for node in named(root, "parentImage") {
            let name = node.attribute("id").unwrap_or_default().trim();
            if name.is_empty() || name == ".." || name.contains(['/', '\\', '\0']) {
                return Err(self.error(format!(
                    "`parentImage` has the id `{name}`: give the name of a file in the image folder"
                )));
            }
            names.push(name.to_owned());
        }
        if names.is_empty() {
            return Ok(Err("it names no image".to_owned()));
        }
        if self.views == Views::First {
            names.truncate(1);
        }
        Ok(Ok(Example {
            images: names.iter().map(|name| images.image(name)).collect(),
            task: Task::Report,
            instruction: String::new(),
            answer,
            other_answers: Vec::new(),
            group: id.clone(),
            id,
            split: Split::Train,
            labels: named(root, "major")
                .map(content)
                .find(|text| !text.is_empty())
                .map(|text| ("mesh".to_owned(), text))
                .into_iter()
                .collect(),
            row: self.number,
        }))
    }
}

/// Elements of a name, in the order of the document.
fn named<'a, 'i: 'a>(
    root: Node<'a, 'i>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> + 'a {
    root.descendants().filter(move |node| node.has_tag_name(name))
}

/// The text of an element, its blanks and line ends as single blanks.
fn content(node: Node<'_, '_>) -> String {
    let text: String =
        node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// UTF-8, else Latin-1, which some of the files declare: each byte is the code point of its number.
fn decoded(bytes: &[u8]) -> String {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}
