//! DICOM files against pydicom, and against files that mean harm.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use pefomed_data::DataError;
use pefomed_data::check::{CheckOptions, ProblemKind, check};
use pefomed_data::formats::{Format, read as read_examples};
use pefomed_data::image::view::WindowChoice;
use pefomed_data::image::window::{Curve, WindowOrigin};
use pefomed_data::image::{DecodedImage, View, decode, decode_bytes, decode_view};
use proptest::prelude::*;
use serde_json::Value;

fn folder_of_fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dicom")
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(folder_of_fixtures().join(name)).unwrap()
}

fn bytes_of(hex: &Value) -> Vec<u8> {
    let (pairs, _) = hex.as_str().unwrap().as_bytes().as_chunks::<2>();
    let text = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.iter().map(text).collect()
}

/// Past the test harness, which would swallow a print.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Largest difference, and how many values differ at all.
fn difference(a: &[u8], b: &[u8]) -> (u8, usize) {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    (differences.clone().max().unwrap_or(0), differences.filter(|by| *by > 0).count())
}

#[test]
fn every_kind_of_file_looks_as_pydicom_has_it() {
    let golden: Value = serde_json::from_slice(&read("dicom.json")).unwrap();
    let pictures = golden["pictures"].as_object().unwrap();
    assert_eq!(pictures.len(), 62);
    for (name, expected) in pictures {
        let image = decode(&folder_of_fixtures().join(name)).unwrap();
        let size = [image.width, image.height].map(u64::from);
        let side = |index: usize| expected["size"][index].as_u64().unwrap();
        assert_eq!(size, [side(0), side(1)], "{name}");
        let (worst, count) = difference(&image.rgb, &bytes_of(&expected["rgb"]));
        // Colours are rounded in another way, and so are 12 bits by pylibjpeg.
        let is_rounded =
            ["jpeg-rgb", "jpeg-4", "jpeg-extended"].iter().any(|n| name.starts_with(n));
        let tolerance = u8::from(is_rounded);
        assert!(worst <= tolerance, "{name}: {count} values differ, by up to {worst}");
        let rendering = image.rendering.unwrap();
        assert_eq!(rendering.window.is_some(), image.source.channels == 1, "{name}");
    }
}

/// The files that the pydicom package ships, when `PEFOMED_PYDICOM` names the folder that
/// `tools/goldens/dicom.py --shipped` was run in: `test_files/` and `shipped.json`.
#[test]
fn shipped_files_of_pydicom_look_as_pydicom_has_them() {
    let Some(root) = std::env::var_os("PEFOMED_PYDICOM").map(PathBuf::from) else {
        say("SKIPPED: PEFOMED_PYDICOM is not set, so pydicom's own test files are not read");
        return;
    };
    let golden: Value =
        serde_json::from_slice(&std::fs::read(root.join("shipped.json")).unwrap()).unwrap();
    let (mut equal, mut near, mut others) = (0, 0, Vec::new());
    for (name, expected) in golden["pictures"].as_object().unwrap() {
        let decoded = decode(&root.join("test_files").join(name));
        match (decoded, expected.get("sample")) {
            (Err(error), Some(_)) => others.push(format!("{name}: {error}")),
            (Err(error), None) => others.push(format!("{name}: both refuse ({error})")),
            (Ok(_), None) => others.push(format!("{name}: pydicom: {}", expected["refused"])),
            (Ok(image), Some(sample)) => {
                let (worst, count) = difference(&sampled(&image), &bytes_of(sample));
                let mut histogram = vec![0_u64; 256];
                for value in &image.rgb {
                    histogram[usize::from(*value)] += 1;
                }
                let expected = expected["histogram"].as_array().unwrap();
                let same = expected.iter().zip(&histogram).all(|(a, b)| a.as_u64() == Some(*b));
                match (worst, same) {
                    (0, true) => equal += 1,
                    (0 | 1, _) => near += 1,
                    _ => others.push(format!("{name}: {count} of 768 differ, up to {worst}")),
                }
            }
        }
    }
    say(&format!("{equal} pictures equal, {near} within one grey level; the others:"));
    for line in &others {
        say(line);
    }
    assert!(equal + near >= 59, "{equal} + {near}");
}

/// Sixteen by sixteen pixels, evenly spread.
fn sampled(image: &DecodedImage) -> Vec<u8> {
    // As `numpy.linspace(0, side - 1, 16)` rounds down.
    let places = |side: u32| (0..16).map(move |step| (step * (side as usize - 1)) / 15);
    let pixel = |y: usize, x: usize| {
        let at = (y * image.width as usize + x) * 3;
        image.rgb[at..at + 3].to_vec()
    };
    places(image.height).flat_map(|y| places(image.width).flat_map(move |x| pixel(y, x))).collect()
}

