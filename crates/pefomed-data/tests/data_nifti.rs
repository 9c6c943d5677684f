//! NIfTI volumes against nibabel.

use std::path::{Path, PathBuf};

use pefomed_data::image::view::Axis;
use pefomed_data::image::window::WindowOrigin;
use pefomed_data::image::{decode, decode_bytes};
use proptest::prelude::*;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/nifti")
}

#[test]
fn every_type_and_orientation_looks_as_nibabel_has_it() {
    let golden: Value =
        serde_json::from_slice(&std::fs::read(folder().join("nifti.json")).unwrap()).unwrap();
    let pictures = golden["pictures"].as_object().unwrap();
    assert_eq!(pictures.len(), 53);
    for (name, expected) in pictures {
        let image = decode(&folder().join(name)).unwrap();
        let size = [u64::from(image.width), u64::from(image.height)];
        let side = |index: usize| expected["size"][index].as_u64().unwrap();
        assert_eq!(size, [side(0), side(1)], "{name}");
        let hex = expected["rgb"].as_str().unwrap();
        assert_eq!(hex.len(), 2 * image.rgb.len());
        for (index, value) in image.rgb.iter().enumerate() {
            let expected = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap();
            assert_eq!(*value, expected, "{name}: value {index}");
        }
    }
}

#[test]
fn the_slice_and_the_window_are_recorded() {
    let rendering = decode(&folder().join("series.nii.gz#frame=2")).unwrap().rendering.unwrap();
    assert_eq!((rendering.frame, rendering.frames), (2, 3));
    assert_eq!(
        (rendering.axis, rendering.slice, rendering.slices),
        (Some(Axis::Z), Some(3), Some(5))
    );
    assert!(rendering.hounsfield, "values of −1000 are air");
    let calibrated = decode(&folder().join("calibrated.nii")).unwrap().rendering.unwrap();
    let window = calibrated.window.unwrap();
    assert_eq!((window.center, window.width, window.origin), (40.0, 400.0, WindowOrigin::File));
    for (view, part) in [
        ("#slice=6", "give slice=1 to slice=5"),
        ("#axis=x&slice=8", "give slice=1 to slice=7"),
        ("#frame=4", "give frame=1 to frame=3"),
    ] {
        let error = decode(&folder().join(format!("series.nii.gz{view}"))).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(view), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec![
            "type-f8.nii", "order-1-.nii", "oblique.nii.gz", "quaternion.nii", "series.nii.gz",
            "colour.nii", "big-endian.nii",
        ]),
        // Most of it in the header, where the harm is.
        changes in prop::collection::vec((0_usize..352, any::<u8>()), 1..5),
    ) {
        let mut bytes = std::fs::read(folder().join(name)).unwrap();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        match decode_bytes(name, &bytes) {
            Ok(image) => {
                prop_assert_eq!(image.rgb.len(), (image.width * image.height * 3) as usize);
            }
            Err(error) => prop_assert!(error.to_string().contains(name)),
        }
    }
}
