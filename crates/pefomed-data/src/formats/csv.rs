//! Any table with a row for each example: CSV, or TSV by its name.
//!
//! Columns are found by their usual names (`image`, `question`, `answer`, `split`, `group`, …) or
//! named by `columns`; the rest are labels. A folder is read file by file; a word such as `train` in
//! a file's name decides the split of rows that do not say theirs.

use std::path::Path;

use serde_json::{Map, Value};

use super::columns::Roles;
use super::locate::Locator;
use super::reading::{Reading, files_in, split_in_name};
use super::row::Row;
use crate::table::Table;
use crate::{DataError, Example};

/// Reads a table, or all tables of a folder.
///
/// Several images of a row are separated by `|` in their cell. Paths are relative to the image
/// folder; without one, to the folder of the table or its subfolder `images`. Without a column of
/// ids, the number of the row is the id, behind the split where the file's name tells it.
///
/// # Errors
/// See [`super::read`]; also a repeated id is a [`DataError::Row`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>) -> Result<(), DataError> {
    if !path.is_dir() {
        return read_adapted(path, reading, |_| ());
    }
    for file in files_in(path, &[".csv", ".tsv", ".csv.gz", ".tsv.gz"])? {
        read_adapted(&file, reading, |_| ())?;
    }
    Ok(())
}

/// Reads one table; `adapt` is what an adapter for one data set does to each example.
///
/// # Errors
/// As [`read`].
pub(super) fn read_adapted(
    path: &Path,
    reading: &mut Reading<'_>,
    adapt: fn(&mut Example),
) -> Result<(), DataError> {
    let mut table = Table::open(path)?;
    if table.names().is_empty() {
        return Ok(());
    }
    let options = reading.options;
    let roles = Roles::new(table.names(), options.columns.as_ref(), options.task)
        .map_err(|problem| DataError::Layout { path: path.to_owned(), problem })?;
    if roles.has_ids() {
        reading.refuse_repeated_ids();
    }
    let split = split_in_name(path);
    let mut places = Locator::beside(path, options.images.as_deref(), split);
    let names = table.names().to_vec();
    while let Some(found) = table.next()? {
        // Errors name the line, as an editor shows it; ids count the rows.
        let refuse = |problem| DataError::Row { path: path.to_owned(), row: found.line, problem };
        let cells = match found.cells {
            Ok(cells) => cells,
            Err(problem) => {
                reading.skip(refuse(problem))?;
                continue;
            }
        };
        let fields: Map<String, Value> =
            names.iter().cloned().zip(cells.into_iter().map(Value::String)).collect();
        let value = Value::Object(fields);
        let example = Row::new(path, found.line, &value).and_then(|row| {
            let images = roles.image_names(&row)?;
            let images = images.iter().flat_map(|names| names.split('|')).map(str::trim);
            let images = images.filter(|name| !name.is_empty()).map(|name| places.image(name));
            let images = images.collect();
            let mut example = roles.example(&row, images, split)?;
            if !roles.has_ids() {
                example.id = match split {
                    Some(split) => format!("{split}-{}", found.number),
                    None => found.number.to_string(),
                };
            }
            adapt(&mut example);
            Ok(example)
        });
        reading.take(path, example)?;
    }
    Ok(())
}
