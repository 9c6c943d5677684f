//! Parquet files as Hugging Face publishes them: columns by name, images inside or as paths.
//!
//! An image column is a structure of `bytes` and `path`, the bytes alone, a path, or a list of one
//! of these. An image that lies inside is named by its bytes (SHA-256, its first 128 bits): the same
//! picture in two rows is one image, whatever the file calls it, so that splits, the leakage count
//! and the cache of features see it as one. A folder is read file by file, in it or in its
//! subfolder `data`; a word such as `train` in a file's name decides the split of rows that do not
//! say theirs.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use parquet::record::Field;
use serde_json::{Map, Value};

use super::columns::Roles;
use super::locate::Locator;
use super::reading::{Reading, files_in, split_in_name};
use super::row::Row;
use crate::parquet_file::{ParquetCell, ParquetFile, ParquetRow};
use crate::{DataError, Example, ImagePlace, ImageSource, files};

/// What an adapter for one data set does to an example of this layout.
pub(super) type Adapt = fn(&mut Example);

/// Reads a parquet file, or all of a folder.
///
/// Without a column of ids, the number of the row in its file is the id, behind the file's name
/// where there are several.
///
/// # Errors
/// See [`super::read`]; also a repeated id is a [`DataError::Row`].
pub(super) fn read(path: &Path, reading: &mut Reading<'_>, adapt: Adapt) -> Result<(), DataError> {
    let files = if path.is_dir() { files_in(path, &[".parquet"])? } else { vec![path.to_owned()] };
    let mut places: HashMap<String, ImagePlace> = HashMap::new();
    for file in &files {
        let prefix = if files.len() > 1 {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            format!("{stem}-")
        } else {
            String::new()
        };
        read_file(file, &prefix, &mut places, reading, adapt)?;
    }
    Ok(())
}

fn read_file(
    path: &Path,
    prefix: &str,
    places: &mut HashMap<String, ImagePlace>,
    reading: &mut Reading<'_>,
    adapt: Adapt,
) -> Result<(), DataError> {
    let file = ParquetFile::open(path)?;
    let options = reading.options;
    let roles = Roles::new(file.names(), options.columns.as_ref(), options.task)
        .map_err(|problem| DataError::Layout { path: path.to_owned(), problem })?;
    if roles.has_ids() {
        reading.refuse_repeated_ids();
    }
    let split = split_in_name(path);
    let mut locator = Locator::beside(path, options.images.as_deref(), split);
    let leaf = roles.image.as_deref().and_then(|column| file.bytes_leaf(column));
    let mut number = 0;
    file.rows(&roles.read(), &mut |found| {
        number += 1;
        let inside = Inside { path: file.path(), leaf: leaf.as_ref(), row: &found };
        let mut images = Vec::new();
        let mut fields = Map::new();
        for (name, value) in &found.fields {
            if roles.image.as_deref() == Some(name) {
                let problem = inside.images(value, &mut locator, places, &mut images);
                if let Err(problem) = problem {
                    let problem = format!("`{name}` {problem}");
                    let path = path.to_owned();
                    return reading.skip(DataError::Row { path, row: number, problem });
                }
            } else {
                fields.insert(name.clone(), json(value));
            }
        }
        let value = Value::Object(fields);
        let example = Row::new(path, number, &value).and_then(|row| {
            let mut example = roles.example(&row, images, split)?;
            if !roles.has_ids() {
                example.id = format!("{prefix}{number}");
            }
            adapt(&mut example);
            Ok(example)
        });
        reading.take(path, example)
    })
}

