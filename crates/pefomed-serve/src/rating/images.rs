//! Images as the page gets them: decoded here, sent as 8-bit PNG.
//!
//! Sending the originals would be cheaper. But an original carries more than its pixels (a name, a
//! date, a comment), browsers disagree about 16-bit and turned pictures, and raters should look at
//! the pixels that the model was given: [`pefomed_data::image`] decides what those are. The browser
//! asks by number; names and paths stay here.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use pefomed_data::DataError;
use pefomed_data::image::{DecodedImage, decode};
use pefomed_eval::rating::Items;

use crate::ServeError;

/// How many first bytes tell what a file is: DICOM has its mark behind 128 of them.
const HEAD: usize = 132;

/// The image folder, looked over.
#[derive(Debug)]
pub(super) struct Images {
    folder: PathBuf,
}

impl Images {
    /// Checks every image of the items: that its name stays in the folder, that it exists, and that
    /// it is a PNG or JPEG.
    pub(super) fn new(folder: Option<&Path>, items: &Items) -> Result<Self, ServeError> {
        let named: Vec<(&str, &str)> = items
            .cases
            .iter()
            .flat_map(|case| case.images.iter().map(|name| (case.id.as_str(), name.as_str())))
            .collect();
        let Some(folder) = folder else {
            return match named.first() {
                None => Ok(Self { folder: PathBuf::new() }),
                Some((_, first)) => {
                    let items = items.cases.iter().filter(|case| !case.images.is_empty()).count();
                    Err(ServeError::NoImageFolder { items, first: (*first).to_owned() })
                }
            };
        };
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        for (id, name) in named {
            if !stays_inside(name) {
                return Err(ServeError::ImageName { id: id.to_owned(), name: name.to_owned() });
            }
            if !seen.insert(name) {
                continue;
            }
            let path = folder.join(name);
            if path.is_file() { check_kind(&path)? } else { missing.push((id, name)) }
        }
        match missing.first() {
            None => Ok(Self { folder: folder.to_owned() }),
            Some((id, first)) => Err(ServeError::MissingImages {
                folder: folder.to_owned(),
                missing: missing.len(),
                total: seen.len(),
                first: (*first).to_owned(),
                id: (*id).to_owned(),
            }),
        }
    }

    /// The image with a checked name, as PNG.
    pub(super) fn png(&self, name: &str) -> Result<Vec<u8>, DataError> {
        encode(name, &decode(&self.folder.join(name))?)
    }
}

/// Whether a name is a path that leads down only.
fn stays_inside(name: &str) -> bool {
    let down = |part: Component<'_>| matches!(part, Component::Normal(_));
    // On a Unix machine `..\x` is one odd name; in a data set it comes from Windows and means more.
    !name.is_empty() && !name.contains('\\') && Path::new(name).components().all(down)
}

fn check_kind(path: &Path) -> Result<(), ServeError> {
    let failed = |source| DataError::Read { path: path.to_owned(), source };
    let mut head = Vec::with_capacity(HEAD);
    File::open(path)
        .and_then(|file| file.take(HEAD as u64).read_to_end(&mut head))
        .map_err(failed)?;
    let name_says_so =
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dcm"));
    if name_says_so || head.get(128..) == Some(&b"DICM"[..]) {
        return Err(ServeError::Dicom { path: path.to_owned() });
    }
    if head.starts_with(b"\x89PNG") || head.starts_with(&[0xff, 0xd8, 0xff]) {
        return Ok(());
    }
    let found = format!("its first bytes are {:02x?}", &head[..head.len().min(4)]);
    Err(DataError::ImageKind { name: path.display().to_string(), found }.into())
}

