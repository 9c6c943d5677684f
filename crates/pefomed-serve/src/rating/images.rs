//! Images as the page gets them: decoded here, sent as 8-bit PNG.
//!
//! DICOM and NIfTI files hold more greys than 8 bits and more pictures than one. The page asks for a
//! frame, a slice and a window, and the picture is drawn anew from the values of the file: what a
//! rater sees through a narrow window is what was measured.
//!
//! Sending the originals would be cheaper. But an original carries more than its pixels (a name, a
//! date, a comment), browsers disagree about 16-bit and turned pictures, and raters should look at
//! the pixels that the model was given: [`pefomed_data::image`] decides what those are. The browser
//! asks by number; names and paths stay here.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use pefomed_data::image::view::{WindowChoice, file_of};
use pefomed_data::image::{Rendering, View, png};
use pefomed_data::image_places::leads_down;
use pefomed_data::{DataError, ImagePlaces, ImageSource};
use pefomed_eval::rating::Items;
use serde::Deserialize;

use crate::ServeError;

/// How many first bytes tell PNG and JPEG.
const HEAD: u64 = 8;

/// What the page asks for; what it leaves out is as the image's name has it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    frame: Option<u32>,
    slice: Option<u32>,
    /// `file`, `range`, a preset or `CENTRE,WIDTH`.
    window: Option<String>,
}

impl Asked {
    /// The view of a name with what was asked for in its place.
    fn over(&self, view: View) -> Result<View, String> {
        Ok(View {
            frame: self.frame.or(view.frame),
            slice: self.slice.or(view.slice),
            window: match &self.window {
                None => view.window,
                Some(text) => WindowChoice::parse(text)?,
            },
            ..view
        })
    }
}

/// The image folder or parquet file, looked over.
#[derive(Debug)]
pub(super) struct Images {
    places: ImagePlaces,
}

impl Images {
    /// Checks every image of the items: that its name stays in the folder, that it exists, and that
    /// it is a PNG or JPEG, or a DICOM or NIfTI file that can be decoded.
    pub(super) fn new(folder: Option<&Path>, items: &Items) -> Result<Self, ServeError> {
        let named: Vec<(&str, &str)> = items
            .cases
            .iter()
            .flat_map(|case| case.images.iter().map(|name| (case.id.as_str(), name.as_str())))
            .collect();
        let Some(folder) = folder else {
            return match named.first() {
                None => Ok(Self { places: ImagePlaces::default() }),
                Some((_, first)) => {
                    let items = items.cases.iter().filter(|case| !case.images.is_empty()).count();
                    Err(ServeError::NoImageFolder { items, first: (*first).to_owned() })
                }
            };
        };
        let places = ImagePlaces::new(vec![folder.to_owned()]);
        let mut seen = HashSet::new();
        let mut missing = Vec::new();
        for (id, name) in named {
            if !stays_inside(name) {
                return Err(ServeError::ImageName { id: id.to_owned(), name: name.to_owned() });
            }
            if !seen.insert(name) {
                continue;
            }
            match places.find(name) {
                Some(image) => check_kind(&image)?,
                None => missing.push((id, name)),
            }
        }
        let Some((id, first)) = missing.first() else { return Ok(Self { places }) };
        // A parquet file that cannot be read is the likelier reason.
        if let Some(fault) = places.into_faults().into_iter().next() {
            return Err(fault.into());
        }
        Err(ServeError::MissingImages {
            folder: folder.to_owned(),
            missing: missing.len(),
            total: seen.len(),
            first: (*first).to_owned(),
            id: (*id).to_owned(),
        })
    }

    /// The image with a checked name, as PNG, and how it was drawn where there was a choice.
    pub(super) fn png(
        &self,
        name: &str,
        asked: &Asked,
    ) -> Result<(Vec<u8>, Option<Rendering>), DataError> {
        let gone = || DataError::View {
            name: name.to_owned(),
            problem: "it is no longer where it was when the server began".to_owned(),
        };
        let mut file = self.places.find(name).ok_or_else(gone)?.read()?;
        file.view = asked
            .over(file.view)
            .map_err(|problem| DataError::View { name: name.to_owned(), problem })?;
        let image = file.decode()?;
        Ok((png(name, &image)?, image.rendering))
    }
}

