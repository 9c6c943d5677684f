//! Images of the data set as small pictures inside the page.
//!
//! Pictures are decoded and encoded anew, never copied: whatever an original carried beside its
//! pixels (metadata, an appended file) does not reach the page.

use std::path::{Component, Path, PathBuf};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, RgbImage};
use pefomed_data::image::decode;
use pefomed_data::image::view::file_of;

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

/// Looks for `name` in the folders, in order. Names that would leave a folder (`..`, absolute
/// paths) are not looked for: a prediction file may come from anyone.
pub(super) fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let relative = Path::new(name);
    let stays = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if name.is_empty() || !stays {
        return None;
    }
    folders.iter().map(|folder| folder.join(relative)).find(|path| file_of(path).is_file())
}

/// Decodes an image file and shrinks it; the reason in words when that fails.
pub(super) fn load(path: &Path) -> Result<Picture, String> {
    let decoded = decode(path).map_err(|error| error.to_string())?;
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
    fn only_names_inside_a_folder_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("images");
        std::fs::create_dir_all(inner.join("case1")).unwrap();
        std::fs::write(folder.path().join("secret.png"), b"x").unwrap();
        std::fs::write(inner.join("case1/source.jpg"), b"x").unwrap();
        let folders = [inner.clone()];
        assert_eq!(find("case1/source.jpg", &folders), Some(inner.join("case1/source.jpg")));
        assert_eq!(find("../secret.png", &folders), None);
        let absolute = folder.path().join("secret.png");
        assert_eq!(find(&absolute.to_string_lossy(), &folders), None);
        assert_eq!(find("", &folders), None);
    }

    #[test]
    fn pictures_are_shrunk_and_broken_ones_have_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.png");
        DynamicImage::new_luma16(900, 300).save(&path).unwrap();
        let picture = load(&path).unwrap();
        assert_eq!((picture.width, picture.height), (224, 75));
        assert!(picture.uri.starts_with("data:image/jpeg;base64,/9j/"));
        std::fs::write(&path, b"not a picture").unwrap();
        assert!(load(&path).is_err());
    }
}
