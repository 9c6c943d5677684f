//! The project's own neutral layout: one JSON object a line.
//!
//! ```json
//! {"id": "7", "image": "cxr/7.png", "question": "Is there an effusion?", "answer": "no", "split": "test"}
//! ```
//!
//! | field | meaning | default |
//! |---|---|---|
//! | `id` | unique text or number | required |
//! | `image` or `images` | one path, or a list of paths | none: text only |
//! | `task` | `vqa`, `caption` or `report` | `vqa` |
//! | `question` or `instruction` | what is asked | required for `vqa`, else empty |
//! | `answer` | text or number | required |
//! | `other_answers` | list of texts that are as right | none |
//! | `split` | `train`, `val` or `test` | `train` |
//! | `group` | patient or study that must stay in one split | first image, else `id` |
//! | `labels` | object of label columns | none |
//!
//! A field that is not in the table is an error: a misspelt `spilt` must not put a test set into
//! training.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf, absolute};

use serde::Serialize;
use serde_json::Value;

use super::json;
use super::reading::Reading;
use super::row::{Row, kind};
use crate::image::view;
use crate::{DataError, Example, ImageSource, Split, Task, files, names};

const FIELDS: [&str; 11] = [
    "id",
    "image",
    "images",
    "task",
    "question",
    "instruction",
    "answer",
    "other_answers",
    "split",
    "group",
    "labels",
];

/// Reads a JSON-lines file; blank lines are skipped.
///
/// Image paths are relative to the image folder; without one, to the folder of the file, or to its
/// subfolder `images` for images that only exist there.
///
/// # Errors
/// See [`super::read`]; also a repeated id is a [`DataError::Row`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    reading.refuse_repeated_ids();
    let images_dir = reading.options.images.clone();
    json::lines(path, &mut |row, _| {
        reading.take(path, row.and_then(|row| example(row, path, images_dir.as_deref())))
    })
}

fn example(row: &Row<'_>, path: &Path, images_dir: Option<&Path>) -> Result<Example, DataError> {
    if let Some(key) = row.keys().find(|key| !FIELDS.contains(key)) {
        let known = FIELDS.join(", ");
        let suggestion = names::suggestion(key, FIELDS);
        return Err(row.error(format!("unknown field `{key}`: known are {known}{suggestion}")));
    }
    for (one, other) in [("image", "images"), ("question", "instruction")] {
        if row.value(one).is_some() && row.value(other).is_some() {
            return Err(row.error(format!("has both `{one}` and `{other}`: keep one of them")));
        }
    }
    let id = row.required_text("id")?;
    if id.is_empty() {
        return Err(row.error("`id` is empty: give every row an id of its own"));
    }
    let images = image_names(row)?
        .into_iter()
        .map(|name| ImageSource::file(name.clone(), locate(path, images_dir, &name)))
        .collect::<Vec<_>>();
    let task = match row.text("task")? {
        None => Task::Vqa,
        Some(name) => name.parse().map_err(|problem: String| row.error(problem))?,
    };
    let instruction = match row.text("question")?.or(row.text("instruction")?) {
        Some(text) => text,
        // Captions and reports may leave the wording to the prompt.
        None if task != Task::Vqa => String::new(),
        None => return Err(row.error("`question` is missing: a row of task vqa needs it")),
    };
    let split = match row.text("split")? {
        None => Split::Train,
        Some(name) => name.parse::<Split>().map_err(|problem| row.error(problem))?,
    };
    let group = match row.text("group")? {
        Some(group) if group.is_empty() => {
            return Err(row.error("`group` is empty: name the patient or study, or leave it out"));
        }
        Some(group) => group,
        None => images.first().map_or_else(|| id.clone(), ImageSource::group),
    };
    Ok(Example {
        answer: row.required_text("answer")?,
        other_answers: row.texts("other_answers")?,
        labels: labels(row)?,
        row: row.number(),
        id,
        images,
        task,
        instruction,
        group,
        split,
    })
}

fn image_names(row: &Row<'_>) -> Result<Vec<String>, DataError> {
    let values = match (row.value("image"), row.value("images")) {
        (Some(value), _) => std::slice::from_ref(value),
        (None, Some(Value::Array(values))) => values.as_slice(),
        (None, Some(other)) => {
            return Err(row.error(format!(
                "`images` is {}: give a list of paths, or one path as `image`",
                kind(other)
            )));
        }
        (None, None) => &[],
    };
    values
        .iter()
        .map(|value| match value {
            Value::String(name) if !name.is_empty() && !name.contains('\0') => Ok(name.clone()),
            Value::String(_) => Err(row.error("an image path is empty: give the path of a file")),
            other => Err(row.error(format!("an image path is {}: give it as a text", kind(other)))),
        })
        .collect()
}

