//! The vision encoder against `transformers`: a small random one at three image sizes, and the
//! published small one on a radiograph and on an image drawn by formula.

mod common;

use common::{Golden, assert_close, fixture, frozen, shared, values};
use pefomed_data::image::PixelValues;
use pefomed_model::config::{FeatureSelection, VisionConfig};
use pefomed_model::multimodal::VisionTower;
use pefomed_model::parameters::{Placement, Trainable as _};
use pefomed_model::vision::VisionEncoder;
use pefomed_model::weights::{Loader, SafetensorsFile};

fn small(golden: &Golden, place: &Placement) -> VisionEncoder {
    golden.encoder(FeatureSelection::default(), place)
}

/// `square` has the size that the position table was made for, the others make it be resized; the
/// rows and columns of `wide` cannot be mixed up unnoticed.
const CASES: [&str; 3] = ["square", "larger", "wide"];

#[test]
fn hidden_states_at_three_sizes_are_those_of_transformers() {
    let golden = Golden::open(&fixture("dinov2-small-random.safetensors"));
    let plain = small(&golden, &Placement::cpu());
    let double = small(&golden, &Placement::cpu_f64());
    let all = [(double, 1e-9), (plain.clone(), 1e-5)].into_iter().chain(frozen(&plain));
    for (encoder, tolerance) in all {
        for case in CASES {
            let pixels = golden.pixels(&format!("golden.{case}.pixel_values"));
            let found = values(encoder.forward(&pixels).unwrap());
            let expected = golden.reals(&format!("golden.{case}.last_hidden_state"));
            assert_close(case, &found, &expected, tolerance);
        }
    }
}

#[test]
fn visual_tokens_are_four_neighbours_of_a_row_without_the_class_token() {
    let golden = Golden::open(&fixture("dinov2-small-random.safetensors"));
    let tower = VisionTower { encoder: small(&golden, &Placement::cpu()), merge: 4 };
    let width = 32;
    let features = tower.encode(&golden.pixels("golden.square.pixel_values")).unwrap();
    assert_eq!((features.tokens, features.width), (4, 4 * width));
    assert_eq!((tower.tokens(16).unwrap(), tower.width()), (4, 4 * width));
    // Four patches of a row lie one after the other: joining them keeps the order of the values.
    let expected = golden.reals("golden.square.last_hidden_state")[width..].to_vec();
    let found: Vec<f64> = features.values.iter().map(|&value| f64::from(value)).collect();
    assert_close("joined", &found, &expected, 1e-5);
}

#[test]
fn sizes_that_do_not_divide_are_refused() {
    let golden = Golden::open(&fixture("dinov2-small-random.safetensors"));
    let tower = VisionTower { encoder: small(&golden, &Placement::cpu()), merge: 4 };
    let blank = |height, width| PixelValues { data: vec![0.0; 3 * height * width], height, width };
    for (height, width) in [(18, 16), (16, 18), (0, 16)] {
        let message = tower.encoder.forward(&blank(height, width)).unwrap_err().to_string();
        assert!(message.contains("multiple of 4"), "{message}");
    }
    let message = tower.tokens(24).unwrap_err().to_string();
    assert!(message.contains("6 patches") && message.contains("groups of 4"), "{message}");
    assert!(tower.tokens(18).is_err() && tower.tokens(0).is_err());
}

/// The published encoder, if this machine has it.
fn published(place: &Placement) -> Option<VisionEncoder> {
    let folder = shared("models/dinov2-small")?;
    let config = VisionConfig::read(&folder.join("config.json")).unwrap();
    let file = SafetensorsFile::open(&folder).unwrap();
    let mut loader = Loader::new(&file);
    let count = config.parameter_count();
    let encoder =
        VisionEncoder::load(config, FeatureSelection::default(), &mut loader, place).unwrap();
    loader.finish(&|name| encoder.ignorable(name)).unwrap();
    let mut counted = encoder.clone();
    assert_eq!(counted.parameter_count(), count);
    Some(encoder)
}

#[test]
fn the_published_encoder_sees_a_radiograph_as_transformers_does() {
    let Some(path) = shared("parity/dinov2-small-synpic42202.safetensors") else { return };
    let Some(encoder) = published(&Placement::cpu()) else { return };
    let golden = Golden::open(&path);
    let all = [(encoder.clone(), 1e-5)].into_iter().chain(frozen(&encoder));
    for (encoder, tolerance) in all {
        let found = values(encoder.forward(&golden.pixels("pixel_values")).unwrap());
        assert_close("radiograph", &found, &golden.reals("last_hidden_state"), tolerance);
    }
}

/// Channel c, row y, column x: sin(0.05 (c + 1) (y + 1)) + cos(0.03 (x + 1) + 0.001 y).
fn drawn_image(side: usize) -> PixelValues {
    let mut data = Vec::with_capacity(3 * side * side);
    for c in 0..3 {
        for y in 0..side {
            for x in 0..side {
                let (c, y, x) = (c as f64, y as f64, x as f64);
                let value =
                    (0.05 * (c + 1.0) * (y + 1.0)).sin() + (0.03 * (x + 1.0) + 0.001 * y).cos();
                data.push(value as f32);
            }
        }
    }
    PixelValues { data, height: side, width: side }
}

#[test]
fn the_published_encoder_sees_a_drawn_image_as_transformers_does() {
    let golden = Golden::open(&fixture("dinov2-small-features.safetensors"));
    // Expected values are float64 results stored as float32.
    for (place, tolerance) in [(Placement::cpu_f64(), 1e-7), (Placement::cpu(), 1e-5)] {
        let Some(encoder) = published(&place) else { return };
        let hidden = values(encoder.forward(&drawn_image(224)).unwrap());
        let rows: Vec<&[f64]> = hidden.chunks(384).collect();
        assert_eq!(rows.len(), 257);
        let chosen: Vec<&[f64]> =
            golden.integers("golden.rows").iter().map(|&row| rows[row as usize]).collect();
        let expected = golden.reals("golden.last_hidden_state");
        assert_close("rows", &chosen.concat(), &expected, tolerance);
        let mean: Vec<f64> = (0..384)
            .map(|channel| rows.iter().map(|row| row[channel]).sum::<f64>() / 257.0)
            .collect();
        assert_close("mean", &mean, &golden.reals("golden.mean"), tolerance);
    }
}
