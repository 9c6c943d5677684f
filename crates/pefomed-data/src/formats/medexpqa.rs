//! MedExpQA: questions of the Spanish residency exams with options and explanations, in English,
//! Spanish, French and Italian (Alonso et al., Artificial Intelligence in Medicine 2024). No images.
//!
//! One JSON object a line. The options become lines of the question under the letters A to E, and
//! the answer is the letter of the correct one: exact match is then accuracy.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Language;
use super::json;
use super::reading::{Reading, files_in, split_in_name};
use super::row::{Row, kind};
use crate::{DataError, Example, Split, Task};

/// Reads one file, or all of a folder and its subfolders `en`, `es`, `fr` and `it`, also below
/// `data`; words in a file's name tell split and language (`train.en.casimedicos.rag.jsonl`).
///
/// With the option `language`, files of other languages are left out. Ids are the file's, with the
/// language in front when a folder is read; the group is the question, the same in all languages.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    if !path.is_dir() {
        return read_file(path, reading);
    }
    let wanted = reading.options.language;
    let mut files: Vec<PathBuf> = Vec::new();
    for root in [path.to_owned(), path.join("data")] {
        for code in ["en", "es", "fr", "it"] {
            let folder = root.join(code);
            if folder.is_dir() {
                files.extend(files_in(&folder, &[".jsonl"])?);
            }
        }
    }
    if files.is_empty() {
        files = files_in(path, &[".jsonl"])?;
    }
    files.retain(|file| wanted.is_none() || language_of(file) == wanted);
    files.sort_by_key(|file| (language_of(file), split_in_name(file), file.clone()));
    files.iter().try_for_each(|file| read_file(file, reading))
}

/// The language that a word of the file's name or its folder tells.
fn language_of(file: &Path) -> Option<Language> {
    let name = file.file_name()?.to_str()?;
    let folder = file.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let words = name.split(|letter: char| !letter.is_alphanumeric());
    words.chain(folder).find_map(|word| word.parse().ok())
}

fn read_file(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let split = split_in_name(path).unwrap_or(Split::Train);
    let language = language_of(path);
    if let (Some(wanted), Some(found)) = (reading.options.language, language)
        && wanted != found
    {
        return Err(DataError::Layout {
            path: path.to_owned(),
            problem: format!("it is in the language `{found}`, but `{wanted}` is asked for"),
        });
    }
    json::lines(path, &mut |row, _| {
        reading.take(path, row.and_then(|row| example(row, split, language)))
    })
}

fn example(row: &Row<'_>, split: Split, language: Option<Language>) -> Result<Example, DataError> {
    let question = row.required_text("full_question")?;
    let options = options(row)?;
    let correct = row.required_text("correct_option")?;
    let letter = options
        .iter()
        .find(|(number, ..)| number.to_string() == correct)
        .map(|(_, letter, _)| *letter)
        .ok_or_else(|| {
            row.error(format!("`correct_option` is {correct}, which is none of its options"))
        })?;
    let lines: Vec<String> =
        options.iter().map(|(_, letter, text)| format!("{letter}. {text}")).collect();
    let own = match row.text("id")?.filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => format!("row{}", row.number()),
    };
    let group = format!("{split}-{own}");
    let mut labels = row.labels(&[("type", "type"), ("year", "year")])?;
    if let Some(language) = language {
        labels.insert("language".to_owned(), language.to_string());
    }
    Ok(Example {
        id: language.map_or_else(|| group.clone(), |language| format!("{language}-{group}")),
        images: Vec::new(),
        task: Task::Vqa,
        instruction: format!("{question}\n{}", lines.join("\n")),
        answer: letter.to_string(),
        other_answers: Vec::new(),
        group,
        split,
        labels,
        row: row.number(),
    })
}

/// Number, letter and text of the options there are: many questions have four of the five.
fn options(row: &Row<'_>) -> Result<Vec<(usize, char, String)>, DataError> {
    let Some(Value::Object(fields)) = row.value("options") else {
        let found = row.value("options").map_or("missing", kind);
        return Err(row.error(format!(
            "`options` is {found}: give an object such as {{\"1\": \"…\", \"2\": \"…\"}}"
        )));
    };
    let mut options = Vec::new();
    for (number, letter) in (1..).zip('A'..='E') {
        let key = number.to_string();
        match fields.get(&key) {
            None | Some(Value::Null) => {}
            Some(value) => {
                let text = row.text_of(&format!("options.{key}"), value)?;
                if !text.is_empty() {
                    options.push((number, letter, text));
                }
            }
        }
    }
    if options.len() < 2 {
        return Err(
            row.error("`options` has fewer than two options, under the keys \"1\" to \"5\"")
        );
    }
    Ok(options)
}
