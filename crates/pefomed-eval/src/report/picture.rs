//! Images of the data set as small pictures inside the page.
//!
//! Pictures are decoded and encoded anew, never copied: whatever an original carried beside its
//! pixels (metadata, an appended file) does not reach the page.

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};
use pefomed_data::ImageSource;

/// Longest side of a picture in the page, in pixels.
const SIDE: u32 = 224;
/// Pictures up to this side are kept exactly, as PNG: blurring them further would hide them.
const EXACT_SIDE: u32 = 64;

/// A picture ready for the page.
pub(super) struct Picture {
    /// `data:` address of the encoded picture.
    pub(super) uri: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Decodes an image and shrinks it; the reason in words when that fails.
pub(super) fn load(image: &ImageSource) -> Result<Picture, String> {
    let decoded = image.decode().map_err(|error| error.to_string())?;
    let is_grey = decoded.source.channels == 1;
    let rgb = RgbImage::from_raw(decoded.width, decoded.height, decoded.rgb)
        .ok_or("its pixels are not as many as it says")?;
    let image = DynamicImage::ImageRgb8(rgb);
    let image = if is_grey { DynamicImage::ImageLuma8(image.to_luma8()) } else { image };
    encode(&image).map_err(|error| error.to_string())
}

fn encode(image: &DynamicImage) -> Result<Picture, image::ImageError> {
    let small = if image.width().max(image.height()) > SIDE {
        image.resize(SIDE, SIDE, image::imageops::FilterType::Triangle)
    } else {
        image.clone()
    };
    let small = if small.color().has_color() {
        DynamicImage::ImageRgb8(small.to_rgb8())
    } else {
        DynamicImage::ImageLuma8(small.to_luma8())
    };
    let (width, height) = (small.width(), small.height());
    let mut bytes = Vec::new();
    let kind = if width.max(height) <= EXACT_SIDE {
        small.write_to(&mut std::io::Cursor::new(&mut bytes), ImageFormat::Png)?;
        "png"
    } else {
        small.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 82))?;
        "jpeg"
    };
    Ok(Picture { uri: format!("data:image/{kind};base64,{}", base64(&bytes)), width, height })
}

/// Base 64 with the standard alphabet and padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let joined = three
            .iter()
            .enumerate()
            .fold(0_u32, |joined, (index, byte)| joined | u32::from(*byte) << (16 - 8 * index));
        for digit in 0..4 {
            if digit <= three.len() {
                out.push(char::from(ALPHABET[(joined >> (18 - 6 * digit)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648, section 10.
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn pictures_are_shrunk_and_broken_ones_have_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        DynamicImage::new_luma16(900, 300).save(&path).unwrap();
        let source = ImageSource::file("wide.png", &path);
        let picture = load(&source).unwrap();
        assert_eq!((picture.width, picture.height), (224, 75));
        assert!(picture.uri.starts_with("data:image/jpeg;base64,/9j/"));
        std::fs::write(&path, b"not a picture").unwrap();
        assert!(load(&source).is_err());
    }
}
