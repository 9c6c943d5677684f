//! Image files as 8-bit RGB, with a record of what they were before. PNG and JPEG are decoded here;
//! DICOM and NIfTI, told by their first bytes, go to [`super::dicom`] and [`super::nifti`].
//!
//! Radiology images come as 8-bit grey, as 16-bit grey and with transparent corners, and each
//! toolkit squeezes them into 8-bit RGB in its own way. Here the rules are fixed, and
//! [`PixelSource`] says which of them were needed:
//!
//! - grey is repeated in the three channels; palettes are looked up;
//! - 16 bits become 8 by `value / 257`, rounded: the whole 16-bit range is kept, nothing is
//!   stretched to the image's own extremes, so that the same tissue has the same grey in every
//!   image. A 12-bit study stored in 16 bits comes out nearly black; [`PixelSource::brightest`]
//!   tells;
//! - transparency is laid over black, the background of radiology;
//! - the orientation a camera noted (EXIF) is applied: what is above in the room is above here.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use ::image::metadata::Orientation;
use ::image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use serde::Serialize;

use super::view::{self, Axis, View};
use super::window::Window;
use super::{Trouble, dicom, jpeg, nifti};
use crate::dicom::looks_like_dicom;
use crate::{DataError, files};

/// The most pixels an image may have, in millions. The largest radiographs have about 30; a file
/// that claims more is damaged or an attack on memory.
pub const LIMIT_MEGAPIXELS: u64 = 100;

/// What an image was before it became 8-bit RGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct PixelSource {
    /// Bits of a channel after palettes and packed bits were expanded: 8 or 16.
    pub bits: u8,
    /// Colour channels without transparency: 1 (grey) or 3 (RGB).
    pub channels: u8,
    /// Whether any pixel was not fully opaque, so that black shows through.
    pub alpha: bool,
    /// Whether an EXIF orientation was applied.
    pub oriented: bool,
    /// The largest colour value in the units of the source, after black showed through. DICOM and
    /// NIfTI have no such units: it is that of the drawn picture, on the scale of `bits`.
    pub brightest: u16,
}

impl PixelSource {
    /// Whether the image loses most of its range: a 16-bit file that uses less than an eighth of
    /// it, as 12-bit studies stored in 16 bits do.
    pub fn is_dim(&self) -> bool {
        self.bits == 16 && self.brightest < 1 << 13
    }
}

/// Which picture of a DICOM or NIfTI file this is, and how its values became grey.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rendering {
    /// The frame, or the volume of a series in time, from 1.
    pub frame: u32,
    /// How many there are.
    pub frames: u32,
    /// The direction of slices; none for DICOM.
    pub axis: Option<Axis>,
    /// The slice, from 1.
    pub slice: Option<u32>,
    /// How many there are in this direction.
    pub slices: Option<u32>,
    /// The window; none for colours.
    pub window: Option<Window>,
    /// Lowest and highest value of the frame (DICOM) or of the volume (NIfTI); none for colours.
    pub range: Option<(f64, f64)>,
    /// Whether the values are Hounsfield units, so that the presets mean something.
    pub hounsfield: bool,
}

/// An image as 8-bit RGB.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedImage {
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// `[height, width, 3]`, row by row from the top.
    pub rgb: Vec<u8>,
    /// What the file held.
    pub source: PixelSource,
    /// The frame and the window, for files that leave a choice.
    pub rendering: Option<Rendering>,
}

/// An image file in memory, with the view that its path asks for.
#[derive(Clone, Debug)]
pub struct ImageFile {
    /// The path, for messages.
    path: PathBuf,
    /// What the file holds.
    pub bytes: Vec<u8>,
    /// Which picture of it is meant.
    pub view: View,
}