fn labels(row: &Row<'_>) -> Result<BTreeMap<String, String>, DataError> {
    let fields = match row.value("labels") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            return Err(row.error(format!(
                "`labels` is {}: give an object such as {{\"organ\": \"chest\"}}",
                kind(other)
            )));
        }
    };
    let mut labels = BTreeMap::new();
    for (key, value) in fields {
        let text = match value {
            Value::Null => continue,
            Value::Bool(flag) => flag.to_string(),
            other => row.text_of(&format!("labels.{key}"), other)?,
        };
        if !text.is_empty() {
            labels.insert(key.clone(), text);
        }
    }
    Ok(labels)
}

/// Where the image of that name lies; for one that is nowhere, where it is expected.
fn locate(file: &Path, images_dir: Option<&Path>, name: &str) -> PathBuf {
    if let Some(folder) = images_dir {
        return folder.join(name);
    }
    let folder = file.parent().unwrap_or(Path::new(""));
    let beside = folder.join(name);
    let below = folder.join("images").join(name);
    if !beside.exists() && below.exists() { below } else { beside }
}

/// A row as it is written; what equals its default is left out.
#[derive(Serialize)]
struct Written<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    images: &'a [String],
    task: Task,
    question: &'a str,
    answer: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    other_answers: &'a [String],
    split: Split,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

/// Writes examples so that reading the file returns them again, whole or not at all.
///
/// An image's path is written relative to the folder of the file, with `/` between its parts, and
/// is its name from then on; the same folder can be moved as one. Rows are renumbered.
///
/// # Errors
/// [`DataError::Row`] for an image path that is not UTF-8 or has nothing in common with the
/// file's folder (another drive), [`DataError::Write`] when the file cannot be written.
pub fn write_jsonl(path: &Path, examples: &[Example]) -> Result<(), DataError> {
    let failed = |source| DataError::Write { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = absolute(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    let mut paths = Vec::with_capacity(examples.len());
    for (index, example) in examples.iter().enumerate() {
        let written = example.images.iter().map(|image| {
            let own = image.own_file().and_then(|file| relative(&folder, file));
            own.ok_or_else(|| DataError::Row {
                path: path.to_owned(),
                row: index + 1,
                problem: format!(
                    "the path of image `{}` cannot be written relative to the file: give it a file \
                     of its own, on the same drive and under a UTF-8 name",
                    image.name
                ),
            })
        });
        paths.push(written.collect::<Result<Vec<_>, _>>()?);
    }
    files::write_atomically(path, |out| {
        for (example, images) in examples.iter().zip(&paths) {
            let default_group =
                images.first().map_or(example.id.as_str(), |name| view::split(name).0);
            let several: &[String] = if images.len() == 1 { &[] } else { images };
            let row = Written {
                id: &example.id,
                image: if images.len() == 1 { images.first().map(String::as_str) } else { None },
                images: several,
                task: example.task,
                question: &example.instruction,
                answer: &example.answer,
                other_answers: &example.other_answers,
                split: example.split,
                group: (example.group != default_group).then_some(example.group.as_str()),
                labels: &example.labels,
            };
            serde_json::to_writer(&mut *out, &row)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// `path` as seen from `folder` (absolute), by names alone: neither needs to exist.
fn relative(folder: &Path, path: &Path) -> Option<String> {
    let (folder, path) = (without_dots(folder), without_dots(&absolute(path).ok()?));
    let folder: Vec<Component<'_>> = folder.components().collect();
    let path: Vec<Component<'_>> = path.components().collect();
    let common = folder.iter().zip(&path).take_while(|(a, b)| a == b).count();
    if common == 0 {
        return None;
    }
    let up = std::iter::repeat_n(Some(".."), folder.len() - common);
    let down = path[common..].iter().map(|part| part.as_os_str().to_str());
    Some(up.chain(down).collect::<Option<Vec<_>>>()?.join("/"))
}

/// Resolves `..` by removing the part before it.
fn without_dots(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir => {}
            other => result.push(other),
        }
    }
    result
}
