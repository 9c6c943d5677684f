//! Images against Pillow, and against files that mean harm.

mod data_common;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use data_common::shared;
use pefomed_data::DataError;
use pefomed_data::image::{PixelSource, Preprocessor, bicubic, decode, decode_bytes};
use proptest::prelude::*;
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn is_png(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "png")
}

fn pair(value: &Value) -> (u32, u32) {
    let side = |index: usize| value[index].as_u64().unwrap() as u32;
    (side(0), side(1))
}

#[test]
fn resizing_equals_pillow_to_the_last_bit() {
    let head = json(&fixtures().join("pillow_bicubic.json"));
    let data = std::fs::read(fixtures().join("pillow_bicubic.bin")).unwrap();
    let mut rest = data.as_slice();
    let cases = head["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let (from, to) = (pair(&case["from"]), pair(&case["to"]));
        let (image, tail) = rest.split_at((from.0 * from.1 * 3) as usize);
        let (expected, tail) = tail.split_at((to.0 * to.1 * 3) as usize);
        rest = tail;
        let resized = bicubic(image, from, to);
        assert_eq!(resized.len(), expected.len());
        let differ = resized.iter().zip(expected).filter(|(a, b)| a != b).count();
        assert_eq!(differ, 0, "{from:?} → {to:?}: {differ} of {} values", expected.len());
    }
    assert!(rest.is_empty());
}

#[test]
fn files_decode_to_the_pixels_that_pillow_sees() {
    let folder = fixtures().join("images");
    let head = json(&folder.join("images.json"));
    let files = head["files"].as_object().unwrap();
    assert_eq!(files.len(), 7);
    for (name, expected) in files {
        let image = decode(&folder.join(name)).unwrap();
        assert_eq!((image.width, image.height), pair(&expected["size"]), "{name}");
        let rgb = expected["rgb"].as_str().unwrap();
        assert_eq!(image.rgb.len() * 2, rgb.len(), "{name}");
        // Transparency is rounded in another way.
        let tolerance = u8::from(is_png(name));
        for (index, value) in image.rgb.iter().enumerate() {
            let expected = u8::from_str_radix(&rgb[index * 2..index * 2 + 2], 16).unwrap();
            assert!(value.abs_diff(expected) <= tolerance, "{name}: {value}, not {expected}");
        }
        assert_eq!(image.source.bits, 8, "{name}");
        assert_eq!(image.source.alpha, name == "palette-transparent.png", "{name}");
        assert_eq!(image.source.oriented, name == "turned.jpg", "{name}");
        let grey = name == "grey.jpg" || name == "one-bit.png";
        assert_eq!(image.source.channels == 1, grey, "{name}");
    }
}

/// Decoding is that of Pillow (libjpeg-turbo), bit for bit: subsampled colour, progressive scans, restart
/// markers, inks, and sizes that no block divides.
#[test]
fn jpeg_files_decode_as_in_pillow() {
    let folder = fixtures().join("jpeg");
    let mut pictures = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jpg") {
            let theirs = decode(&path.with_extension("png")).unwrap();
            let ours = decode(&path).unwrap();
            assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "{path:?}");
            assert!(ours.rgb == theirs.rgb, "{path:?}");
            pictures += 1;
        }
    }
    assert_eq!(pictures, 14);
}