impl ImageFile {
    /// Reads the file of an image path, which may end in a view: `scan.dcm#frame=3&window=lung`.
    ///
    /// # Errors
    /// [`DataError::View`] for a view that is none, [`DataError::Read`].
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let view = View::of_name(&path.to_string_lossy())?;
        let bytes = files::read_bytes(&view::file_of(path))?;
        Ok(Self { path: path.to_owned(), bytes, view })
    }

    /// An image file that lies inside another file; `location` stands in the messages.
    pub fn inside(location: &str, bytes: Vec<u8>) -> Self {
        Self { path: PathBuf::from(location), bytes, view: View::default() }
    }

    /// Decodes it.
    ///
    /// # Errors
    /// As [`decode_bytes`], and [`DataError::View`] for a picture that is not there.
    pub fn decode(&self) -> Result<DecodedImage, DataError> {
        decode_view(&self.path.display().to_string(), &self.bytes, &self.view)
    }

    /// What digests of the picture are made from: the bytes, and behind them the view where one was
    /// asked for.
    pub fn identity(&self) -> Cow<'_, [u8]> {
        let text = self.path.to_string_lossy();
        match view::split(&text).1 {
            None => Cow::Borrowed(&self.bytes),
            Some(view) => Cow::Owned([&self.bytes, b"#".as_slice(), view.as_bytes()].concat()),
        }
    }
}

/// Reads and decodes an image file; the contents decide what it is, not the name. The path may end
/// in a view, see [`super::view`].
///
/// # Errors
/// [`DataError::Read`] for a file that cannot be read, [`DataError::View`] for a view that is none
/// or not there, otherwise those of [`decode_bytes`].
pub fn decode(path: &Path) -> Result<DecodedImage, DataError> {
    ImageFile::read(path)?.decode()
}

/// Decodes an image file from memory, of several pictures the first; `name` stands in the messages.
///
/// # Errors
/// [`DataError::ImageKind`] for what is no image, [`DataError::Unsupported`] for what is one and is
/// not read, [`DataError::HugeImage`] for more than [`LIMIT_MEGAPIXELS`], before memory is taken for
/// them, and [`DataError::BrokenImage`] for a file that is damaged or cut short.
pub fn decode_bytes(name: &str, bytes: &[u8]) -> Result<DecodedImage, DataError> {
    decode_view(name, bytes, &View::default())
}

/// Decodes one picture of an image file from memory.
///
/// # Errors
/// As [`decode_bytes`], and [`DataError::View`] for a picture that is not there.
pub fn decode_view(name: &str, bytes: &[u8], view: &View) -> Result<DecodedImage, DataError> {
    if looks_like_dicom(bytes) {
        return dicom::decode(name, bytes, view);
    }
    if nifti::looks_like_nifti(bytes) {
        return nifti::decode(name, bytes, view);
    }
    let image = decode_picture(name, bytes)?;
    if *view == View::default() {
        return Ok(image);
    }
    let problem =
        "PNG and JPEG files hold one picture, already drawn: remove what stands behind `#`";
    Err(DataError::View { name: name.to_owned(), problem: problem.to_owned() })
}

/// PNG and JPEG.
fn decode_picture(name: &str, bytes: &[u8]) -> Result<DecodedImage, DataError> {
    let decoded = match ::image::guess_format(bytes) {
        Ok(ImageFormat::Png) => decode_png(bytes),
        Ok(ImageFormat::Jpeg) => decode_jpeg(bytes),
        _ => {
            let found = looks_like(bytes).to_owned();
            return Err(DataError::ImageKind { name: name.to_owned(), found });
        }
    };
    let broken = |reason: String| DataError::BrokenImage { name: name.to_owned(), reason };
    let (mut image, orientation) = decoded.map_err(|trouble| {
        trouble.named(name, "save it as PNG, or as an ordinary JPEG of 8 bits")
    })?;
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    if width == 0 || height == 0 {
        return Err(broken(format!("it has {width}×{height} pixels")));
    }
    let (rgb, mut source) = match &image {
        DynamicImage::ImageLuma8(pixels) => planes8::<1>(pixels, false),
        DynamicImage::ImageLumaA8(pixels) => planes8::<1>(pixels, true),
        DynamicImage::ImageRgb8(pixels) => planes8::<3>(pixels, false),
        DynamicImage::ImageRgba8(pixels) => planes8::<3>(pixels, true),
        DynamicImage::ImageLuma16(pixels) => planes16::<1>(pixels, false),
        DynamicImage::ImageLumaA16(pixels) => planes16::<1>(pixels, true),
        DynamicImage::ImageRgb16(pixels) => planes16::<3>(pixels, false),
        DynamicImage::ImageRgba16(pixels) => planes16::<3>(pixels, true),
        other => {
            return Err(broken(format!("pixels of kind {:?} are not known", other.color())));
        }
    };
    source.oriented = orientation != Orientation::NoTransforms;
    Ok(DecodedImage { width, height, rgb, source, rendering: None })
}

