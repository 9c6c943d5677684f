//! Decoded images as PNG: for browsers, reports and other programs' models, which read no DICOM.

use ::image::codecs::png::{CompressionType, FilterType, PngEncoder};
use ::image::{ExtendedColorType, ImageEncoder as _, ImageResult};

use super::DecodedImage;
use crate::DataError;

/// A decoded image as an 8-bit PNG file: one channel where all three are equal, as in most of
/// radiology. Nothing but pixels is in it. `name` stands in the message.
///
/// # Errors
/// [`DataError::BrokenImage`] when the encoder fails.
pub fn png(name: &str, image: &DecodedImage) -> Result<Vec<u8>, DataError> {
    let pixels = image.rgb.chunks_exact(3);
    let is_grey = pixels.clone().all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
    let grey: Vec<u8>;
    let (bytes, color) = if is_grey {
        grey = pixels.map(|pixel| pixel[0]).collect();
        (&grey[..], ExtendedColorType::L8)
    } else {
        (&image.rgb[..], ExtendedColorType::Rgb8)
    };
    encode(bytes, (image.width, image.height), color).map_err(|error| DataError::BrokenImage {
        name: name.to_owned(),
        reason: error.to_string(),
    })
}

/// Pixels of a width and height as a PNG file, packed quickly.
pub(crate) fn encode(
    pixels: &[u8],
    (width, height): (u32, u32),
    color: ExtendedColorType,
) -> ImageResult<Vec<u8>> {
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(pixels, width, height, color)?;
    Ok(png)
}
