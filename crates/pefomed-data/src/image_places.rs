//! Where the images that results name lie: in folders, and inside of parquet files.
//!
//! Results name an image and not its place. A file is found by its path below a folder; an image inside
//! a parquet file is called by the digest of its bytes, so the file is looked through once, when such a
//! name is asked for first, and its images are known by their names from then on.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use crate::formats::images_inside;
use crate::image::view;
use crate::parquet_file::ParquetCell;
use crate::{DataError, ImagePlace, ImageSource};

/// Digits of a name that is a digest.
const DIGITS: usize = 32;

/// Folders and parquet files to look for images in, the first first.
#[derive(Debug, Default)]
pub struct ImagePlaces {
    places: Vec<PathBuf>,
    inside: OnceLock<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    cells: BTreeMap<String, ParquetCell>,
    faults: Vec<DataError>,
}

impl ImagePlaces {
    /// Places in the order they are searched: folders with image files, parquet files, and folders with
    /// parquet files in them or in their subfolder `data`. Nothing is opened yet.
    pub fn new(places: Vec<PathBuf>) -> Self {
        Self { places, inside: OnceLock::new() }
    }

    /// The image of that name. Names that would leave a folder (`..`, absolute paths) are not looked
    /// for: results may come from anyone.
    pub fn find(&self, name: &str) -> Option<ImageSource> {
        if !leads_down(name) {
            return None;
        }
        let mut files = self.places.iter().map(|place| place.join(name));
        if let Some(file) = files.find(|path| view::file_of(path).is_file()) {
            return Some(ImageSource::file(name, file));
        }
        let is_digest = name.len() == DIGITS
            && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !is_digest {
            return None;
        }
        let cell = self.inside().cells.get(name)?;
        let place = ImagePlace::Parquet(cell.clone());
        Some(ImageSource { name: name.to_owned(), place })
    }

    /// Why parquet files could not be looked through, once a name was looked for in them.
    pub fn into_faults(self) -> Vec<DataError> {
        self.inside.into_inner().unwrap_or_default().faults
    }

    fn inside(&self) -> &Inside {
        self.inside.get_or_init(|| {
            let mut inside = Inside::default();
            for file in self.places.iter().flat_map(|place| parquet_files(place)) {
                if let Err(fault) = images_inside(&file, &mut inside.cells) {
                    inside.faults.push(fault);
                }
            }
            inside
        })
    }
}

/// Whether a name is a path that leads down only, and so stays inside of the folder it is sought in.
pub fn leads_down(name: &str) -> bool {
    let down = |part| matches!(part, Component::Normal(_));
    !name.is_empty() && Path::new(name).components().all(down)
}

/// The parquet files of a place, by name.
fn parquet_files(place: &Path) -> Vec<PathBuf> {
    let is_parquet = |path: &Path| {
        path.is_file()
            && path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
    };
    if is_parquet(place) {
        return vec![place.to_owned()];
    }
    let mut found = Vec::new();
    for folder in [place.to_owned(), place.join("data")] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| entry.path()).filter(|path| is_parquet(path)));
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Example;
    use crate::formats::{Format, Problems, ReadOptions, read_with};

    /// A set may have a row that cannot be used.
    fn read(path: &Path) -> Vec<Example> {
        let (options, mut problems) = (ReadOptions::default(), Problems::lenient());
        read_with(Format::Parquet, path, &options, &mut problems).unwrap()
    }

    #[test]
    fn only_names_inside_a_folder_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("images");
        std::fs::create_dir_all(inner.join("case1")).unwrap();
        std::fs::write(folder.path().join("secret.png"), b"x").unwrap();
        std::fs::write(inner.join("case1/source.jpg"), b"x").unwrap();
        let places = ImagePlaces::new(vec![inner.clone()]);
        let found = places.find("case1/source.jpg").unwrap();
        assert_eq!(found.own_file(), Some(inner.join("case1/source.jpg").as_path()));
        assert_eq!(places.find("../secret.png"), None);
        let absolute = folder.path().join("secret.png");
        assert_eq!(places.find(&absolute.to_string_lossy()), None);
        assert_eq!(places.find(""), None);
    }

    #[test]
    fn images_of_a_parquet_file_are_found_by_their_names() {
        let sets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets");
        for (set, place) in
            [("parquet", "parquet"), ("parquet-more/several.parquet", "parquet-more")]
        {
            let examples = read(&sets.join(set));
            let places = ImagePlaces::new(vec![sets.join("csv"), sets.join(place)]);
            let images: Vec<&ImageSource> =
                examples.iter().flat_map(|example| &example.images).collect();
            assert!(images.len() >= 2, "{set}");
            for image in images {
                let found = places.find(&image.name).unwrap();
                assert_eq!(found.read().unwrap().bytes, image.read().unwrap().bytes, "{set}");
            }
            assert_eq!(places.find(&"0".repeat(DIGITS)), None);
        }
    }

    #[test]
    fn a_damaged_file_is_told_and_the_others_are_read() {
        let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/formats");
        let sets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/datasets/parquet");
        let examples = read(&sets);
        let places = ImagePlaces::new(vec![formats, sets]);
        assert!(places.find(&examples[0].images[0].name).is_some());
        let faults = places.into_faults();
        assert_eq!(faults.len(), 6, "{faults:?}");
        assert!(faults[1].to_string().contains("cut.parquet"), "{}", faults[1]);
    }
}
