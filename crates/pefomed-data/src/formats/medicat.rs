//! MedICaT: figures of medical papers with their captions (Subramanian et al., Findings of EMNLP
//! 2020).
//!
//! One JSON object a line; the image is `{pdf_hash}_{fig_uri}` in the folder `figures`. The caption
//! is `s2orc_caption`, else `s2_caption`. Figures of one paper are one group. There is no split.

use std::path::Path;

use super::json;
use super::locate::Locator;
use super::reading::{Reading, files_in, split_in_name};
use super::row::Row;
use crate::{DataError, Example, Split, Task};

/// Name of the label column and of the field it is read from.
const LABELS: [(&str, &str); 2] = [("figure_type", "predicted_type"), ("radiology", "radiology")];

/// Reads a file of JSON lines, or those of a folder.
///
/// Images are looked for in the image folder, by default `figures` or `images` beside the file. Rows
/// whose figure has no caption are left out with a note.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let files = if path.is_dir() {
        files_in(path, &[".jsonl", ".jsonl.gz"])?
    } else {
        vec![path.to_owned()]
    };
    files.iter().try_for_each(|file| read_file(file, reading))
}

fn read_file(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut images = Locator::new(match &reading.options.images {
        Some(folder) => vec![folder.clone()],
        None => vec![folder.join("figures"), folder.join("images"), folder.to_owned()],
    });
    let split = split_in_name(path).unwrap_or(Split::Train);
    json::lines(path, &mut |row, _| {
        let row = match row {
            Ok(row) => row,
            Err(error) => return reading.skip(error),
        };
        match example(row, split, &mut images) {
            Ok(Some(example)) => reading.take(path, Ok(example)),
            Ok(None) => {
                reading.note(path, row.number(), "left out: the figure has no caption");
                Ok(())
            }
            Err(error) => reading.skip(error),
        }
    })
}

fn example(
    row: &Row<'_>,
    split: Split,
    images: &mut Locator,
) -> Result<Option<Example>, DataError> {
    let paper = row.required_text("pdf_hash")?;
    let name = format!("{paper}_{}", row.required_text("fig_uri")?);
    let name = row.inner_path("fig_uri", &name)?;
    let mut captions = Vec::new();
    for field in ["s2orc_caption", "s2_caption"] {
        captions.extend(row.text(field)?.filter(|text| !text.is_empty()));
    }
    let Some(caption) = captions.into_iter().next() else { return Ok(None) };
    Ok(Some(Example {
        images: vec![images.image(&name)],
        id: name,
        task: Task::Caption,
        instruction: String::new(),
        answer: caption,
        other_answers: Vec::new(),
        group: paper,
        split,
        labels: row.labels(&LABELS)?,
        row: row.number(),
    }))
}
