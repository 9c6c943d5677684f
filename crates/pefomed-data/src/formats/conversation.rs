//! Conversations: LLaVA's and ShareGPT's `conversations`, and `messages` with content parts.
//!
//! Each question with the answer that follows it becomes an example about the row's images; the
//! turns before it are not shown, since every question is a branch of its own about its image. A
//! turn of the system is left out: the prompt belongs to the recipe. `<image>` in a text marks where
//! an image stood; it is taken out, and when there are any, there must be as many as images.

use std::path::Path;

use serde_json::Value;

use super::json;
use super::locate::Locator;
use super::reading::{Reading, split_in_name};
use super::row::{Row, kind};
use crate::{DataError, Example, ImageSource, Split, Task};

/// The mark of an image in a text.
const MARK: &str = "<image>";

/// The names of one layout's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `id`, `image` (or a list), `conversations` (LLaVA-Med: `conversatons`) of `from` and `value`.
    Llava,
    /// `images`, `conversations` of `from` and `value`, or `messages` of `role` and `content`.
    ShareGpt,
    /// `messages` of `role` and `content`, which is a text or a list of parts.
    Messages,
}

/// Who speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    User,
    Model,
    System,
}

/// One turn.
struct Turn {
    speaker: Speaker,
    text: String,
}

/// Reads a JSON list or JSON lines of conversations; a word such as `train` in the file's name
/// decides the split of rows that have no `split`.
///
/// Image paths are relative to the image folder; without one, to the folder of the file or its
/// subfolder `images`. The group is the row's `group`, else its first image, else its id. With
/// several questions, `/1`, `/2`, … is appended to the id.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, shape: Shape, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let options = reading.options;
    let split = split_in_name(path);
    let mut places = Locator::beside(path, options.images.as_deref(), split);
    let task = options.task.unwrap_or(Task::Vqa);
    json::rows_or_lines(path, "a set of conversations", &mut |row, _| match row
        .and_then(|row| examples(row, shape, task, split, &mut places))
    {
        Ok(examples) => {
            examples.into_iter().try_for_each(|example| reading.take(path, Ok(example)))
        }
        Err(error) => reading.skip(error),
    })
}

fn examples(
    row: &Row<'_>,
    shape: Shape,
    task: Task,
    split: Option<Split>,
    places: &mut Locator,
) -> Result<Vec<Example>, DataError> {
    let mut names = row.texts("image")?;
    names.extend(row.texts("images")?);
    let (turns, marks) = turns(row, shape, &mut names)?;
    if let Some(name) = names.iter().find(|name| name.is_empty() || name.contains('\0')) {
        return Err(row.error(format!("an image path is `{name}`: give the path of a file")));
    }
    if marks > 0 && marks != names.len() {
        return Err(row.error(format!(
            "has {marks} times `{MARK}` and {} images: make them as many",
            names.len()
        )));
    }
    let images: Vec<ImageSource> = names.iter().map(|name| places.image(name)).collect();
    let split = match row.text("split")?.filter(|split| !split.is_empty()) {
        Some(name) => name.parse::<Split>().map_err(|problem| row.error(problem))?,
        None => split.unwrap_or(Split::Train),
    };
    let id = match row.text("id")?.filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => format!("row{}", row.number()),
    };
    let group = match row.text("group")?.filter(|group| !group.is_empty()) {
        Some(group) => group,
        None => images.first().map_or_else(|| id.clone(), ImageSource::group),
    };
    let pairs = pairs(row, turns)?;
    let several = pairs.len() > 1;
    Ok((1..)
        .zip(pairs)
        .map(|(number, (question, answer))| Example {
            id: if several { format!("{id}/{number}") } else { id.clone() },
            images: images.clone(),
            task,
            instruction: question,
            answer,
            other_answers: Vec::new(),
            group: group.clone(),
            split,
            labels: std::collections::BTreeMap::new(),
            row: row.number(),
        })
        .collect())
}

