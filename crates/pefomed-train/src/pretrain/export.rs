//! A trained base as files in Hugging Face layout, in float16.

use std::collections::BTreeMap;
use std::path::Path;

use half::f16;
use pefomed_data::files;
use pefomed_data::image::Preprocessor;
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::parameters::Trainable;
use pefomed_model::vision::VisionEncoder;
use pefomed_model::weights::{TensorValues, write_safetensors};
use serde_json::json;

use crate::TrainError;

pub(super) fn write_vision(
    folder: &Path,
    mut encoder: VisionEncoder,
    preprocessor: &Preprocessor,
) -> Result<(), TrainError> {
    let config = encoder.config().clone();
    let (width, patch) = (config.width(), config.patch_size());
    // The tables that this crate keeps as matrices have more dimensions in the files.
    let shape = |name: &str, shape: Vec<usize>| match name {
        "embeddings.cls_token" => vec![1, 1, width],
        "embeddings.position_embeddings" => [vec![1], shape].concat(),
        "embeddings.patch_embeddings.projection.weight" => vec![width, 3, patch, patch],
        _ => shape,
    };
    write_weights(folder, &mut encoder, shape)?;
    files::write_json(&folder.join("config.json"), &config)?;
    let side = preprocessor.size;
    let preprocessor = json!({
        "image_mean": decimals(preprocessor.mean),
        "image_std": decimals(preprocessor.std),
        "size": {"height": side, "width": side},
        "resample": 3,
        "do_resize": true,
        "do_rescale": true,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": true,
    });
    files::write_json(&folder.join("preprocessor_config.json"), &preprocessor)?;
    Ok(())
}

pub(super) fn write_decoder(
    folder: &Path,
    mut decoder: LlamaDecoder,
    tokenizer: &str,
) -> Result<(), TrainError> {
    let config = decoder.config().clone();
    write_weights(folder, &mut decoder, |_, shape| shape)?;
    files::write_json(&folder.join("config.json"), &config)?;
    files::write_bytes(&folder.join("tokenizer.json"), tokenizer.as_bytes())?;
    Ok(())
}

fn write_weights<M: Trainable>(
    folder: &Path,
    model: &mut M,
    shape: impl Fn(&str, Vec<usize>) -> Vec<usize>,
) -> Result<(), TrainError> {
    let tensors: Vec<(String, Vec<usize>, TensorValues)> = model
        .parameters()
        .into_iter()
        .map(|(name, parameter)| {
            let values = parameter.values().into_iter().map(f16::from_f32).collect();
            let shape = shape(&name, parameter.shape());
            (name, shape, TensorValues::F16(values))
        })
        .collect();
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write_safetensors(&folder.join("model.safetensors"), &tensors, &metadata)?;
    Ok(())
}

/// The shortest decimals, instead of the digits of the nearest double.
fn decimals(values: [f32; 3]) -> [f64; 3] {
    values.map(|value| value.to_string().parse().unwrap_or_default())
}