#[test]
fn the_window_used_is_recorded() {
    let window = |name: &str| {
        decode(&folder_of_fixtures().join(name)).unwrap().rendering.unwrap().window.unwrap()
    };
    let file = window("ct.dcm");
    assert_eq!((file.center, file.width, file.origin), (40.0, 400.0, WindowOrigin::File));
    let lung = window("ct.dcm#window=lung");
    assert_eq!((lung.center, lung.width, lung.origin), (-600.0, 1500.0, WindowOrigin::Preset));
    assert_eq!(window("sigmoid.dcm").curve, Curve::Sigmoid);
    assert_eq!(window("voi-table.dcm").origin, WindowOrigin::LookupTable);
    assert_eq!(window("no-window.dcm").origin, WindowOrigin::Range);
    assert_eq!(window("eight.dcm").origin, WindowOrigin::Bits);
    let second =
        decode(&folder_of_fixtures().join("enhanced.dcm#frame=2")).unwrap().rendering.unwrap();
    assert_eq!((second.frame, second.frames, second.window.unwrap().center), (2, 3, 1100.0));
}

#[test]
fn what_is_not_there_is_said() {
    for (name, part) in [
        ("enhanced.dcm#frame=4", "give frame=1 to frame=3"),
        ("ct.dcm#frame=2", "it has one frame"),
        ("ct.dcm#slice=2", "choose a picture of a DICOM file with frame=N"),
        ("no-window.dcm#window=lung", "Hounsfield units, which only CT has"),
    ] {
        let error = decode(&folder_of_fixtures().join(name)).unwrap_err();
        assert!(matches!(error, DataError::View { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(part) && error.contains(name), "{error}");
    }
    let png = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images/palette.png");
    let error = decode(&png.with_file_name("palette.png#window=lung")).unwrap_err().to_string();
    assert!(error.contains("already drawn"), "{error}");
}

#[test]
fn a_data_set_may_name_frames_and_slices() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    for name in ["ct.dcm", "enhanced.dcm"] {
        std::fs::copy(folder_of_fixtures().join(name), images.join(name)).unwrap();
    }
    let volume = folder_of_fixtures().with_file_name("nifti").join("series.nii.gz");
    std::fs::copy(volume, images.join("series.nii.gz")).unwrap();
    let names = [
        "ct.dcm#window=lung",
        "enhanced.dcm#frame=2",
        "enhanced.dcm#frame=9",
        "series.nii.gz#axis=x&slice=2",
        "gone.dcm#frame=1",
    ];
    let line = |(index, name): (usize, &&str)| {
        let line =
            serde_json::json!({"id": index, "image": name, "question": "Side?", "answer": "left"});
        line.to_string()
    };
    let lines: Vec<String> = names.iter().enumerate().map(line).collect();
    let path = folder.path().join("vqa.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    let examples = read_examples(Format::Jsonl, &path, Some(&images)).unwrap();
    let report = check(&examples, &CheckOptions::default());
    let summary = &report.images;
    assert_eq!((summary.files, summary.decoded), (5, 3));
    assert_eq!((summary.missing, summary.unreadable, summary.grey), (1, 1, 3));
    let unreadable = report
        .problems
        .iter()
        .find(|problem| problem.kind == ProblemKind::UnreadableImage)
        .unwrap();
    assert!(unreadable.detail.contains("give frame=1 to frame=3"), "{}", unreadable.detail);
}

/// Replaces the first `from` by `to`, which has the same length.
fn patched(name: &str, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = read(name);
    let at = bytes.windows(from.len()).position(|window| window == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[test]
fn headers_are_not_trusted() {
    let rows = [0x28, 0, 0x10, 0, b'U', b'S', 2, 0, 12, 0];
    let mut huge = rows;
    huge[8..].copy_from_slice(&[0xFF, 0xFF]);
    let message = |bytes: &[u8]| decode_bytes("scan", bytes).unwrap_err().to_string();
    let text = message(&patched("ct.dcm", &rows, &huge));
    assert!(text.contains("`scan`") && text.contains("cut short"), "{text}");
    for name in ["jpeg.dcm", "jpeg-lossless.dcm", "jpeg-ls.dcm", "jpeg2000.dcm", "rle.dcm"] {
        let height = if name.starts_with("jpeg2") {
            36
        } else if name == "jpeg-ls.dcm" {
            40
        } else {
            12
        };
        let mut rows = rows;
        rows[8] = height;
        let mut taller = rows;
        taller[8] = height + 1;
        let text = message(&patched(name, &rows, &taller));
        assert!(text.contains("scan"), "{name}: {text}");
    }
    let bits = [0x28, 0, 1, 1, b'U', b'S', 2, 0, 16, 0];
    let mut many = bits;
    many[8] = 99;
    assert!(message(&patched("ct.dcm", &bits, &many)).contains("do not fit into 16"));
    let syntax = b"1.2.840.10008.1.2.1\0";
    assert!(message(&patched("ct.dcm", syntax, b"1.2.840.10008.1.2.9\0")).contains("is not known"));
    let jpeg = |syntax: &[u8]| message(&patched("jpeg.dcm", b"1.2.840.10008.1.2.4.50", syntax));
    let text = jpeg(b"1.2.840.10008.1.2.4.80");
    assert!(text.contains("JPEG of another kind, not JPEG-LS"), "{text}");
    let text = jpeg(b"1.2.840.10008.1.2.4.92");
    assert!(text.contains("JPEG 2000 Part 2 Lossless cannot be read"), "{text}");
}

/// Sequences in sequences, deeper than a stack.
#[test]
fn deep_nesting_is_refused() {
    let mut bytes = vec![0; 128];
    bytes.extend_from_slice(b"DICM");
    for _ in 0..200_000 {
        bytes.extend_from_slice(&[8, 0, 0x40, 0x11, b'S', b'Q', 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
        bytes.extend_from_slice(&[0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF]);
    }
    let error = decode_bytes("deep.dcm", &bytes).unwrap_err().to_string();
    assert!(error.contains("nested more than 32 deep"), "{error}");
}

#[test]
fn every_cut_of_a_file_is_an_error_or_all_of_the_picture() {
    for name in [
        "ct.dcm",
        "implicit.dcm",
        "rle.dcm",
        "jpeg-lossless.dcm",
        "jpeg-ls.dcm",
        "jpeg-ls-rgb-planes.dcm",
        "big-endian.dcm",
        "deflated.dcm",
    ] {
        let bytes = read(name);
        let whole = decode_bytes(name, &bytes).unwrap();
        for length in (0..bytes.len()).step_by(3) {
            match decode_bytes(name, &bytes[..length]) {
                Ok(image) => assert_eq!(image.rgb, whole.rgb, "{name} {length}"),
                Err(error) => assert!(error.to_string().contains(name), "{error}"),
            }
        }
    }
}

/// Tiny files that each try one thing; the folder's README says what.
#[test]
fn hostile_files_are_errors_that_name_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // Folders hold what other readers have to withstand.
        if name == "README.md" || path.is_dir() {
            continue;
        }
        assert!(readme.contains(&format!("`{name}`")), "{name} is not described");
        let error = decode(&path).expect_err(&name).to_string();
        assert!(error.contains(&name), "{error}");
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec![
            "ct.dcm", "implicit.dcm", "big-endian.dcm", "voi-table.dcm", "modality-table.dcm",
            "palette-8.dcm", "enhanced.dcm", "ybr-halved.dcm", "rgb-planes.dcm", "one-bit.dcm",
            "deflated.dcm", "rle-rgb.dcm", "jpeg-fragments.dcm", "jpeg-lossless.dcm",
            "jpeg2000.dcm", "jpeg2000-rgb.dcm", "jpeg-ls.dcm", "jpeg-ls-2.dcm", "jpeg-ls-near-12.dcm",
            "jpeg-ls-rgb-planes.dcm", "jpeg-ls-rgb-lines.dcm", "jpeg-ls-near-pixels.dcm",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = read(name);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        match decode_bytes(name, &bytes) {
            Ok(image) => {
                prop_assert_eq!(image.rgb.len(), (image.width * image.height * 3) as usize);
            }
            Err(error) => prop_assert!(error.to_string().contains(name)),
        }
    }

    #[test]
    fn any_window_draws_a_picture(center in -1e5_f64..1e5, width in 1e-3_f64..1e5) {
        let window = WindowChoice::Given { center, width };
        let view = View { window, ..View::default() };
        let image = decode_view("ct.dcm", &read("ct.dcm"), &view).unwrap();
        prop_assert_eq!(image.rendering.unwrap().window.unwrap().center, center);
    }
}
