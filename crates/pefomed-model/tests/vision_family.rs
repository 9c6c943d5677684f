//! The vision encoders beside DINOv2 against `transformers`, and EVA-CLIP against its equations: the
//! last hidden state and the one before the last layer, for images of the position table's own size
//! and of others.

mod common;

use std::collections::BTreeMap;

use common::{Golden, assert_close, fixture, frozen, is_result, values};
use pefomed_data::image::Preprocessor;
use pefomed_model::base::{self, ModelFiles};
use pefomed_model::config::{EvaConfig, FeatureSelection, VisionConfig};
use pefomed_model::multimodal::VisionTower;
use pefomed_model::parameters::{Placement, Trainable as _};
use pefomed_model::vision::VisionEncoder;
use pefomed_model::weights::{
    Loader, SafetensorsFile, TensorSource as _, TensorValues, write_safetensors,
};

fn golden(name: &str) -> Golden {
    Golden::open(&fixture(&format!("vision-{name}.safetensors")))
}

fn layer(layer: i32) -> FeatureSelection {
    FeatureSelection { layer: Some(layer), keep_class: false }
}

/// Both precisions, with the relative difference that each may show.
fn precisions() -> [(Placement, f64); 2] {
    [(Placement::cpu_f64(), 1e-9), (Placement::cpu(), 1e-5)]
}

fn assert_states(name: &str, cases: &[&str], state: &str, selection: FeatureSelection) {
    let golden = golden(name);
    let plain = golden.encoder(selection, &Placement::cpu());
    let others = precisions().map(|(place, by)| (golden.encoder(selection, &place), by));
    for (encoder, tolerance) in others.into_iter().chain(frozen(&plain)) {
        for case in cases {
            let pixels = golden.pixels(&format!("golden.{case}.pixel_values"));
            let found = values(encoder.forward(&pixels).unwrap());
            let expected = golden.reals(&format!("golden.{case}.{state}"));
            assert_close(&format!("{name} {case} {state}"), &found, &expected, tolerance);
        }
    }
}

const LAST: &str = "last_hidden_state";
const BEFORE: &str = "before_last_layer";

#[test]
fn clip_is_that_of_transformers() {
    let cases = ["square", "wide"];
    assert_states("clip", &cases, LAST, layer(-1));
    assert_states("clip", &cases, BEFORE, layer(-2));
    // LLaVA's choice is the default.
    assert_states("clip", &cases, BEFORE, FeatureSelection::default());
}

#[test]
fn siglip_is_that_of_transformers() {
    let cases = ["square", "wide"];
    assert_states("siglip", &cases, LAST, FeatureSelection::default());
    assert_states("siglip", &cases, BEFORE, layer(-2));
}

#[test]
fn dinov2_with_registers_and_with_a_gated_network_is_that_of_transformers() {
    let own = FeatureSelection::default();
    // With registers the position table is resized with antialiasing, which shows when it shrinks.
    assert_states("dinov2-registers", &["square", "wide", "smaller"], LAST, own);
    assert_states("dinov2-registers", &["square", "wide", "smaller"], BEFORE, layer(-2));
    assert_states("dinov2-swiglu", &["square", "wide"], LAST, own);
    assert_states("dinov2-swiglu", &["square", "wide"], BEFORE, layer(2));
}

#[test]
fn eva_is_what_its_equations_say() {
    let cases = ["square", "doubled", "wide"];
    for name in ["eva", "eva-norm"] {
        assert_states(name, &cases, LAST, FeatureSelection::default());
        assert_states(name, &cases, LAST, layer(-1));
    }
}

const ALL: [&str; 6] = ["clip", "siglip", "dinov2-registers", "dinov2-swiglu", "eva", "eva-norm"];

#[test]
fn parameters_are_counted_as_they_are() {
    for name in ALL {
        let mut encoder = golden(name).encoder(layer(-1), &Placement::cpu());
        let counted = encoder.parameter_count();
        // A layer's hidden state comes before the last norm of 2 · 16 numbers.
        let cut =
            if matches!(name, "siglip" | "dinov2-registers" | "dinov2-swiglu") { 32 } else { 0 };
        assert_eq!(counted + cut, encoder.config().parameter_count(), "{name}");
        let config = encoder.config().clone();
        let mut drawn = VisionEncoder::random(config.clone(), 7, &Placement::cpu()).unwrap();
        if name != "clip" {
            assert_eq!(drawn.parameter_count(), config.parameter_count(), "{name}");
        }
    }
}

