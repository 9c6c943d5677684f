//! Merging into the embedded base and into a real one.
#![allow(clippy::print_stdout, reason = "tests say what they measured")]

mod common;

use std::path::Path;

use common::shared;
use pefomed_model::adapter::{LoraAdapter, LoraConfig, Site};
use pefomed_model::base::{self, ModelFiles};
use pefomed_model::merge::{MergeOptions, MergedType, merge};
use pefomed_model::parameters::{Placement, Trainable as _};
use pefomed_model::random::Normal;

fn options(dtype: MergedType) -> MergeOptions {
    MergeOptions { dtype, shard_bytes: 200_000_000, text: None }
}

/// An adapter that changes something, written as PEFT does.
fn write_adapter(folder: &Path, files: &ModelFiles, scale: f64) {
    let config = base::decoder_config(files).unwrap();
    let targets = vec![Site::Q, Site::K, Site::V, Site::Down];
    let lora = LoraConfig { rank: 4, alpha: 8.0, dropout: 0.0, targets };
    let mut adapter = LoraAdapter::new(lora, &config, 3, &Placement::cpu());
    let mut normal = Normal::new(4);
    for (name, mut parameter) in adapter.parameters() {
        if name.ends_with("lora_B.weight") {
            parameter.set(normal.draw(parameter.len(), scale), false);
        }
    }
    adapter.write_peft(folder, "base").unwrap();
}

#[test]
fn the_embedded_base_is_merged() {
    let folder = tempfile::tempdir().unwrap();
    let files = ModelFiles::embedded_decoder("tiny").unwrap();
    let adapter = folder.path().join("adapter");
    write_adapter(&adapter, &files, 0.05);
    for (dtype, largest) in
        [(MergedType::Float32, 1e-4), (MergedType::Float16, 0.05), (MergedType::BFloat16, 0.5)]
    {
        let out = folder.path().join(dtype.name());
        let merged = merge(&files, &adapter, &out, &options(dtype)).unwrap();
        println!("{}", merged.to_text());
        assert_eq!(merged.changed, 4 * 4);
        assert!(merged.measured.adapter_effect > 0.5);
        assert!(merged.measured.largest_difference < largest, "{}", merged.to_text());
        assert!(merged.files.contains(&"tokenizer_config.json".to_owned()));
    }
    // A value that float16 cannot hold is no infinity in a file.
    let large = folder.path().join("large");
    write_adapter(&large, &files, 1e6);
    let out = folder.path().join("out");
    let error = merge(&files, &large, &out, &options(MergedType::Float16)).unwrap_err();
    assert!(error.to_string().contains("beyond the range of float16"), "{error}");
    assert!(!out.exists());
}

/// From a GGUF file, so that types and rotary layout change too.
#[test]
fn smollm2_is_merged_from_gguf() {
    let Some(models) = shared("models/smollm2-135m-instruct") else { return };
    let path = models.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    let gguf = ModelFiles::at(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (adapter, out) = (folder.path().join("adapter"), folder.path().join("merged"));
    write_adapter(&adapter, &gguf, 0.02);
    let merged = merge(&gguf, &adapter, &out, &options(MergedType::Float16)).unwrap();
    println!("{}", merged.to_text());
    assert_eq!((merged.tensors, merged.changed), (272, 120));
    assert!(merged.files.len() > 4, "{:?}", merged.files);
    let measured = &merged.measured;
    assert!(measured.adapter_effect > 10.0 * measured.largest_difference, "{measured:?}");
}
