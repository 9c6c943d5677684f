//! Finding image files where people keep them.
//!
//! The same data set lies in `images/`, in a folder for each split, or beside its table, with or
//! without the ending in its table. All places are tried, the one that was right last first; an image
//! that is nowhere keeps the place it is expected at, for the check to name.

use std::path::{Path, PathBuf};

use crate::{ImageSource, Split};

/// Endings that a name without one may have.
const ENDINGS: [&str; 5] = ["", ".jpg", ".png", ".jpeg", ".dcm"];

/// Places where the images of a file may lie.
pub(super) struct Locator {
    folders: Vec<PathBuf>,
    /// Folder and ending that were right last.
    last: (usize, usize),
}

impl Locator {
    /// Looks in these folders, the first being the one that is expected.
    pub(super) fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, last: (0, 0) }
    }

    /// Looks in the folder that was given, else beside `file` and in its subfolder `images`; in
    /// each also in the folder of the split.
    pub(super) fn beside(file: &Path, given: Option<&Path>, split: Option<Split>) -> Self {
        let roots = if let Some(folder) = given {
            vec![folder.to_owned()]
        } else {
            let folder = file.parent().unwrap_or(Path::new(""));
            vec![folder.to_owned(), folder.join("images")]
        };
        let names: &[&str] = match split {
            None => &[],
            Some(Split::Train) => &["train"],
            Some(Split::Val) => &["val", "valid", "validation"],
            Some(Split::Test) => &["test"],
        };
        let inner: Vec<PathBuf> =
            roots.iter().flat_map(|root| names.iter().map(|name| root.join(name))).collect();
        Self::new(roots.into_iter().chain(inner).collect())
    }

    /// The image of that name, a path below one of the folders or an absolute one.
    pub(super) fn image(&mut self, name: &str) -> ImageSource {
        let at = |folder: &PathBuf, ending: &str| folder.join(format!("{name}{ending}"));
        let (folder, ending) = self.last;
        let known = self.folders.get(folder).map(|folder| at(folder, ENDINGS[ending]));
        if let Some(known) = known.filter(|known| known.is_file()) {
            return ImageSource::file(name, known);
        }
        for (folder_number, folder) in self.folders.iter().enumerate() {
            for (ending_number, ending) in ENDINGS.into_iter().enumerate() {
                let place = at(folder, ending);
                if place.is_file() {
                    self.last = (folder_number, ending_number);
                    return ImageSource::file(name, place);
                }
            }
        }
        let expected = self.folders.first().cloned().unwrap_or_default();
        ImageSource::file(name, expected.join(name))
    }
}
