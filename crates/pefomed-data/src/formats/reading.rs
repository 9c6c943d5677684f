//! One reading of a data set: where its examples go, and what becomes of rows that cannot be used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use super::ReadOptions;
use crate::{DataError, Example, Split};

/// After so many rows that cannot be used, a lenient reading ends too: the file is something else.
const LIMIT_SKIPPED: usize = 1_000_000;

/// What a reading made of the rows that are not as they should be.
///
/// A strict reading stops at the first row that cannot be used: a score over fewer questions than
/// the paper's is not the paper's score. A lenient one goes on and keeps the errors, so that all of
/// them can be mended at once, or knowingly left out.
#[derive(Debug, Default)]
pub struct Problems {
    lenient: bool,
    /// The errors of the rows that were left out, in their order.
    pub skipped: Vec<DataError>,
    /// What was mended, or left out by the rules of the layout: worth knowing.
    pub notes: Vec<DataError>,
}

impl Problems {
    /// Stops at the first row that cannot be used.
    pub fn strict() -> Self {
        Self::default()
    }

    /// Leaves out rows that cannot be used, and lists them.
    pub fn lenient() -> Self {
        Self { lenient: true, ..Self::default() }
    }

    /// Lists the error of a row, or returns it: when reading is strict, or it is about more than a
    /// row.
    fn skip(&mut self, error: DataError) -> Result<(), DataError> {
        let is_row = matches!(error, DataError::Row { .. });
        if !self.lenient || !is_row || self.skipped.len() >= LIMIT_SKIPPED {
            return Err(error);
        }
        self.skipped.push(error);
        Ok(())
    }
}

/// What happens to an id that occurs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepeatedId {
    /// The row is wrong: whoever wrote the file can number its rows.
    Refuse,
    /// `#2`, `#3`, … is appended, with a note: published files stay as they are.
    Rename,
}

/// Where examples go.
pub(super) type Keep<'a> = dyn FnMut(Example) -> Result<(), DataError> + 'a;

/// One reading of a data set.
pub(super) struct Reading<'a> {
    pub(super) options: &'a ReadOptions,
    problems: &'a mut Problems,
    keep: &'a mut Keep<'a>,
    /// First row of each id, and the number to try next when it comes again.
    ids: HashMap<String, (usize, usize)>,
    repeated_id: RepeatedId,
    examples: usize,
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        options: &'a ReadOptions,
        problems: &'a mut Problems,
        keep: &'a mut Keep<'a>,
    ) -> Self {
        let ids = HashMap::new();
        Self { options, problems, keep, ids, repeated_id: RepeatedId::Rename, examples: 0 }
    }

    /// Changes what happens to an id that occurs again; published layouts keep the default.
    pub(super) fn refuse_repeated_ids(&mut self) {
        self.repeated_id = RepeatedId::Refuse;
    }

    /// Examples kept so far.
    pub(super) fn examples(&self) -> usize {
        self.examples
    }

    /// The folder of the images: the one that was given, or the layout's own.
    pub(super) fn images_or(&self, own: impl FnOnce() -> PathBuf) -> PathBuf {
        self.options.images.clone().unwrap_or_else(own)
    }

    /// Takes what became of a row of `path`.
    ///
    /// # Errors
    /// The row's error when reading is strict, and any error that is about more than a row.
    pub(super) fn take(
        &mut self,
        path: &Path,
        row: Result<Example, DataError>,
    ) -> Result<(), DataError> {
        match row.and_then(|example| self.numbered(path, example)) {
            Ok(example) => {
                self.examples += 1;
                (self.keep)(example)
            }
            Err(error) => self.problems.skip(error),
        }
    }

    /// Takes a row that cannot be used.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) fn skip(&mut self, error: DataError) -> Result<(), DataError> {
        self.problems.skip(error)
    }

    /// Notes something about a row that is no error.
    pub(super) fn note(&mut self, path: &Path, row: usize, problem: impl Into<String>) {
        let problem = problem.into();
        self.problems.notes.push(DataError::Row { path: path.to_owned(), row, problem });
    }

    /// Sees to it that no two examples have one id.
    fn numbered(&mut self, path: &Path, mut example: Example) -> Result<Example, DataError> {
        let row = example.row;
        let refuse = |problem| DataError::Row { path: path.to_owned(), row, problem };
        if example.id.is_empty() {
            return Err(refuse("`id` is empty: give every row an id of its own".to_owned()));
        }
        let first = match self.ids.entry(example.id.clone()) {
            Entry::Vacant(entry) => {
                entry.insert((row, 2));
                return Ok(example);
            }
            Entry::Occupied(entry) => entry.get().0,
        };
        if self.repeated_id == RepeatedId::Refuse {
            return Err(refuse(format!(
                "id `{}` was used in row {first}: give every row an id of its own",
                example.id
            )));
        }
        // The number to try next is kept, so that a file of equal ids stays linear.
        let mut count = self.ids.get(&example.id).map_or(2, |(_, next)| *next);
        let renamed = loop {
            let candidate = format!("{}#{count}", example.id);
            count += 1;
            if !self.ids.contains_key(&candidate) {
                break candidate;
            }
        };
        self.ids.insert(renamed.clone(), (row, 2));
        self.ids.insert(example.id.clone(), (first, count));
        self.note(
            path,
            row,
            format!("id `{}` was used in row {first}: it is `{renamed}` here", example.id),
        );
        example.id = renamed;
        Ok(example)
    }
}

/// The split a file's name tells, by whole words: `latest.json` is not a test set.
pub(super) fn split_in_name(path: &Path) -> Option<Split> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    name.split(|letter: char| !letter.is_alphanumeric()).find_map(|word| match word {
        "train" | "trainset" | "training" | "traindata" => Some(Split::Train),
        "val" | "valset" | "valid" | "validate" | "validation" | "dev" | "valdata" => {
            Some(Split::Val)
        }
        "test" | "testset" | "testing" | "testdata" => Some(Split::Test),
        _ => None,
    })
}

/// The files of a folder with one of some endings, by name; the folder `data` inside it when it has
/// none itself.
///
/// # Errors
/// [`DataError::Read`]; [`DataError::Layout`] when there are none.
pub(super) fn files_in(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, DataError> {
    let inner = folder.join("data");
    let mut looked = vec![folder];
    if inner.is_dir() {
        looked.push(&inner);
    }
    for place in looked {
        let failed = |source| DataError::Read { path: place.to_owned(), source };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(place).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let name = name.to_lowercase();
            if endings.iter().any(|ending| name.ends_with(ending)) && path.is_file() {
                files.push(path);
            }
        }
        if !files.is_empty() {
            files.sort_unstable();
            return Ok(files);
        }
    }
    Err(DataError::Layout {
        path: folder.to_owned(),
        problem: format!("there is no file in it that ends in {}", endings.join(" or ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_split_by_whole_words() {
        let split = |name: &str| split_in_name(Path::new(name));
        assert_eq!(split("a/trainset.json"), Some(Split::Train));
        assert_eq!(split("VQA_RAD-test.json"), Some(Split::Test));
        assert_eq!(split("validation-00000-of-00002.parquet"), Some(Split::Val));
        assert_eq!(split("valdata.csv"), Some(Split::Val));
        assert_eq!(split("latest.json"), None);
        assert_eq!(split("test/vqa_rad_public.json"), None);
    }
}
