//! SLAKE: questions in English and Chinese about 642 radiology images (Liu et al., ISBI 2021).
//!
//! `train.json`, `validate.json` and `test.json` are lists of rows; `img_name` is a path such as
//! `xmlab0/source.jpg` below the folder `imgs`. Both languages ask about the same images: what is
//! published as SLAKE-English is the option `language = "en"`.

use std::path::{Path, PathBuf};

use super::json::{self, Top};
use super::locate::Locator;
use super::reading::{Reading, split_in_name};
use super::row::Row;
use crate::{DataError, Example, Split, Task};

/// Name of the label column and of the field it is read from.
const LABELS: [(&str, &str); 6] = [
    ("answer_type", "answer_type"),
    ("base_type", "base_type"),
    ("content_type", "content_type"),
    ("language", "q_lang"),
    ("location", "location"),
    ("modality", "modality"),
];

/// Reads SLAKE: its folder, or one of its files, whose name tells the split.
///
/// Images are looked for in the image folder, by default `imgs` (or `images`) beside the files. Ids
/// are the `qid`; the group is the image.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    if !path.is_dir() {
        let split = split_in_name(path).ok_or_else(|| DataError::Layout {
            path: path.to_owned(),
            problem: "its name does not tell the split: call it train.json, validate.json or \
                      test.json"
                .to_owned(),
        })?;
        return read_file(path, split, reading);
    }
    let files = [("train", Split::Train), ("validate", Split::Val), ("test", Split::Test)];
    let there: Vec<(PathBuf, Split)> = files
        .into_iter()
        .map(|(name, split)| (path.join(format!("{name}.json")), split))
        .filter(|(file, _)| file.is_file())
        .collect();
    if there.is_empty() {
        return Err(DataError::Layout {
            path: path.to_owned(),
            problem: "there is no `train.json`, `validate.json` or `test.json` in it; give the \
                      folder that holds them, or one of them"
                .to_owned(),
        });
    }
    there.iter().try_for_each(|(file, split)| read_file(file, *split, reading))
}

fn read_file(path: &Path, split: Split, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut images = Locator::new(match &reading.options.images {
        Some(folder) => vec![folder.clone()],
        None => vec![folder.join("imgs"), folder.join("images"), folder.to_owned()],
    });
    let wanted = reading.options.language;
    json::rows(path, "SLAKE", Top::List, &mut |row, _| {
        let row = match row {
            Ok(row) => row,
            Err(error) => return reading.skip(error),
        };
        let example = example(row, split, &mut images);
        let is_other = example.as_ref().is_ok_and(|example| {
            let language = example.labels.get("language").map(String::as_str);
            wanted.is_some_and(|wanted| language != Some(wanted.code()))
        });
        if is_other { Ok(()) } else { reading.take(path, example) }
    })
}

fn example(row: &Row<'_>, split: Split, images: &mut Locator) -> Result<Example, DataError> {
    let name = row.inner_path("img_name", &row.required_text("img_name")?)?;
    let mut labels = row.labels(&LABELS)?;
    if let Some(answer_type) = labels.get_mut("answer_type") {
        *answer_type = answer_type.to_uppercase();
    }
    if let Some(language) = labels.get_mut("language") {
        *language = language.to_lowercase();
    }
    let id = match row.text("qid")? {
        Some(qid) if !qid.is_empty() => qid,
        _ => format!("{split}-row{}", row.number()),
    };
    Ok(Example {
        id,
        images: vec![images.image(&name)],
        task: Task::Vqa,
        instruction: row.required_text("question")?,
        answer: row.required_text("answer")?,
        other_answers: Vec::new(),
        group: name,
        split,
        labels,
        row: row.number(),
    })
}
