//! What is rated: items with the texts that systems wrote about them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use pefomed_data::prediction::read_results;
use pefomed_data::{DataError, Prediction, Task, files};
use serde::{Deserialize, Serialize};

use super::RatingError;
use crate::ItemMismatch;

/// A prediction file and the name of the system that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Name in exports.
    pub name: String,
    /// Its predictions.
    pub path: PathBuf,
}

/// One item: what a question or a report is about, and what the data set says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// Id in the prediction files.
    pub id: String,
    /// Image or patient it belongs to.
    pub group: String,
    /// What was asked.
    pub task: Task,
    /// The question, or the instruction.
    pub question: String,
    /// What the data set says.
    pub reference: String,
    /// Image names, relative to the image folder.
    pub images: Vec<String>,
}

/// A text to be graded, with all the systems that wrote exactly it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Index of its case.
    pub case: usize,
    /// The text, without blanks around it.
    pub text: String,
    /// Systems in alphabetical order.
    pub systems: Vec<String>,
}

/// Everything that is to be rated, in an order that depends on ids and texts alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// Cases by id.
    pub cases: Vec<Case>,
    /// Candidates by case, then by their first system.
    pub candidates: Vec<Candidate>,
}

/// The part of a prediction line that the shared type does not have: a study with several images.
#[derive(Deserialize)]
struct MoreImages {
    id: String,
    #[serde(default)]
    images: Vec<String>,
}

impl Items {
    /// Reads the predictions of some systems. A line's `images`, where it has this list, takes the
    /// place of its `image`.
    ///
    /// # Errors
    /// [`RatingError::NoItems`] without a line, [`RatingError::SystemTwice`] for a name given
    /// twice, [`RatingError::SeveralConditions`] for a file with control images beside true ones,
    /// [`RatingError::DifferentItem`] when an id means different items in two files, otherwise those
    /// of [`read_results`].
    pub fn read(systems: &[System]) -> Result<Self, RatingError> {
        let mut read = Vec::new();
        for (index, system) in systems.iter().enumerate() {
            if systems[..index].iter().any(|other| other.name == system.name) {
                return Err(RatingError::SystemTwice { name: system.name.clone() });
            }
            let lines = read_results(&system.path, None)?;
            if let Some(line) = lines.iter().find(|line| line.condition != lines[0].condition) {
                return Err(RatingError::SeveralConditions {
                    path: system.path.clone(),
                    first: lines[0].condition,
                    other: line.condition,
                });
            }
            let images = more_images(system)?;
            read.push((system.name.as_str(), lines, images));
        }
        read.sort_by_key(|(name, _, _)| *name);
        let mut builder = Builder::default();
        for (system, lines, images) in &read {
            for line in lines {
                builder.add(system, line, images.get(&line.id))?;
            }
        }
        let items = builder.items();
        if items.candidates.is_empty() { Err(RatingError::NoItems) } else { Ok(items) }
    }

    /// Names of the systems, in alphabetical order.
    pub fn systems(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .candidates
            .iter()
            .flat_map(|candidate| candidate.systems.iter().map(String::as_str))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// SHA-256 over ids, texts, image names and systems: stores for the same items, and no others,
    /// have the same digest.
    pub fn digest(&self) -> String {
        let mut parts: Vec<&str> = vec!["pefomed rating items 1"];
        for candidate in &self.candidates {
            let case = &self.cases[candidate.case];
            let fixed =
                [&case.id, &case.group, case.task.tag(), &case.question, &case.reference, "images"];
            parts.extend(fixed);
            parts.extend(case.images.iter().map(String::as_str));
            parts.extend(["candidate", &candidate.text]);
            parts.extend(candidate.systems.iter().map(String::as_str));
            parts.push("end");
        }
        files::digest(parts)
    }
}

/// Lists of images by id, for the lines that have one.
fn more_images(system: &System) -> Result<HashMap<String, Vec<String>>, DataError> {
    let mut lists = HashMap::new();
    let is_table = |ending: &std::ffi::OsStr| {
        ["csv", "tsv", "tab"].iter().any(|known| ending.eq_ignore_ascii_case(known))
    };
    if system.path.extension().is_some_and(is_table) {
        // A cell names one image.
        return Ok(lists);
    }
    let text = files::read_text(&system.path)?;
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let more: MoreImages = serde_json::from_str(line).map_err(|error| DataError::Row {
            path: system.path.clone(),
            row: index + 1,
            problem: format!("`images` is not a list of names: {error}"),
        })?;
        if !more.images.is_empty() {
            lists.insert(more.id, more.images);
        }
    }
    Ok(lists)
}

/// A case on its way, with the system it was first seen in and texts with their systems.
struct Open {
    case: Case,
    first: String,
    texts: Vec<(String, Vec<String>)>,
}

#[derive(Default)]
struct Builder {
    open: BTreeMap<String, Open>,
}

impl Builder {
    fn add(
        &mut self,
        system: &str,
        line: &Prediction,
        images: Option<&Vec<String>>,
    ) -> Result<(), RatingError> {
        let case = Case {
            id: line.id.clone(),
            group: line.group.clone(),
            task: line.task,
            question: line.question.clone(),
            reference: line.reference.clone(),
            images: images.cloned().unwrap_or_else(|| line.image.iter().cloned().collect()),
        };
        let open = self.open.entry(case.id.clone()).or_insert_with(|| Open {
            case: case.clone(),
            first: system.to_owned(),
            texts: Vec::new(),
        });
        if let Some(mismatch) = difference(&open.case, &case, &open.first, system) {
            return Err(RatingError::DifferentItem(Box::new(mismatch)));
        }
        let text = line.prediction.trim();
        match open.texts.iter_mut().find(|(known, _)| known == text) {
            Some((_, systems)) => systems.push(system.to_owned()),
            None => open.texts.push((text.to_owned(), vec![system.to_owned()])),
        }
        Ok(())
    }

    fn items(self) -> Items {
        let mut items = Items::default();
        for (index, open) in self.open.into_values().enumerate() {
            items.cases.push(open.case);
            items.candidates.extend(open.texts.into_iter().map(|(text, systems)| Candidate {
                case: index,
                text,
                systems,
            }));
        }
        items
    }
}

fn difference(a: &Case, b: &Case, in_a: &str, in_b: &str) -> Option<ItemMismatch> {
    let images = |case: &Case| case.images.join(", ");
    [
        ("reference", a.reference.clone(), b.reference.clone()),
        ("question", a.question.clone(), b.question.clone()),
        ("task", a.task.to_string(), b.task.to_string()),
        ("group", a.group.clone(), b.group.clone()),
        ("image", images(a), images(b)),
    ]
    .into_iter()
    .find(|(_, a, b)| a != b)
    .map(|(field, value_a, value_b)| ItemMismatch {
        id: a.id.clone(),
        field,
        a: in_a.to_owned(),
        b: in_b.to_owned(),
        in_a: value_a,
        in_b: value_b,
    })
}