#[test]
fn visual_tokens_are_the_patches_and_the_class_token_if_wanted() {
    for (name, extra, patches) in [("clip", 1, 16), ("dinov2-registers", 4, 16), ("siglip", 0, 16)]
    {
        let golden = golden(name);
        let pixels = golden.pixels("golden.square.pixel_values");
        let encoder = golden.encoder(layer(-2), &Placement::cpu());
        let all = golden.reals(&format!("golden.square.{BEFORE}"));
        let side = pixels.width;
        let tower = VisionTower { encoder, merge: 1 };
        let features = tower.encode(&pixels).unwrap();
        assert_eq!((features.tokens, tower.tokens(side).unwrap()), (patches, patches));
        let found: Vec<f64> = features.values.iter().map(|&value| value.into()).collect();
        assert_close(name, &found, &all[extra * 16..], 1e-5);

        let kept = FeatureSelection { layer: Some(-2), keep_class: true };
        if extra == 0 {
            continue;
        }
        let tower = VisionTower { encoder: golden.encoder(kept, &Placement::cpu()), merge: 1 };
        let features = tower.encode(&pixels).unwrap();
        assert_eq!((features.tokens, tower.tokens(side).unwrap()), (patches + 1, patches + 1));
        let found: Vec<f64> = features.values.iter().map(|&value| value.into()).collect();
        let expected = [&all[..16], &all[extra * 16..]].concat();
        assert_close(name, &found, &expected, 1e-5);
    }
}

/// The fixture's encoder after a change to the names of its tensors.
fn load_renamed(name: &str, rename: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let golden = golden(name);
    let tensors: Vec<(String, Vec<usize>, TensorValues)> = golden
        .file
        .names()
        .into_iter()
        .filter(|name| !is_result(name))
        .filter_map(|name| {
            let values = TensorValues::F32(golden.file.read_f32(name).unwrap());
            Some((rename(name)?, golden.file.shape(name).unwrap().to_vec(), values))
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    let file = SafetensorsFile::open(&path).unwrap();
    let mut loader = Loader::new(&file);
    let config =
        VisionConfig::from_value(std::path::Path::new("config.json"), golden.fact("config"))
            .unwrap();
    let selection = FeatureSelection::default();
    let encoder = VisionEncoder::load(config, selection, &mut loader, &Placement::cpu())
        .map_err(|error| error.to_string())?;
    loader.finish(&|name| encoder.ignorable(name)).map_err(|error| error.to_string())
}

#[test]
fn names_of_pairs_and_of_halves_are_known_and_others_are_refused() {
    for name in ["clip", "siglip"] {
        load_renamed(name, |name| Some(name.to_owned())).unwrap();
        load_renamed(name, |name| Some(format!("vision_model.{name}"))).unwrap();
        let message = load_renamed(name, |name| Some(format!("visual.{name}"))).unwrap_err();
        assert!(message.contains("no tensor `vision_model.embeddings"), "{message}");
    }
    // The unused block of EVA's file may be there or not; an unknown one is an error.
    load_renamed("eva", |name| (!name.starts_with("blocks.2.")).then(|| name.to_owned())).unwrap();
    let message =
        load_renamed("eva", |name| Some(name.replace("blocks.2.", "blocks.3."))).unwrap_err();
    assert!(message.contains("13 tensor(s)") && message.contains("blocks.3."), "{message}");
    let message =
        load_renamed("eva", |name| Some(name.replace("blocks.1.attn.q_bias", "x"))).unwrap_err();
    assert!(message.contains("no tensor `blocks.1.attn.q_bias`"), "{message}");
}

#[test]
fn a_folder_with_nothing_but_evas_file_needs_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eva_vit_g.pth");
    std::fs::write(&path, b"not read for the configuration").unwrap();
    for place in [folder.path(), &path] {
        let files = ModelFiles::at(place).unwrap();
        let config = base::vision_config(&files).unwrap();
        assert_eq!(config, VisionConfig::Eva(EvaConfig::default()));
    }
    // With a configuration, that counts; without a preprocessor's, CLIP's mean and deviation.
    let golden = golden("eva");
    let config: serde_json::Value = golden.fact("config");
    std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let weights = folder.path().join("model.safetensors");
    let tensors: Vec<(String, Vec<usize>, TensorValues)> = golden
        .file
        .names()
        .into_iter()
        .filter(|name| !is_result(name))
        .map(|name| {
            let values = TensorValues::F32(golden.file.read_f32(name).unwrap());
            (name.to_owned(), golden.file.shape(name).unwrap().to_vec(), values)
        })
        .collect();
    write_safetensors(&weights, &tensors, &BTreeMap::new()).unwrap();
    let files = ModelFiles::at(folder.path()).unwrap();
    let own = FeatureSelection::default();
    let vision = base::load_vision(&files, 32, own, &Placement::cpu()).unwrap();
    assert_eq!(vision.preprocessor, Preprocessor::clip(32).unwrap());
    let pixels = golden.pixels("golden.doubled.pixel_values");
    let found = values(vision.encoder.forward(&pixels).unwrap());
    assert_close("folder", &found, &golden.reals("golden.doubled.last_hidden_state"), 1e-5);
}