/// Whether a name is a path that leads down only.
fn stays_inside(name: &str) -> bool {
    // On a Unix machine `..\x` is one odd name; in a data set it comes from Windows and means more.
    !name.contains('\\') && leads_down(name)
}

/// Formats of many kinds are decoded once, so that a file which cannot be shown is known before the
/// first rater comes to it.
fn check_kind(image: &ImageSource) -> Result<(), ServeError> {
    let head = match image.own_file() {
        Some(path) => {
            let file = file_of(path);
            let mut head = Vec::new();
            File::open(&file)
                .and_then(|file| file.take(HEAD).read_to_end(&mut head))
                .map_err(|source| DataError::Read { path: file, source })?;
            head
        }
        None => image.read()?.bytes,
    };
    if !(head.starts_with(b"\x89PNG") || head.starts_with(&[0xff, 0xd8, 0xff])) {
        image.decode()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, Luma, Rgb, RgbImage};
    use pefomed_data::Task;
    use pefomed_data::formats::{Format, Problems, ReadOptions, read_with};
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
        assert!(fails(&["study"]).contains("cannot decode"), "{}", fails(&["study"]));
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
        let (png, rendering) = images.png("deep.png", &Asked::default()).unwrap();
        assert_eq!(rendering, None);
        assert_eq!(image::load_from_memory(&png).unwrap(), DynamicImage::ImageLuma8(grey));
        let (png, _) = images.png("colour.png", &Asked::default()).unwrap();
        assert_eq!(image::load_from_memory(&png).unwrap(), DynamicImage::ImageRgb8(coloured));
        assert!(!png.windows(3).any(|three| three == b"Doe"));
    }

    #[test]
    fn images_inside_a_parquet_file_are_shown() {
        let set = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../pefomed-data/tests/fixtures/datasets/parquet");
        let (options, mut problems) = (ReadOptions::default(), Problems::lenient());
        let examples = read_with(Format::Parquet, &set, &options, &mut problems).unwrap();
        let image = &examples[0].images[0];
        let items = items(&[&image.name]);
        for place in [set.clone(), set.join("data/train-00000-of-00001.parquet")] {
            let images = Images::new(Some(&place), &items).unwrap();
            let (shown, _) = images.png(&image.name, &Asked::default()).unwrap();
            assert_eq!(shown, png("x", &image.decode().unwrap()).unwrap());
        }
        let hostile = set.join("../../../hostile/formats");
        let error = Images::new(Some(&hostile), &items).unwrap_err().to_string();
        assert!(error.contains("is no parquet file that can be read"), "{error}");
    }

    #[test]
    fn deep_images_are_drawn_with_the_window_asked_for() {
        let fixtures =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../pefomed-data/tests/fixtures/dicom");
        let names = ["ct.dcm#window=lung", "enhanced.dcm#frame=2"];
        let images = Images::new(Some(&fixtures), &items(&names)).unwrap();
        let asked = |frame, window: Option<&str>| {
            let window = window.map(str::to_owned);
            Asked { frame, window, ..Asked::default() }
        };
        let (lung, rendering) = images.png(names[0], &Asked::default()).unwrap();
        let rendering = rendering.unwrap();
        assert_eq!(rendering.window.unwrap().center, -600.0);
        assert!(rendering.hounsfield);
        assert!(!lung.windows(3).any(|three| three == b"Doe"));
        let (narrow, rendering) = images.png(names[0], &asked(None, Some("40,80"))).unwrap();
        assert_eq!(rendering.unwrap().window.unwrap().width, 80.0);
        assert_ne!(lung, narrow);
        let frame = |asked: &Asked| images.png(names[1], asked).unwrap().1.unwrap().frame;
        assert_eq!((frame(&Asked::default()), frame(&asked(Some(3), None))), (2, 3));
        for wrong in [asked(Some(9), None), asked(None, Some("lungs"))] {
            let error = images.png(names[1], &wrong).unwrap_err();
            assert!(matches!(error, DataError::View { .. }), "{error}");
        }
    }
}
