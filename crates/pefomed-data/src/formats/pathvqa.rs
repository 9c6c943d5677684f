//! PathVQA: questions about pathology images out of textbooks (He et al., 2020).
//!
//! It is passed around as parquet with the images inside, and in its first form as a folder of
//! `images/train/*.jpg` and pickles `qas/train/train_qa.pkl` of `{image, question, answer}`. Pickles
//! are read without running anything (see [`super::pickle`]); JSON of the same rows is read too.
//!
//! No file says which questions are open. The label `answer_type` is CLOSED where the answer is yes
//! or no, and OPEN elsewhere.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json;
use super::locate::Locator;
use super::reading::{Reading, split_in_name};
use super::row::Row;
use super::{parquet, pickle};
use crate::{DataError, Example, Split, Task, files};

/// A pickle may have so many bytes; the largest of the release has some two million.
const LIMIT_BYTES: u64 = 64 << 20;

/// Reads PathVQA: parquet files or a folder of them; a pickle or JSON file, whose name tells the
/// split; or the folder of the first release.
///
/// Images of the first release are looked for in `images/SPLIT` beside `qas`. The group is the image.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let questions = path.join("qas");
    if questions.is_dir() {
        let mut found = false;
        for (name, split) in [("train", Split::Train), ("val", Split::Val), ("test", Split::Test)] {
            for ending in ["pkl", "json"] {
                let file = questions.join(name).join(format!("{name}_qa.{ending}"));
                if file.is_file() {
                    found = true;
                    read_file(&file, split, reading)?;
                    break;
                }
            }
        }
        if found {
            return Ok(());
        }
        return Err(DataError::Layout {
            path: questions,
            problem:
                "there is no `train/train_qa.pkl` in it: give the folder as it was published, \
                      or one file"
                    .to_owned(),
        });
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if !path.is_dir() && matches!(ending, "pkl" | "pickle" | "json") {
        let split = split_in_name(path).ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            problem: "its name does not tell the split: call it `train_qa`, `val_qa` or `test_qa`"
                .to_owned(),
        })?;
        return read_file(path, split, reading);
    }
    parquet::read(path, reading, label)
}

/// Adds the label that no file has.
fn label(example: &mut Example) {
    let answer = example.answer.to_lowercase();
    let is_closed = matches!(answer.trim_end_matches('.'), "yes" | "no");
    let answer_type = if is_closed { "CLOSED" } else { "OPEN" };
    example.labels.insert("answer_type".to_owned(), answer_type.to_owned());
}

fn read_file(path: &Path, split: Split, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let name = if split == Split::Val { "val".to_owned() } else { split.to_string() };
    let mut images = Locator::new(match &reading.options.images {
        Some(folder) => vec![folder.join(&name), folder.clone()],
        None => path
            .ancestors()
            .skip(1)
            .take(3)
            .flat_map(|folder| -> [PathBuf; 2] {
                [folder.join("images").join(&name), folder.join("images")]
            })
            .collect(),
    });
    if path.extension().is_some_and(|ending| ending == "json") {
        return json::rows(path, "PathVQA", json::Top::List, &mut |row, _| {
            reading.take(path, row.and_then(|row| example(row, split, &mut images)))
        });
    }
    let refuse = |problem: String| DataError::Layout { path: path.to_owned(), problem };
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > LIMIT_BYTES {
        return Err(refuse("it has more than 64 MiB: it is no file of questions".to_owned()));
    }
    let rows = pickle::read(&files::read_bytes(path)?).map_err(|problem| {
        refuse(format!("the pickle cannot be read: {problem}; use the parquet files instead"))
    })?;
    let Value::Array(rows) = rows else {
        return Err(refuse("the pickle is no list of questions".to_owned()));
    };
    for (number, value) in (1..).zip(&rows) {
        let row = Row::new(path, number, value);
        reading.take(path, row.and_then(|row| example(&row, split, &mut images)))?;
    }
    Ok(())
}

fn example(row: &Row<'_>, split: Split, images: &mut Locator) -> Result<Example, DataError> {
    let name = row.inner_path("image", &row.required_text("image")?)?;
    let image = images.image(&name);
    let mut example = Example {
        id: format!("{split}-{}", row.number()),
        group: image.group(),
        images: vec![image],
        task: Task::Vqa,
        instruction: row.required_text("question")?,
        answer: row.required_text("answer")?,
        other_answers: Vec::new(),
        split,
        labels: std::collections::BTreeMap::new(),
        row: row.number(),
    };
    label(&mut example);
    Ok(example)
}
