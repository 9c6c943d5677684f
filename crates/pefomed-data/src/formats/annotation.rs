//! IU-Xray and MIMIC-CXR as report generation papers pass them around: one `annotation.json`.
//!
//! The file, made for R2Gen (Chen et al., EMNLP 2020), is an object of three lists, `train`, `val`
//! and `test`, of `{"id", "report", "image_path": [...], "split"}`; for MIMIC-CXR also `subject_id`
//! and `study_id`. IU-Xray has two views of each study, MIMIC-CXR one image a row.

use std::path::Path;

use super::Views;
use super::json::{self, Top};
use super::locate::Locator;
use super::reading::Reading;
use super::row::Row;
use crate::{DataError, Example, Split, Task};

/// Lists of the file.
const LISTS: &[&str] = &["train", "val", "test"];

/// Reads `annotation.json`, or the folder it lies in.
///
/// Images are looked for in the image folder, by default `images` beside the file. The group is the
/// patient: `subject_id` where there is one, in IU-Xray the part of the id before `_`.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, what: &str, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let inner = path.join("annotation.json");
    let path = if path.is_dir() { inner.as_path() } else { path };
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut images = Locator::new(match &reading.options.images {
        Some(folder) => vec![folder.clone()],
        None => vec![folder.join("images"), folder.join("files"), folder.to_owned()],
    });
    let views = reading.options.views.unwrap_or_default();
    json::rows(path, what, Top::Lists(LISTS), &mut |row, list| {
        let split = list.and_then(|list| list.parse().ok()).unwrap_or(Split::Train);
        reading.take(path, row.and_then(|row| example(row, split, views, &mut images)))
    })
}

fn example(
    row: &Row<'_>,
    split: Split,
    views: Views,
    images: &mut Locator,
) -> Result<Example, DataError> {
    let id = row.required_text("id")?;
    let mut names = row
        .texts("image_path")?
        .iter()
        .map(|name| row.inner_path("image_path", name))
        .collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        return Err(row.error("`image_path` is empty: a report needs an image"));
    }
    if views == Views::First {
        names.truncate(1);
    }
    let own = row.text("split")?.filter(|own| !own.is_empty());
    if let Some(own) = own.as_deref().filter(|own| own.parse() != Ok(split)) {
        return Err(row.error(format!(
            "`split` is `{own}`, but the row is in the list of {split}: keep it in one of them"
        )));
    }
    let patient = match row.text("subject_id")?.filter(|patient| !patient.is_empty()) {
        Some(patient) => patient,
        None => id.split('_').next().unwrap_or(&id).to_owned(),
    };
    Ok(Example {
        images: names.iter().map(|name| images.image(name)).collect(),
        task: Task::Report,
        instruction: String::new(),
        answer: row.required_text("report")?,
        other_answers: Vec::new(),
        group: patient,
        split,
        labels: row.labels(&[("study", "study_id")])?,
        row: row.number(),
        id,
    })
}