/// A decoded image as PNG: one channel where all three are equal, as in most of radiology.
fn encode(name: &str, image: &DecodedImage) -> Result<Vec<u8>, DataError> {
    let pixels = image.rgb.chunks_exact(3);
    let is_grey = pixels.clone().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
    let grey: Vec<u8>;
    let (bytes, color) = if is_grey {
        grey = pixels.map(|pixel| pixel[0]).collect();
        (&grey[..], ExtendedColorType::L8)
    } else {
        (&image.rgb[..], ExtendedColorType::Rgb8)
    };
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(bytes, image.width, image.height, color)
        .map_err(|error| DataError::BrokenImage {
            name: name.to_owned(),
            reason: error.to_string(),
        })?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
    use pefomed_data::Task;
    use pefomed_eval::rating::{Candidate, Case};

    use super::*;

    fn items(images: &[&str]) -> Items {
        let case = |(index, image): (usize, &&str)| Case {
            id: format!("q{index}"),
            group: String::new(),
            task: Task::Vqa,
            question: String::new(),
            reference: String::new(),
            images: vec![(*image).to_owned()],
        };
        let candidate = |case| Candidate { case, text: String::new(), systems: Vec::new() };
        Items {
            cases: images.iter().enumerate().map(case).collect(),
            candidates: (0..images.len()).map(candidate).collect(),
        }
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("images");
        std::fs::create_dir(&inner).unwrap();
        GrayImage::new(2, 2).save(folder.path().join("secret.png")).unwrap();
        let absolute = folder.path().join("secret.png").display().to_string();
        for name in ["../secret.png", "a/../../secret.png", &absolute, "", "..\\secret.png", "./."]
        {
            let refused = Images::new(Some(&inner), &items(&[name])).unwrap_err();
            assert!(matches!(refused, ServeError::ImageName { .. }), "{name}: {refused}");
        }
    }

    #[test]
    fn files_that_cannot_be_shown_are_named_at_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        GrayImage::new(2, 2).save(path("a.png")).unwrap();
        let fails = |names: &[&str]| {
            Images::new(Some(folder.path()), &items(names)).unwrap_err().to_string()
        };
        let text = fails(&["a.png", "b.png", "c.png", "b.png"]);
        assert!(text.contains("2 of 3 images are not in"), "{text}");
        assert!(text.contains("`b.png` of item `q1`"), "{text}");
        let mut dicom = vec![0; 128];
        dicom.extend_from_slice(b"DICM\x02\x00");
        std::fs::write(path("study"), &dicom).unwrap();
        assert!(fails(&["study"]).contains("is a DICOM file"), "{}", fails(&["study"]));
        std::fs::write(path("old.DCM"), [0; 4]).unwrap();
        assert!(fails(&["old.DCM"]).contains("convert it to PNG or JPEG"));
        std::fs::write(path("x.png"), b"GIF89a").unwrap();
        assert!(fails(&["x.png"]).contains("neither PNG nor JPEG"), "{}", fails(&["x.png"]));
        let none = Images::new(None, &items(&["a.png"])).unwrap_err().to_string();
        assert!(none.contains("--images DIR"), "{none}");
        Images::new(Some(folder.path()), &items(&["a.png"])).unwrap();
    }

    #[test]
    fn pixels_arrive_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let grey = GrayImage::from_fn(5, 3, |x, y| Luma([(40 * x + y) as u8]));
        let deep = DynamicImage::ImageLuma8(grey.clone()).to_luma16();
        deep.save(folder.path().join("deep.png")).unwrap();
        let coloured = RgbImage::from_pixel(4, 4, Rgb([10, 20, 30]));
        coloured.save(folder.path().join("colour.png")).unwrap();
        let mut bytes = std::fs::read(folder.path().join("colour.png")).unwrap();
        // An appended name, as some exporters leave behind.
        bytes.extend_from_slice(b"Doe^Jane");
        std::fs::write(folder.path().join("colour.png"), bytes).unwrap();

        let images = Images::new(Some(folder.path()), &items(&["deep.png", "colour.png"])).unwrap();
        let png = images.png("deep.png").unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap(), DynamicImage::ImageLuma8(grey));
        let png = images.png("colour.png").unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap(), DynamicImage::ImageRgb8(coloured));
        assert!(!png.windows(3).any(|three| three == b"Doe"));
    }
}
