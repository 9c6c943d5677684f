//! Which picture of a file is meant, and how it is to look.
//!
//! A DICOM file may hold many frames and a NIfTI file holds a volume, both with far more greys than
//! a screen. An image name says which of them it means behind the last `#`, in the way of a web
//! address:
//!
//! ```text
//! scan.dcm#frame=3&window=lung
//! scan.dcm#window=40,400
//! volume.nii.gz#axis=z&slice=40&window=range
//! ```
//!
//! The two parts stay one name, so that everything keyed by image names (splits, intervals,
//! results) tells two slices of one volume apart. A `#` that no `=` follows belongs to the file's
//! name. Frames and slices are counted from 1.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::window::{PRESETS, Preset};
use crate::DataError;

/// How values are to become grey.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WindowChoice {
    /// As the file says; see [`super::dicom`] and [`super::nifti`] for files that say nothing.
    #[default]
    File,
    /// From the lowest to the highest value of the picture.
    Range,
    /// A preset on the Hounsfield scale.
    Preset(Preset),
    /// Centre and width in the units of the values.
    Given {
        /// Middle of the window.
        center: f64,
        /// Its width, above 0.
        width: f64,
    },
}

/// A direction through a volume, named for the axis that the slice stands on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// From the patient's left to the right: sagittal slices.
    X,
    /// From back to front: coronal slices.
    Y,
    /// From feet to head: axial slices.
    #[default]
    Z,
}

/// Which picture of a file, and its window; the default for files that are one picture.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct View {
    /// The frame of a multi-frame file, or the volume of a series in time, from 1; the first when
    /// none.
    pub frame: Option<u32>,
    /// The slice of a volume, from 1; the middle one when none.
    pub slice: Option<u32>,
    /// The direction that slices are counted in; axial when none.
    pub axis: Option<Axis>,
    /// The window.
    pub window: WindowChoice,
}

/// The parts of an image name: the file, and the text that describes a view when there is one.
pub fn split(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once('#') {
        Some((file, view)) if view.contains('=') => (file, Some(view)),
        _ => (name, None),
    }
}

/// The file of an image path, without the view behind it.
pub fn file_of(path: &Path) -> PathBuf {
    path.to_str().map_or_else(|| path.to_owned(), |text| PathBuf::from(split(text).0))
}

impl View {
    /// The view that an image name asks for; the default when it asks for none.
    ///
    /// ```
    /// use pefomed_data::image::view::{View, WindowChoice};
    /// let view = View::of_name("ct/scan.dcm#frame=3&window=40,400")?;
    /// assert_eq!(view.frame, Some(3));
    /// assert_eq!(view.window, WindowChoice::Given { center: 40.0, width: 400.0 });
    /// assert_eq!(View::of_name("case#7.png")?, View::default());
    /// # Ok::<(), pefomed_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::View`] for unknown or repeated keys and for values that are none.
    pub fn of_name(name: &str) -> Result<Self, DataError> {
        let wrong = |problem: String| DataError::View { name: name.to_owned(), problem };
        let Some(text) = split(name).1 else { return Ok(Self::default()) };
        let mut view = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split('&') {
            let (key, value) = part.split_once('=').ok_or_else(|| {
                wrong(format!("`{part}` is no `key=value`: use frame, slice, axis or window"))
            })?;
            if seen.contains(&key) {
                return Err(wrong(format!("`{key}` is given twice: keep one of them")));
            }
            seen.push(key);
            match key {
                "frame" => view.frame = Some(counted(key, value).map_err(wrong)?),
                "slice" => view.slice = Some(counted(key, value).map_err(wrong)?),
                "axis" => {
                    view.axis = Some(match value {
                        "x" | "sagittal" => Axis::X,
                        "y" | "coronal" => Axis::Y,
                        "z" | "axial" => Axis::Z,
                        _ => {
                            return Err(wrong(format!("`{value}` is no axis: use x, y or z")));
                        }
                    });
                }
                "window" => view.window = WindowChoice::parse(value).map_err(wrong)?,
                _ => {
                    return Err(wrong(format!(
                        "`{key}` is not known behind `#`: use frame, slice, axis or window"
                    )));
                }
            }
        }
        Ok(view)
    }
}

/// A number that counts from 1.
fn counted(key: &str, value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("`{key}={value}`: give a whole number, counted from 1")),
    }
}

impl WindowChoice {
    /// Reads `file`, `range`, a preset's name or `CENTRE,WIDTH`.
    ///
    /// # Errors
    /// The problem in words, with what is possible instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "file" => return Ok(Self::File),
            "range" => return Ok(Self::Range),
            _ => {}
        }
        if let Some(preset) = Preset::named(text) {
            return Ok(Self::Preset(preset));
        }
        let Some((center, width)) = text.split_once(',') else {
            let names = PRESETS.map(|preset| preset.name).join(", ");
            return Err(format!(
                "`window={text}` is not known: use file, range, CENTRE,WIDTH or one of {names}"
            ));
        };
        match (center.trim().parse::<f64>(), width.trim().parse::<f64>()) {
            (Ok(center), Ok(width)) if center.is_finite() && width.is_finite() && width > 0.0 => {
                Ok(Self::Given { center, width })
            }
            _ => Err(format!(
                "`window={text}`: centre and width are two numbers, the width above 0, as in \
                 window=40,400"
            )),
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X => "x",
            Self::Y => "y",
            Self::Z => "z",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_read_from_names() {
        let view = View::of_name("a#b.nii.gz#axis=coronal&slice=7&window=lung&frame=2").unwrap();
        let lung = WindowChoice::Preset(Preset::named("lung").unwrap());
        let expected = View { frame: Some(2), slice: Some(7), axis: Some(Axis::Y), window: lung };
        assert_eq!(view, expected);
        assert_eq!(file_of(Path::new("a#b.nii.gz#slice=7")), Path::new("a#b.nii.gz"));
        assert_eq!(file_of(Path::new("case#7.png")), Path::new("case#7.png"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (name, part) in [
            ("x.dcm#frame=0", "counted from 1"),
            ("x.dcm#frame=two", "counted from 1"),
            ("x.dcm#frames=2", "use frame, slice, axis or window"),
            ("x.dcm#frame=1&lung", "no `key=value`"),
            ("x.dcm#frame=1&frame=2", "given twice"),
            ("x.dcm#axis=w", "use x, y or z"),
            ("x.dcm#window=lungs", "soft-tissue, lung"),
            ("x.dcm#window=40,0", "the width above 0"),
            ("x.dcm#window=nan,4", "two numbers"),
        ] {
            let error = View::of_name(name).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(name), "{error}");
        }
    }
}
