//! ROCO and ImageCLEF: a table of ids and captions for each split, and the images.
//!
//! - ROCO (Pelka et al., LABELS 2018): `data/train/radiology/captions.txt` and its kin, lines of an
//!   id, a tab and the caption, or `traindata.csv` with `id,name,caption`, where the name is that of
//!   the image file. Both lie beside the folder `images`.
//! - ROCOv2 (Rückert et al., Scientific Data 2024): `train_captions.csv` with `ID,Caption`, images in
//!   the folders `train`, `valid` and `test`.
//! - ImageCLEFmedical caption: `caption_prediction_train.csv` with `ID` and `caption`, separated by
//!   tabs in some years and by commas in others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::locate::Locator;
use super::reading::{Reading, split_in_name};
use super::row::inner_path;
use crate::table::Table;
use crate::text::Lines;
use crate::{DataError, Example, Split, Task};

/// Which of the two data sets a folder is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// ROCO and ROCOv2.
    Roco,
    /// ImageCLEFmedical caption.
    ImageClef,
}

/// Folders of ROCO below which a split's files lie; the other half of it is not radiology.
const ROCO_FOLDERS: [(&str, Split); 3] =
    [("train", Split::Train), ("validation", Split::Val), ("test", Split::Test)];

/// Reads one table or text of captions, or those that lie in a folder.
///
/// The split is told by the file's name, else by a folder of its path. Images are looked for in the
/// image folder, by default beside the table, in its folder `images` and in the folder of the split.
/// Ids are those of the file; each image is a group of its own.
///
/// # Errors
/// See [`super::read`].
pub(super) fn read(path: &Path, set: Set, reading: &mut Reading<'_>) -> Result<(), DataError> {
    let files = if path.is_dir() { found_in(path, set)? } else { vec![path.to_owned()] };
    if files.is_empty() {
        return Err(DataError::Layout {
            path: path.to_owned(),
            problem: match set {
                Set::Roco => {
                    "there is neither `train_captions.csv` nor `train/radiology/captions.txt` in it \
                     (nor in its subfolder `data`): give a folder that has one, or a file of captions"
                }
                Set::ImageClef => {
                    "there is no CSV file with `caption` in its name in it: give a folder that has \
                     one, or a file of captions"
                }
            }
            .to_owned(),
        });
    }
    for file in files {
        let split = split_of(&file);
        let places = Locator::beside(&file, reading.options.images.as_deref(), Some(split));
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut captions = Captions { file: &file, split, places };
        if name.to_lowercase().contains(".csv") || name.to_lowercase().contains(".tsv") {
            captions.table(reading)?;
        } else {
            captions.lines(reading)?;
        }
    }
    Ok(())
}

/// The files of captions of a folder.
fn found_in(path: &Path, set: Set) -> Result<Vec<PathBuf>, DataError> {
    let mut found = Vec::new();
    for root in [path.to_owned(), path.join("data")].into_iter().filter(|root| root.is_dir()) {
        let failed = |source| DataError::Read { path: root.clone(), source };
        for entry in std::fs::read_dir(&root).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let name = name.to_lowercase();
            let is_table = [".csv", ".tsv", ".csv.gz"].iter().any(|end| name.ends_with(end));
            // `ImageCLEFmedCaption_2022_concept_detection_train.csv` holds no captions.
            let is_other = name.contains("concept");
            if is_table && name.contains("caption") && !is_other && file.is_file() {
                found.push(file);
            }
        }
        if set == Set::Roco {
            for (folder, split) in ROCO_FOLDERS {
                let folder = root.join(folder).join("radiology");
                let stem = if split == Split::Val { "val".to_owned() } else { split.to_string() };
                // The table knows the names of the image files; the text does not.
                let files = [folder.join(format!("{stem}data.csv")), folder.join("captions.txt")];
                found.extend(files.into_iter().find(|file| file.is_file()));
            }
        }
    }
    // Training first, and within a split by name.
    found.sort_by_key(|file| (split_of(file), file.clone()));
    Ok(found)
}

/// The split that the name or a folder of the path tells, the innermost first.
fn split_of(file: &Path) -> Split {
    let mut parts = file.ancestors().take(4).filter(|part| part.file_name().is_some());
    parts.find_map(split_in_name).unwrap_or(Split::Train)
}

struct Captions<'a> {
    file: &'a Path,
    split: Split,
    places: Locator,
}

impl Captions<'_> {
    fn table(&mut self, reading: &mut Reading<'_>) -> Result<(), DataError> {
        let mut table = Table::open(self.file)?;
        let plain: Vec<String> =
            table.names().iter().map(|name| name.trim().to_lowercase()).collect();
        let column = |name: &str| plain.iter().position(|known| known == name);
        let (Some(id), Some(caption)) = (column("id"), column("caption")) else {
            return Err(DataError::Layout {
                path: self.file.to_owned(),
                problem: format!(
                    "its columns are {}: `id` and `caption` are needed in the first line",
                    table.names().join(", ")
                ),
            });
        };
        let name = column("name");
        while let Some(row) = table.next()? {
            let example = match row.cells {
                Err(problem) => Err(self.error(row.line, problem)),
                Ok(cells) => {
                    let cell = |column: usize| cells.get(column).map_or("", |cell| cell.trim());
                    let file = name.map_or_else(|| cell(id), cell);
                    self.example(row.line, cell(id), file, cell(caption))
                }
            };
            reading.take(self.file, example)?;
        }
        Ok(())
    }

    fn lines(&mut self, reading: &mut Reading<'_>) -> Result<(), DataError> {
        let mut lines = Lines::open(self.file)?;
        while let Some(line) = lines.next()? {
            let number = line.number;
            let example = match line.text.map(|text| text.split_once('\t')) {
                Err(problem) => Err(self.error(number, problem)),
                Ok(None) => {
                    Err(self.error(number, "has no tab: write the id, a tab and the caption"))
                }
                Ok(Some((id, caption))) => {
                    let id = id.trim();
                    self.example(number, id, id, caption.trim())
                }
            };
            reading.take(self.file, example)?;
        }
        Ok(())
    }

    fn error(&self, row: usize, problem: impl Into<String>) -> DataError {
        DataError::Row { path: self.file.to_owned(), row, problem: problem.into() }
    }

    fn example(
        &mut self,
        row: usize,
        id: &str,
        file: &str,
        caption: &str,
    ) -> Result<Example, DataError> {
        if caption.is_empty() {
            return Err(self.error(row, format!("the caption of `{id}` is empty")));
        }
        let file = inner_path(file).ok_or_else(|| {
            self.error(row, format!("`{file}` is no name of a file in the image folder"))
        })?;
        let mut image = self.places.image(&file);
        // Some copies name the images by the id, whatever the table says.
        if !image.path().is_file()
            && let Some(by_id) = inner_path(id).map(|id| self.places.image(&id))
            && by_id.path().is_file()
        {
            image = by_id;
        }
        Ok(Example {
            id: id.to_owned(),
            group: image.group(),
            images: vec![image],
            task: Task::Caption,
            instruction: String::new(),
            answer: caption.to_owned(),
            other_answers: Vec::new(),
            split: self.split,
            labels: BTreeMap::new(),
            row,
        })
    }
}
