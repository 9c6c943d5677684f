//! DICOM files as 8-bit RGB.
//!
//! ```text
//! coded frame ─► samples ─► modality rescale or table ─► window or table ─► grey
//!        codec    layout           values                      values
//!                        └► palette, YBR ─► RGB
//!                               colour
//! ```
//!
//! The order is that of the standard's greyscale pipeline (PS3.3, C.11; PS3.4, N.2). Without a word
//! in the image's name, the window is the first lookup table of the file, otherwise its first
//! window; files that have neither show all values that the bits can hold when these are at most 8
//! and nothing rescales them, and otherwise stretch from the lowest to the highest value of the
//! frame, padding left out. `MONOCHROME1` is turned round at the end. Colours of more than 8 bits
//! are scaled by their full range. Overlays are not drawn.
//!
//! Nothing of the file but its pixels leaves this module: no name, date or number of a patient
//! stands in a picture or in an error.

mod codec;
mod colour;
mod jpeg;
mod jpeg_ls;
mod layout;
mod rle;
mod values;

use self::codec::frame_samples;
use self::layout::{Layout, Photometric};
use super::Trouble;
use super::decode::{DecodedImage, PixelSource, Rendering};
use super::view::View;
use crate::DataError;
use crate::dicom::{inflate, parse};

/// Decodes one frame; `name` stands in the messages.
///
/// # Errors
/// [`DataError::BrokenImage`], [`DataError::Unsupported`], [`DataError::HugeImage`],
/// [`DataError::View`].
pub(super) fn decode(name: &str, bytes: &[u8], view: &View) -> Result<DecodedImage, DataError> {
    render(bytes, view).map_err(|trouble| {
        trouble.named(name, "write it uncompressed with another tool (gdcmconv --raw), or as PNG")
    })
}

fn render(bytes: &[u8], view: &View) -> Result<DecodedImage, Trouble> {
    if view.slice.is_some() || view.axis.is_some() {
        let problem = "slices are of NIfTI volumes: choose a picture of a DICOM file with frame=N";
        return Err(Trouble::View(problem.to_owned()));
    }
    let inflated = inflate(bytes).map_err(Trouble::Broken)?;
    let file = parse(bytes, inflated.as_deref()).map_err(Trouble::Broken)?;
    let layout = Layout::of(&file.data)?;
    let frame = view.frame.unwrap_or(1);
    if frame > layout.frames {
        let problem = match layout.frames {
            1 => "it has one frame: leave frame=… out".to_owned(),
            frames => format!("it has {frames} frames: give frame=1 to frame={frames}"),
        };
        return Err(Trouble::View(problem));
    }
    let (samples, photometric) = frame_samples(&file, &layout, frame - 1)?;
    let (rgb, window, range) = match photometric {
        Photometric::Monochrome { inverted } => {
            let grey = values::draw(&file.data, &layout, frame - 1, &samples, view.window)?;
            let turned = |byte: u8| if inverted { 255 - byte } else { byte };
            let rgb = grey.bytes.into_iter().flat_map(|byte| [turned(byte); 3]).collect();
            (rgb, Some(grey.window), Some(grey.range))
        }
        Photometric::Palette => (colour::palette(&file.data, &layout, &samples)?, None, None),
        Photometric::Rgb => (colour::rgb(&samples, &layout), None, None),
        Photometric::Ybr => (colour::ybr(&samples, &layout), None, None),
    };
    let is_deep = layout.bits_stored > 8;
    let brightest = u16::from(rgb.iter().copied().max().unwrap_or(0));
    Ok(DecodedImage {
        width: layout.columns,
        height: layout.rows,
        rgb,
        source: PixelSource {
            bits: if is_deep { 16 } else { 8 },
            channels: if matches!(layout.photometric, Photometric::Monochrome { .. }) {
                1
            } else {
                3
            },
            alpha: false,
            oriented: false,
            brightest: if is_deep { brightest * 257 } else { brightest },
        },
        rendering: Some(Rendering {
            frame,
            frames: layout.frames,
            axis: None,
            slice: None,
            slices: None,
            window,
            range,
            hounsfield: values::is_hounsfield(&file.data),
        }),
    })
}