/// Each question with its answer.
fn pairs(row: &Row<'_>, turns: Vec<Turn>) -> Result<Vec<(String, String)>, DataError> {
    let mut pairs = Vec::new();
    let mut question = None;
    for turn in turns {
        match (turn.speaker, question.take()) {
            (Speaker::System, before) => question = before,
            (Speaker::User, None) => question = Some(turn.text),
            (Speaker::Model, Some(asked)) => pairs.push((asked, turn.text)),
            (Speaker::User, Some(_)) => {
                return Err(row.error("has two questions in a row: put them into one turn"));
            }
            (Speaker::Model, None) => {
                return Err(row.error("has an answer without a question before it"));
            }
        }
    }
    if question.is_some() {
        return Err(row.error("ends with a question: every question needs its answer"));
    }
    if pairs.is_empty() {
        return Err(row.error("has no question with an answer"));
    }
    Ok(pairs)
}

/// The turns of a row and the number of image marks that were taken out; images among the parts of
/// a message are added to the names.
fn turns(
    row: &Row<'_>,
    shape: Shape,
    names: &mut Vec<String>,
) -> Result<(Vec<Turn>, usize), DataError> {
    let list = match shape {
        // LLaVA-Med's files spell it so.
        Shape::Llava if row.value("conversatons").is_some() => "conversatons",
        Shape::Llava => "conversations",
        Shape::ShareGpt if row.value("conversations").is_some() => "conversations",
        Shape::Messages | Shape::ShareGpt => "messages",
    };
    let Some(value) = row.value(list) else {
        return Err(row.error(format!("`{list}` is missing: every row needs it")));
    };
    let Value::Array(entries) = value else {
        return Err(row.error(format!("`{list}` is {}: give a list of turns", kind(value))));
    };
    let mut marks = 0;
    let mut turns = Vec::new();
    for entry in entries {
        let Value::Object(fields) = entry else {
            return Err(row.error(format!("a turn is {}: give an object", kind(entry))));
        };
        // Both spellings occur in both lists.
        let of = |keys: [&str; 2]| keys.into_iter().find_map(|key| fields.get(key));
        let speaker = match of(["from", "role"]).and_then(Value::as_str) {
            Some("human" | "user") => Speaker::User,
            Some("gpt" | "assistant" | "model") => Speaker::Model,
            Some("system") => Speaker::System,
            Some(other) => {
                return Err(row.error(format!(
                    "a turn is from `{other}`: use human and gpt, or user and assistant"
                )));
            }
            None => return Err(row.error("a turn does not say whom it is from")),
        };
        let text = match of(["value", "content"]) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(parts)) => parts
                .iter()
                .map(|part| part_text(row, part, names))
                .filter(|text| text.as_ref().map_or(true, |text| !text.is_empty()))
                .collect::<Result<Vec<_>, _>>()?
                .join("\n"),
            Some(other) => {
                return Err(row.error(format!("a turn's text is {}: give a text", kind(other))));
            }
            None => return Err(row.error("a turn has no text: give `value` or `content`")),
        };
        if speaker == Speaker::User {
            marks += text.matches(MARK).count();
        }
        turns.push(Turn { speaker, text: text.replace(MARK, "").trim().to_owned() });
    }
    Ok((turns, marks))
}

/// The text of a content part; an image's path is added to the names.
fn part_text(row: &Row<'_>, part: &Value, names: &mut Vec<String>) -> Result<String, DataError> {
    let kind_of = part.get("type").and_then(Value::as_str).unwrap_or_default();
    let text = |key: &str| part.get(key).and_then(Value::as_str).map(str::trim);
    match kind_of {
        "text" => Ok(text("text").unwrap_or_default().to_owned()),
        "image" | "image_url" => {
            let url =
                part.get("image_url").and_then(|image| image.get("url")).and_then(Value::as_str);
            let name = [url, text("image"), text("image_url"), text("path"), text("url")];
            match name.into_iter().flatten().next() {
                // A part without a path stands for the next of the row's `images`.
                None => Ok(String::new()),
                Some(name) if name.starts_with("data:") || name.contains("://") => {
                    let name: String = name.chars().take(40).collect();
                    Err(row.error(format!(
                        "an image is `{name}…`: save it as a file and give its path"
                    )))
                }
                Some(name) => {
                    names.push(name.to_owned());
                    Ok(String::new())
                }
            }
        }
        other => Err(row.error(format!(
            "a content part is of type `{other}`: only `text` and `image` can be read"
        ))),
    }
}