fn decode_png(bytes: &[u8]) -> Result<(DynamicImage, Orientation), Trouble> {
    let broken = |error: ::image::ImageError| Trouble::broken(error.to_string());
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(LIMIT_MEGAPIXELS * 1_000_000 * 10);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    Trouble::check_pixels(width, height)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(broken)?, orientation))
}

fn decode_jpeg(bytes: &[u8]) -> Result<(DynamicImage, Orientation), Trouble> {
    let head = jpeg::Head::of(bytes)?;
    if head.bits != 8 {
        return Err(Trouble::Unsupported(format!("a JPEG picture of {} bits", head.bits)));
    }
    let (width, height) = (head.columns.into(), head.rows.into());
    Trouble::check_pixels(width, height)?;
    let exif = head.exif(bytes).and_then(Orientation::from_exif_chunk);
    let is_grey = head.colours() == jpeg::Colours::Grey;
    let pixels = jpeg::Picture::decode(head, bytes)?.bytes();
    let image = if is_grey {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
    };
    let image = image.ok_or_else(|| Trouble::broken("it has fewer pixels than it says"))?;
    Ok((image, exif.unwrap_or(Orientation::NoTransforms)))
}

/// 8-bit samples as RGB; with `alpha`, one more sample a pixel follows the `C` colours.
fn planes8<const C: usize>(samples: &[u8], alpha: bool) -> (Vec<u8>, PixelSource) {
    planes::<C, u8>(samples, alpha, 8, u8::MAX, |value| value as u8)
}

/// 16-bit samples as 8-bit RGB.
fn planes16<const C: usize>(samples: &[u16], alpha: bool) -> (Vec<u8>, PixelSource) {
    // Half of 257 is added, so that the division rounds to the nearest.
    planes::<C, u16>(samples, alpha, 16, u16::MAX, |value| ((value + 128) / 257) as u8)
}

fn planes<const C: usize, T: Copy + Into<u32>>(
    samples: &[T],
    alpha: bool,
    bits: u8,
    full: T,
    narrow: impl Fn(u32) -> u8,
) -> (Vec<u8>, PixelSource) {
    let full: u32 = full.into();
    let step = C + usize::from(alpha);
    let mut rgb = Vec::with_capacity(samples.len() / step * 3);
    let mut brightest = 0;
    let mut seen_through = false;
    for pixel in samples.chunks_exact(step) {
        let opacity = if alpha { pixel[C].into() } else { full };
        seen_through |= opacity != full;
        let mut colours = [0; 3];
        for (channel, colour) in colours.iter_mut().enumerate() {
            let sample: u32 = pixel[if C == 1 { 0 } else { channel }].into();
            let shown = if opacity == full { sample } else { (sample * opacity + full / 2) / full };
            brightest = brightest.max(shown);
            *colour = narrow(shown);
        }
        rgb.extend_from_slice(&colours);
    }
    let source = PixelSource {
        bits,
        channels: C as u8,
        alpha: seen_through,
        oriented: false,
        brightest: brightest as u16,
    };
    (rgb, source)
}

/// A guess at what a file is, for the message.
pub fn looks_like(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "the file is empty",
        _ if bytes.get(128..132) == Some(b"DICM") => "it looks like DICOM",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "it looks like TIFF",
        [b'G', b'I', b'F', b'8', ..] => "it looks like GIF",
        [b'B', b'M', ..] => "it looks like BMP",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "it looks like WebP",
        [0x1F, 0x8B, ..] => "it looks like gzip, perhaps NIfTI",
        _ if bytes.starts_with(b"version https://git-lfs") => {
            "it is a Git LFS pointer: fetch the real file"
        }
        _ if bytes.trim_ascii_start().starts_with(b"<") => "it looks like a web page",
        _ => "its first bytes are of no known kind",
    }
}