/// Adds the images that lie inside of a file, by their names; of equal ones the first.
///
/// # Errors
/// [`DataError::Read`] and [`DataError::Layout`].
pub(crate) fn images_inside(
    path: &Path,
    found: &mut BTreeMap<String, ParquetCell>,
) -> Result<(), DataError> {
    let file = ParquetFile::open(path)?;
    for column in file.names() {
        let Some(leaf) = file.bytes_leaf(column) else { continue };
        let (mut places, mut locator) = (HashMap::new(), Locator::new(Vec::new()));
        file.rows(&[column], &mut |row| {
            let inside = Inside { path: file.path(), leaf: Some(&leaf), row: &row };
            for (_, value) in row.fields.iter().filter(|(_, value)| may_hold_bytes(value)) {
                // What is no image is the business of whoever reads the rows.
                let mut images = Vec::new();
                let _ = inside.images(value, &mut locator, &mut places, &mut images);
                for image in images {
                    if let ImagePlace::Parquet(cell) = image.place {
                        found.entry(image.name).or_insert(cell);
                    }
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Whether a value may be an image and not a text, which may be long and is no place to look for
/// files.
fn may_hold_bytes(value: &Field) -> bool {
    match value {
        Field::ListInternal(list) => list.elements().first().is_some_and(may_hold_bytes),
        Field::Bytes(_) | Field::Group(_) => true,
        _ => false,
    }
}

/// A row and where it lies.
struct Inside<'a> {
    path: &'a Arc<Path>,
    leaf: Option<&'a Arc<str>>,
    row: &'a ParquetRow,
}

impl Inside<'_> {
    /// Adds the images of a value: one, a list, or none.
    fn images(
        &self,
        value: &Field,
        locator: &mut Locator,
        places: &mut HashMap<String, ImagePlace>,
        images: &mut Vec<ImageSource>,
    ) -> Result<(), String> {
        let Field::ListInternal(list) = value else {
            return self.image(value, 0, locator, places, images);
        };
        for (item, value) in list.elements().iter().enumerate() {
            self.image(value, item, locator, places, images)?;
        }
        Ok(())
    }

    fn image(
        &self,
        value: &Field,
        item: usize,
        locator: &mut Locator,
        places: &mut HashMap<String, ImagePlace>,
        images: &mut Vec<ImageSource>,
    ) -> Result<(), String> {
        match value {
            Field::Null => Ok(()),
            Field::Str(name) if name.trim().is_empty() || name.contains('\0') => {
                Err("is an empty path: give the path of a file, or null".to_owned())
            }
            Field::Str(name) => {
                images.push(locator.image(name.trim()));
                Ok(())
            }
            Field::Bytes(bytes) => {
                let Some(leaf) = self.leaf else {
                    return Err("has bytes, but no column of them can be told".to_owned());
                };
                let name = files::digest_bytes(bytes.data())[..32].to_owned();
                let place = places.entry(name.clone()).or_insert_with(|| {
                    ImagePlace::Parquet(ParquetCell {
                        path: Arc::clone(self.path),
                        column: Arc::clone(leaf),
                        row_group: self.row.row_group,
                        row: self.row.row,
                        item,
                    })
                });
                images.push(ImageSource { name, place: place.clone() });
                Ok(())
            }
            Field::Group(row) => {
                let of = |wanted: &str| {
                    let found = row.get_column_iter().find(|(name, _)| *name == wanted);
                    found.map(|(_, value)| value).filter(|value| !matches!(value, Field::Null))
                };
                match of("bytes").or_else(|| of("path")) {
                    Some(value @ (Field::Bytes(_) | Field::Str(_))) => {
                        self.image(value, item, locator, places, images)
                    }
                    // A structure of two nulls is how an absent image is written.
                    None => Ok(()),
                    Some(_) => Err("is a structure whose `bytes` or `path` are neither bytes nor \
                                    text: see docs/data/parquet.md"
                        .to_owned()),
                }
            }
            _ => {
                Err("is neither bytes, a path, nor a structure of the two: name the image column \
                      (`columns` in a recipe, `--column image=NAME` on the command line)"
                    .to_owned())
            }
        }
    }
}

/// A value as JSON; what a label or a text cannot be becomes null.
fn json(value: &Field) -> Value {
    match value {
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(json).collect()),
        Field::Str(text) => Value::String(text.clone()),
        // Columns of text that were written without saying so.
        Field::Bytes(bytes) => {
            std::str::from_utf8(bytes.data()).map_or(Value::Null, |text| Value::String(text.into()))
        }
        Field::Group(_) | Field::MapInternal(_) => Value::Object(Map::new()),
        Field::Null => Value::Null,
        Field::Bool(flag) => Value::Bool(*flag),
        Field::Float(number) => Value::String(number.to_string()),
        Field::Double(number) => Value::from(*number),
        // Whole numbers, dates and decimals as they are written.
        other => Value::String(other.to_string()),
    }
}
