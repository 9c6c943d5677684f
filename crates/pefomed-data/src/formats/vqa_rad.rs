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

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::Value;

use super::row::{Row, kind, without_bom};
use crate::{DataError, Example, ImageSource, Split, Task, files};

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
pub fn read(path: &Path, images_dir: Option<&Path>) -> Result<Vec<Example>, DataError> {
    let mut examples = Vec::new();
    if path.is_dir() {
        let default_images = path.join("images");
        let images = images_dir.unwrap_or(&default_images);
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
            read_file(&file, images, SplitFrom::File(split), &mut examples)?;
        }
    } else {
        let default_images = path.parent().unwrap_or(Path::new("")).join("images");
        let from = split_in_name(path).map_or(SplitFrom::PhraseType, SplitFrom::File);
        read_file(path, images_dir.unwrap_or(&default_images), from, &mut examples)?;
    }
    make_ids_unique(&mut examples);
    Ok(examples)
}

/// The split a file's name tells, by whole words: `latest.json` is not a test set.
fn split_in_name(path: &Path) -> Option<Split> {
    let stem = path.file_stem()?.to_str()?.to_lowercase();
    stem.split(|letter: char| !letter.is_alphanumeric()).find_map(|word| match word {
        "train" | "trainset" => Some(Split::Train),
        "val" | "valset" | "valid" | "validation" => Some(Split::Val),
        "test" | "testset" => Some(Split::Test),
        _ => None,
    })
}

fn read_file(
    path: &Path,
    images: &Path,
    split_from: SplitFrom,
    examples: &mut Vec<Example>,
) -> Result<(), DataError> {
    let text = files::read_text(path)?;
    let rows: Value = serde_json::from_str(without_bom(&text))
        .map_err(|source| DataError::Json { path: path.to_owned(), source })?;
    let Value::Array(rows) = rows else {
        return Err(DataError::Layout {
            path: path.to_owned(),
            problem: format!("its top level is {}; VQA-RAD is a list of rows", kind(&rows)),
        });
    };
    examples.reserve(rows.len());
    for (index, value) in rows.iter().enumerate() {
        let row = Row::new(path, index + 1, value)?;
        examples.push(example(&row, images, split_from)?);
    }
    Ok(())
}

fn example(row: &Row<'_>, images: &Path, split_from: SplitFrom) -> Result<Example, DataError> {
    let image = row.required_text("image_name")?;
    // A plain name: joined to the folder it cannot point anywhere else.
    if image.is_empty() || image == ".." || image.contains(['/', '\\', '\0']) {
        return Err(row.error(format!(
            "`image_name` is `{image}`: give the name of a file in the image folder"
        )));
    }
    let mut labels = BTreeMap::new();
    for (label, field) in LABELS {
        let Some(value) = row.text(field)? else {
            continue;
        };
        if value.is_empty() || value == "NULL" {
            continue;
        }
        let value = match label {
            "question_type" => question_type(&value),
            "answer_type" => value.to_uppercase(),
            _ => value,
        };
        if !value.is_empty() {
            labels.insert(label.to_owned(), value);
        }
    }
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
        images: vec![ImageSource { path: images.join(&image), name: image.clone() }],
        task: Task::Vqa,
        instruction: row.required_text("question")?,
        answer: row.required_text("answer")?,
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

/// Appends `#2`, `#3`, … to ids that occurred before, in the order of the rows.
fn make_ids_unique(examples: &mut [Example]) {
    let mut taken: HashSet<String> = HashSet::with_capacity(examples.len());
    // The number to try next for each repeated id, so that a file of equal ids stays linear.
    let mut next: BTreeMap<String, usize> = BTreeMap::new();
    for example in examples {
        if taken.insert(example.id.clone()) {
            continue;
        }
        let count = next.entry(example.id.clone()).or_insert(2);
        example.id = loop {
            let candidate = format!("{}#{count}", example.id);
            *count += 1;
            if taken.insert(candidate.clone()) {
                break candidate;
            }
        };
    }
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

    #[test]
    fn the_name_tells_the_split_by_whole_words() {
        let split = |name: &str| split_in_name(Path::new(name));
        assert_eq!(split("a/trainset.json"), Some(Split::Train));
        assert_eq!(split("VQA_RAD-test.json"), Some(Split::Test));
        assert_eq!(split("latest.json"), None);
        assert_eq!(split("test/vqa_rad_public.json"), None);
    }
}