fn png(image: impl Into<image::DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn sixteen_bits_become_eight_by_rounding_the_whole_range() {
    let samples: Vec<u16> = vec![0, 128, 129, 257, 4095, 32768, 65406, 65407, 65535];
    let buffer = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(9, 1, samples).unwrap();
    let image = decode_bytes("x.png", &png(buffer)).unwrap();
    let grey: Vec<u8> = image.rgb.iter().step_by(3).copied().collect();
    // 129/257 is the first value above one half; 65407/257 the first above 254.5.
    assert_eq!(grey, [0, 0, 1, 1, 16, 128, 254, 255, 255]);
    assert!(image.rgb.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    let source =
        PixelSource { bits: 16, channels: 1, alpha: false, oriented: false, brightest: 65535 };
    assert_eq!(image.source, source);
    assert!(!source.is_dim());
    assert!(PixelSource { brightest: 4095, ..source }.is_dim());
    assert!(!PixelSource { brightest: 255, bits: 8, ..source }.is_dim());
}

#[test]
fn transparency_shows_black() {
    let samples = vec![200, 100, 50, 255, 200, 100, 51, 128, 255, 255, 255, 0];
    let buffer = image::RgbaImage::from_raw(3, 1, samples).unwrap();
    let image = decode_bytes("x.png", &png(buffer)).unwrap();
    // 200 · 128 / 255 = 100.39, 100 · 128 / 255 = 50.2, 51 · 128 / 255 = 25.6.
    assert_eq!(image.rgb, [200, 100, 50, 100, 50, 26, 0, 0, 0]);
    assert!(image.source.alpha);
    let opaque = image::RgbaImage::from_pixel(2, 2, image::Rgba([9, 8, 7, 255]));
    assert!(!decode_bytes("x.png", &png(opaque)).unwrap().source.alpha);
    let samples = vec![65535_u16, 32768, 40000, 65535];
    let buffer = image::ImageBuffer::<image::LumaA<u16>, _>::from_raw(2, 1, samples).unwrap();
    let image = decode_bytes("x.png", &png(buffer)).unwrap();
    assert_eq!(image.rgb, [128, 128, 128, 156, 156, 156]);
    assert_eq!((image.source.bits, image.source.alpha), (16, true));
}

/// CRC-32 of a PNG chunk (ISO 3309), so that a test can forge a header.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

#[test]
fn a_decompression_bomb_is_refused_by_its_header() {
    let mut bytes = png(image::GrayImage::new(4, 4));
    bytes[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&60_000_u32.to_be_bytes());
    let checksum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    let error = decode_bytes("bomb.png", &bytes).unwrap_err();
    assert!(matches!(error, DataError::HugeImage { width: 60_000, .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("bomb.png") && message.contains("100 megapixels"), "{message}");

    let mut bytes = std::fs::read(fixtures().join("images/plain.jpg")).unwrap();
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[0xFF; 4]);
    let error = decode_bytes("bomb.jpg", &bytes).unwrap_err();
    assert!(matches!(error, DataError::HugeImage { height: 65_535, .. }), "{error}");
}

#[test]
fn every_cut_of_a_file_is_an_error_or_all_of_the_image() {
    for name in ["plain.jpg", "progressive.jpg", "turned.jpg", "palette.png"] {
        let bytes = std::fs::read(fixtures().join("images").join(name)).unwrap();
        let whole = decode_bytes(name, &bytes).unwrap();
        for length in 0..bytes.len() {
            match decode_bytes(name, &bytes[..length]) {
                Ok(image) => {
                    // Only the end chunk of a PNG can be missed without a loss.
                    assert!(is_png(name) && length >= bytes.len() - 12, "{name} {length}");
                    assert_eq!(image, whole);
                }
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
            }
        }
    }
}

#[test]
fn other_files_are_named_for_what_they_are() {
    for (bytes, found) in [
        (b"".as_slice(), "empty"),
        (b"II*\0....", "TIFF"),
        (b"GIF89a..", "GIF"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (b"qwertz", "no known kind"),
    ] {
        let error = decode_bytes("scan", bytes).unwrap_err();
        assert!(matches!(error, DataError::ImageKind { .. }), "{error}");
        assert!(error.to_string().contains(found), "{error}");
    }
    let error = decode(Path::new("no/such.png")).unwrap_err();
    assert!(error.to_string().contains("no/such.png"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec!["plain.jpg", "progressive.jpg", "palette.png"]),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = std::fs::read(fixtures().join("images").join(name)).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        match decode_bytes(name, &bytes) {
            Ok(image) => {
                prop_assert_eq!(image.rgb.len(), (image.width * image.height * 3) as usize);
            }
            Err(error) => prop_assert!(error.to_string().contains(name)),
        }
    }

    /// Transposing the image and the sizes transposes the result, up to the rounding between the
    /// two passes: no axis is treated in a way of its own.
    #[test]
    fn rows_and_columns_are_treated_alike(
        width in 1_u32..12, height in 1_u32..12, new_width in 1_u32..12, new_height in 1_u32..12,
        seed in any::<u32>(),
    ) {
        let pixel = |x: u32, y: u32| {
            let mixed = (x * 31 + y * 57).wrapping_add(seed).wrapping_mul(2_654_435_761);
            // Mid-greys, so that clamping between the passes plays no part.
            [96 + (mixed >> 26) as u8; 3]
        };
        let image = |w: u32, h: u32, turned: bool| -> Vec<u8> {
            (0..h)
                .flat_map(|y| (0..w).map(move |x| (x, y)))
                .flat_map(|(x, y)| if turned { pixel(y, x) } else { pixel(x, y) })
                .collect()
        };
        let straight =
            bicubic(&image(width, height, false), (width, height), (new_width, new_height));
        let turned = bicubic(&image(height, width, true), (height, width), (new_height, new_width));
        for y in 0..new_height {
            for x in 0..new_width {
                let a = straight[((y * new_width + x) * 3) as usize];
                let b = turned[((x * new_height + y) * 3) as usize];
                prop_assert!(a.abs_diff(b) <= 2, "{a} and {b} at {x}, {y}");
            }
        }
    }
}

#[test]
fn published_preprocessing_of_a_radiograph_is_reproduced() {
    let Some(reference) = shared("parity/dinov2-small-synpic42202.safetensors") else {
        return;
    };
    let Some(config) = shared("models/dinov2-small/preprocessor_config.json") else {
        return;
    };
    let Some(image) = shared("data/vqa-rad/images/synpic42202.jpg") else {
        return;
    };
    let bytes = std::fs::read(reference).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let head: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let offsets = &head["pixel_values"]["data_offsets"];
    let offset = |index: usize| 8 + length + offsets[index].as_u64().unwrap() as usize;
    let expected: Vec<f32> = bytes[offset(0)..offset(1)]
        .chunks_exact(4)
        .map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap()))
        .collect();
    let preprocessor = Preprocessor::from_file(&config, None).unwrap();
    assert_eq!(preprocessor.size, 224);
    let values = preprocessor.apply(&decode(&image).unwrap());
    assert_eq!(values.data.len(), expected.len());
    // One grey level is 1 / 255 / 0.224: what two JPEG decoders may differ by.
    let level = 1.0 / 255.0 / 0.224;
    let (mut worst, mut differ) = (0.0_f32, 0);
    for (value, expected) in values.data.iter().zip(&expected) {
        worst = worst.max((value - expected).abs());
        differ += usize::from((value - expected).abs() > 0.5 * level);
    }
    // Measured: 564 of 150,528 values, each by one level.
    assert!(worst <= 1.01 * level, "{worst}");
    assert!(differ * 100 < expected.len(), "{differ} of {} values differ", expected.len());
}
