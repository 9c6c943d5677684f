//! MEDIQA-M3G: dermatology cases with several images and the answers of several doctors (Yim et al.,
//! 2024).
//!
//! A JSON list of cases: `encounter_id`, `image_ids`, the patient's `query_title_LANG` and
//! `query_content_LANG`, and `responses`, each with `content_LANG`. A case is one example: the first
//! answer of the most complete is the reference, the others are as right.

use std::path::Path;

use serde_json::Value;

use super::Language;
use super::json::{self, Top};
use super::locate::Locator;
use super::reading::{Reading, files_in, split_in_name};
use super::row::Row;
use crate::{DataError, Example, Split, Task};

/// Reads one file, whose name tells the split, or all of a folder.
///
/// The option `language` chooses among `en` (the default), `zh` and `es`. Images are looked for in
/// the image folder, by default beside the file, in `images`, and in the folder of the split. The
/// group is the case.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let files = if path.is_dir() { files_in(path, &[".json"])? } else { vec![path.to_owned()] };
    let language = reading.options.language.unwrap_or(Language::En);
    for file in files {
        let split = split_in_name(&file);
        let mut images = Locator::beside(&file, reading.options.images.as_deref(), split);
        let split = split.unwrap_or(Split::Train);
        json::rows(&file, "MEDIQA-M3G", Top::List, &mut |row, _| {
            reading.take(&file, row.and_then(|row| example(row, split, language, &mut images)))
        })?;
    }
    Ok(())
}

fn example(
    row: &Row<'_>,
    split: Split,
    language: Language,
    images: &mut Locator,
) -> Result<Example, DataError> {
    let id = row.required_text("encounter_id")?;
    let names = row
        .texts("image_ids")?
        .iter()
        .map(|name| row.inner_path("image_ids", name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut question = Vec::new();
    for field in ["query_title", "query_content"] {
        let text = row.text(&format!("{field}_{language}"))?;
        question.extend(text.filter(|text| !text.is_empty()));
    }
    if question.is_empty() {
        return Err(row.error(format!(
            "`query_content_{language}` is missing: choose a `language` that the file has"
        )));
    }
    let mut answers = answers(row, language)?;
    if answers.is_empty() {
        return Err(row.error(format!(
            "no response has `content_{language}`: choose a `language` that the file has"
        )));
    }
    // A stable sort: equals stay in the order of the file.
    answers.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut answers = answers.into_iter().map(|(_, text)| text);
    Ok(Example {
        images: names.iter().map(|name| images.image(name)).collect(),
        task: Task::Vqa,
        instruction: question.join("\n"),
        answer: answers.next().unwrap_or_default(),
        other_answers: answers.collect(),
        group: id.clone(),
        id,
        split,
        labels: [("language".to_owned(), language.to_string())].into(),
        row: row.number(),
    })
}

/// The answers and how complete each is, where the file says so.
fn answers(row: &Row<'_>, language: Language) -> Result<Vec<(f64, String)>, DataError> {
    let key = format!("content_{language}");
    let mut answers = Vec::new();
    let Some(Value::Array(responses)) = row.value("responses") else {
        return Err(row.error("`responses` is no list: give the answers of the doctors"));
    };
    for response in responses {
        let Some(content) = response.get(&key).filter(|content| !content.is_null()) else {
            continue;
        };
        let text = row.text_of(&format!("responses.{key}"), content)?;
        let complete = response.get("completeness").and_then(|value| match value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_f64(),
        });
        if !text.is_empty() {
            answers.push((complete.unwrap_or(0.0), text));
        }
    }
    Ok(answers)
}
