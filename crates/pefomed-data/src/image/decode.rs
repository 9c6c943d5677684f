//! PNG and JPEG files as 8-bit RGB, with a record of what they were before.
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

use std::io::Cursor;
use std::path::Path;

use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde::Serialize;

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
    /// The largest colour value in the units of the source, after black showed through.
    pub brightest: u16,
}

impl PixelSource {
    /// Whether the image loses most of its range: a 16-bit file that uses less than an eighth of
    /// it, as 12-bit studies stored in 16 bits do.
    pub fn is_dim(&self) -> bool {
        self.bits == 16 && self.brightest < 1 << 13
    }
}

/// An image as 8-bit RGB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedImage {
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// `[height, width, 3]`, row by row from the top.
    pub rgb: Vec<u8>,
    /// What the file held.
    pub source: PixelSource,
}

/// Reads and decodes a PNG or JPEG file; the contents decide which it is, not the name.
///
/// # Errors
/// [`DataError::Read`] for a file that cannot be read, otherwise those of [`decode_bytes`].
pub fn decode(path: &Path) -> Result<DecodedImage, DataError> {
    decode_bytes(&path.display().to_string(), &files::read_bytes(path)?)
}

/// Decodes a PNG or JPEG file from memory; `name` stands in the messages.
///
/// # Errors
/// [`DataError::ImageKind`] for anything else, [`DataError::HugeImage`] for more than
/// [`LIMIT_MEGAPIXELS`], before memory is taken for them, and [`DataError::BrokenImage`] for a file
/// that is damaged or cut short.
pub fn decode_bytes(name: &str, bytes: &[u8]) -> Result<DecodedImage, DataError> {
    let broken = |reason: String| DataError::BrokenImage { name: name.to_owned(), reason };
    let Ok(format @ (ImageFormat::Png | ImageFormat::Jpeg)) = ::image::guess_format(bytes) else {
        return Err(DataError::ImageKind {
            name: name.to_owned(),
            found: looks_like(bytes).to_owned(),
        });
    };
    // The decoder fills what is missing with grey, which a model would take for tissue.
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(broken(
            "it ends before the end of the image: the file is cut short".to_owned(),
        ));
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(LIMIT_MEGAPIXELS * 1_000_000 * 10);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| broken(error.to_string()))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > LIMIT_MEGAPIXELS * 1_000_000 {
        return Err(DataError::HugeImage {
            name: name.to_owned(),
            width,
            height,
            limit: LIMIT_MEGAPIXELS,
        });
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image =
        DynamicImage::from_decoder(decoder).map_err(|error| broken(error.to_string()))?;
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
    Ok(DecodedImage { width, height, rgb, source })
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

/// Whether a JPEG stream reaches its end-of-image marker (ITU-T T.81, annex B): segments are
/// skipped by their length, and in the coded data a marker is an 0xFF that neither a stuffed 0x00
/// nor a restart number follows.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    const STUFFED: u8 = 0x00;
    const FILL: u8 = 0xFF;
    const END: u8 = 0xD9;
    let mut at = 2;
    while at + 1 < bytes.len() {
        if bytes[at] != 0xFF {
            at += 1;
            continue;
        }
        match bytes[at + 1] {
            END => return true,
            FILL => at += 1,
            STUFFED | 0x01 | 0xD0..=0xD8 => at += 2,
            _ => {
                let Some(length) = bytes.get(at + 2..at + 4) else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            }
        }
    }
    false
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
