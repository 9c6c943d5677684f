//! VQA-RAD, in the two shapes it is passed around in.
//!
//! The official release is one JSON list of 2,248 questions about 315 radiology images (Lau et al.,
//! *Scientific Data* 5, 2018); its `phrase_type` says which 451 of them were meant for testing. What
//! most papers use is `trainset.json` (3,064 rows: rephrasings, also of some test questions, became
//! rows of their own) and `testset.json` (451 rows). Neither split keeps images apart: see
//! [`crate::split::leakage`].
//!
//! The files have numbers among the answers, blanks at the end of labels and misspelt labels. They
//! are read as meant: [`read`] trims, and mends the question types it knows to be slips.

use std::path::Path;

use super::json::{self, Top};
use super::reading::{Reading, split_in_name};
use super::row::Row;
use crate::{DataError, Example, ImageSource, Split, Task};

/// Name of the label column and of the field it is read from.
const LABELS: [(&str, &str); 5] = [
    ("answer_type", "answer_type"),
    ("question_type", "question_type"),
    ("organ", "image_organ"),
    ("phrase_type", "phrase_type"),
    ("modality", "modality"),
];

/// How the split of a row is found.
#[derive(Clone, Copy)]
enum SplitFrom {
    /// The whole file belongs to one split.
    File(Split),
    /// `phrase_type` begins with `test` in the rows of the test set.
    PhraseType,
}

/// Reads VQA-RAD.
///
/// `path` is a folder with `trainset.json` and `testset.json`, or one JSON file: a name with the
/// word `train`, `trainset`, `test` or `testset` in it decides the split, otherwise it is taken for
/// the official release, where `phrase_type` decides. Images are looked for in `images_dir`, by
/// default the folder `images` beside the JSON files.
///
/// Ids are `train-QID` and `test-QID` for the split files, which number their rows independently,
/// and `QID` for the official release. Should an id occur again, `#2`, `#3`, … is appended: no row
/// is ever dropped. The group is the image.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    if path.is_dir() {
        let images = reading.images_or(|| path.join("images"));
        for (name, split) in [("trainset.json", Split::Train), ("testset.json", Split::Test)] {
            let file = path.join(name);
            if !file.is_file() {
                return Err(DataError::Layout {
                    path: path.to_owned(),
                    problem: format!(
                        "there is no `{name}` in it; give a folder with `trainset.json` and \
                         `testset.json`, or the path of one JSON file"
                    ),
                });
            }
            read_file(&file, &images, SplitFrom::File(split), reading)?;
        }
        return Ok(());
    }
    let images = reading.images_or(|| path.parent().unwrap_or(Path::new("")).join("images"));
    let from = split_in_name(path).map_or(SplitFrom::PhraseType, SplitFrom::File);
    read_file(path, &images, from, reading)
}

fn read_file(
    path: &Path,
    images: &Path,
    split_from: SplitFrom,
    reading: &mut Reading<'_>,
) -> Result<(), DataError> {
    json::rows(path, "VQA-RAD", Top::List, &mut |row, _| {
        reading.take(path, row.and_then(|row| example(row, images, split_from)))
    })
}

fn example(row: &Row<'_>, images: &Path, split_from: SplitFrom) -> Result<Example, DataError> {
    let image = row.required_text("image_name")?;
    // A plain name: joined to the folder it cannot point anywhere else.
    if image.is_empty() || image == ".." || image.contains(['/', '\\', '\0']) {
        return Err(row.error(format!(
            "`image_name` is `{image}`: give the name of a file in the image folder"
        )));
    }
    let mut labels = row.labels(&LABELS)?;
    if let Some(types) = labels.get_mut("question_type") {
        *types = question_type(types);
    }
    if let Some(answer_type) = labels.get_mut("answer_type") {
        *answer_type = answer_type.to_uppercase();
    }
    labels.retain(|_, value| !value.is_empty());
    let split = match split_from {
        SplitFrom::File(split) => split,
        SplitFrom::PhraseType => match labels.get("phrase_type") {
            Some(phrase) if phrase.starts_with("test") => Split::Test,
            _ => Split::Train,
        },
    };
    let qid = match row.text("qid")? {
        Some(qid) if !qid.is_empty() => qid,
        _ => format!("row{}", row.number()),
    };
    let id = match split_from {
        SplitFrom::File(split) => format!("{split}-{qid}"),
        SplitFrom::PhraseType => qid,
    };
    Ok(Example {
        id,
        images: vec![ImageSource::file(image.clone(), images.join(&image))],
        task: Task::Vqa,
        instruction: row.required_text("question")?,
        answer: row.required_text("answer")?,
        other_answers: Vec::new(),
        group: image,
        split,
        labels,
        row: row.number(),
    })
}

/// Mends the misspelt question types; a row may have several, which stay in the file's order.
fn question_type(value: &str) -> String {
    let mut types: Vec<String> = Vec::new();
    for word in value.split(',') {
        let word = word.trim().to_uppercase();
        let word = match word.as_str() {
            "PRSE" => "PRES".to_owned(),
            "ATRIB" => "ATTRIB".to_owned(),
            _ => word,
        };
        if !word.is_empty() && !types.contains(&word) {
            types.push(word);
        }
    }
    types.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_types_are_mended() {
        assert_eq!(question_type("PRSE"), "PRES");
        assert_eq!(question_type("Other"), "OTHER");
        assert_eq!(question_type(" ATRIB ,PRES,, "), "ATTRIB, PRES");
        assert_eq!(question_type("PRES, PRSE"), "PRES");
        assert_eq!(question_type("COLOR"), "COLOR");
    }
}
