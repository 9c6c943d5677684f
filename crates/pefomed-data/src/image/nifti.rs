//! NIfTI volumes, `.nii` and `.nii.gz`: one slice as 8-bit RGB.
//!
//! The reader is our own, because all that is needed of NIfTI-1 is a header of 348 bytes, and because
//! a reader that takes memory on a header's word (as the `nifti` crate does) is no match for a
//! hostile file: here memory grows with the bytes that are there.
//!
//! **Orientation.** Axes are brought into the order right, anterior, superior by the nearest axes of
//! the affine map (`sform`, otherwise `qform`, otherwise voxel sizes with the first axis running to
//! the patient's left, as Analyze had it and nibabel reads it); nothing is interpolated. Slices are
//! then drawn as radiology hangs them, the patient's right on the left of the picture:
//!
//! | slices | left of the picture | top of the picture |
//! |---|---|---|
//! | axial (`z`) | right | anterior |
//! | coronal (`y`) | right | superior |
//! | sagittal (`x`) | anterior | superior |
//!
//! **Values** are `scl_slope · stored + scl_inter`. The window is the header's (`cal_min`,
//! `cal_max`) when it has one, otherwise from the lowest to the highest value of the whole volume,
//! so that all its slices share one scale.

mod header;

use std::borrow::Cow;
use std::io::Read as _;

use self::header::Header;
use super::Trouble;
use super::decode::{DecodedImage, PixelSource, Rendering};
use super::view::{Axis, View, WindowChoice};
use super::window::{Curve, Window, WindowOrigin, to_byte};
use crate::DataError;

/// The most bytes of a volume that are looked at.
const LIMIT: u64 = 1 << 31;

/// Whether bytes begin as a NIfTI file does, compressed or not.
pub(super) fn looks_like_nifti(bytes: &[u8]) -> bool {
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Header::is_nifti(bytes);
    }
    let mut head = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(bytes).take(header::LENGTH as u64);
    // What could be inflated decides, even when the rest is damaged.
    let _ = decoder.read_to_end(&mut head);
    Header::is_nifti(&head)
}

/// Decodes one slice; `name` stands in the messages.
///
/// # Errors
/// [`DataError::BrokenImage`], [`DataError::Unsupported`], [`DataError::HugeImage`],
/// [`DataError::View`].
pub(super) fn decode(name: &str, bytes: &[u8], view: &View) -> Result<DecodedImage, DataError> {
    render(bytes, view).map_err(|trouble| {
        trouble.named(name, "save it anew as a single NIfTI-1 file (.nii or .nii.gz) of numbers")
    })
}

fn render(bytes: &[u8], view: &View) -> Result<DecodedImage, Trouble> {
    let bytes = inflated(bytes)?;
    let header = Header::read(&bytes)?;
    let [x, y, z] = header.canonical_sizes();
    let axis = view.axis.unwrap_or_default();
    let (columns, rows, slices) = match axis {
        Axis::X => (y, z, x),
        Axis::Y => (x, z, y),
        Axis::Z => (x, y, z),
    };
    Trouble::check_pixels(columns, rows)?;
    let frame = chosen("frame", view.frame, header.volumes, 1)?;
    let slice = chosen("slice", view.slice, slices, slices / 2 + 1)?;
    let volume = header.volume(&bytes, frame - 1)?;
    let index = |row: u32, column: u32| {
        // The top and the left of the picture are where the canonical axes end.
        let (row, column, slice) = (rows - 1 - row, columns - 1 - column, slice - 1);
        match axis {
            Axis::X => header.place([slice, column, row]),
            Axis::Y => header.place([column, slice, row]),
            Axis::Z => header.place([column, row, slice]),
        }
    };
    let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    let places = places.map(|(row, column)| index(row, column));
    let mut rendering = Rendering {
        frame,
        frames: header.volumes,
        axis: Some(axis),
        slice: Some(slice),
        slices: Some(slices),
        window: None,
        range: None,
        hounsfield: false,
    };
    let is_deep = header.kind.bytes() > 1;
    let (rgb, channels): (Vec<u8>, u8) = if header.kind.is_colour() {
        (places.flat_map(|place| volume.colour(place)).collect(), 3)
    } else {
        let range = volume.range().unwrap_or((0.0, 0.0));
        let window = window(view.window, &header, range);
        rendering.window = Some(window);
        rendering.range = Some(range);
        // Nothing but air is that low on any other scale in use.
        rendering.hounsfield = range.0 <= -500.0;
        let grey = places.map(|place| to_byte(window.shade(volume.value(place))));
        (grey.flat_map(|byte| [byte; 3]).collect(), 1)
    };
    let brightest = u16::from(rgb.iter().copied().max().unwrap_or(0));
    let source = PixelSource {
        bits: if is_deep && channels == 1 { 16 } else { 8 },
        channels,
        alpha: false,
        oriented: false,
        brightest: if is_deep && channels == 1 { brightest * 257 } else { brightest },
    };
    Ok(DecodedImage { width: columns, height: rows, rgb, source, rendering: Some(rendering) })
}

/// The file without its compression, up to the end of the volumes its header describes.
fn inflated(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Trouble> {
    if !bytes.starts_with(&[0x1F, 0x8B]) {
        return Ok(Cow::Borrowed(bytes));
    }
    let damaged =
        |error: std::io::Error| Trouble::broken(format!("its compressed data is damaged: {error}"));
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes);
    let mut data = Vec::new();
    decoder.by_ref().take(header::LENGTH as u64).read_to_end(&mut data).map_err(damaged)?;
    let end = Header::read(&data)?.end()?;
    decoder.take(end.saturating_sub(data.len() as u64)).read_to_end(&mut data).map_err(damaged)?;
    Ok(Cow::Owned(data))
}

fn chosen(key: &str, asked: Option<u32>, count: u32, default: u32) -> Result<u32, Trouble> {
    match asked {
        None => Ok(default),
        Some(number) if (1..=count).contains(&number) => Ok(number),
        Some(number) => {
            Err(Trouble::View(format!("it has no {key} {number}: give {key}=1 to {key}={count}")))
        }
    }
}

fn window(choice: WindowChoice, header: &Header, range: (f64, f64)) -> Window {
    let given = |center: f64, width: f64, origin| {
        let curve = if width < 1.0 { Curve::LinearExact } else { Curve::Linear };
        Window { center, width, curve, origin }
    };
    match choice {
        WindowChoice::Given { center, width } => given(center, width, WindowOrigin::Given),
        WindowChoice::Preset(preset) => given(preset.center, preset.width, WindowOrigin::Preset),
        WindowChoice::File if header.calibration.is_some() => {
            let (low, high) = header.calibration.unwrap_or(range);
            Window::between(low, high, WindowOrigin::File)
        }
        WindowChoice::File | WindowChoice::Range => {
            Window::between(range.0, range.1, WindowOrigin::Range)
        }
    }
}
