//! The tiny vision encoder: it learns which share of each patch is which material.

use burn::tensor::activation::log_softmax;
use pefomed_data::image::{PixelValues, Preprocessor};
use pefomed_data::phantom::{Material, patch_targets, soup};
use pefomed_model::config::{Dinov2Config, VisionConfig};
use pefomed_model::parameters::{Parameter, Placement, Trainable};
use pefomed_model::projector::Projector;
use pefomed_model::vision::VisionEncoder;

use super::BaseRecipe;
use super::learn::learn;
use crate::TrainError;
use crate::events::Observer;

/// Mean and deviation that grey values are normalised with.
const MEAN: f32 = 0.4;
const DEVIATION: f32 = 0.3;

/// The encoder with a linear read-out of materials, which is thrown away in the end.
#[derive(Clone)]
struct Pupil {
    encoder: VisionEncoder,
    read_out: Projector,
}

impl Trainable for Pupil {
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)> {
        let mut all = self.encoder.parameters();
        all.extend(self.read_out.parameters());
        all
    }
}

pub(super) fn train(
    recipe: &BaseRecipe,
    observer: &mut dyn Observer,
) -> Result<(VisionEncoder, Preprocessor), TrainError> {
    let shape = &recipe.vision;
    let config = Dinov2Config {
        model_type: "dinov2".to_owned(),
        hidden_size: shape.hidden_size,
        num_hidden_layers: shape.layers,
        num_attention_heads: shape.heads,
        mlp_ratio: 4,
        image_size: shape.image_size,
        patch_size: shape.patch_size,
        num_channels: 3,
        layer_norm_eps: 1e-6,
        hidden_act: "gelu".to_owned(),
        qkv_bias: true,
        use_swiglu_ffn: false,
        num_register_tokens: None,
    };
    let preprocessor =
        Preprocessor { size: shape.image_size as u32, mean: [MEAN; 3], std: [DEVIATION; 3] };
    let place = Placement::cpu();
    let mut pupil = Pupil {
        encoder: VisionEncoder::random(VisionConfig::Dinov2(config), recipe.seed + 1, &place)?,
        read_out: Projector::new(shape.hidden_size, Material::COUNT, recipe.seed + 2, &place),
    };
    let batch = shape.training.batch;
    let draw = |step| Ok((0..batch).map(|image| (step * batch + image) as u64).collect());
    let loss = |pupil: &Pupil, image| {
        let (pixels, targets) = example(shape.image_size, shape.patch_size, recipe.seed, image);
        let patches = targets.len() / Material::COUNT;
        let targets = Placement::cpu().tensor(targets, [patches, Material::COUNT]);
        let tokens = pupil.encoder.features(&pixels)?;
        let told = log_softmax(pupil.read_out.forward(tokens), 1);
        let loss = (told * targets).sum().neg();
        Ok((loss.mul_scalar(1.0 / (patches * batch) as f64), patches))
    };
    learn("vision", &mut pupil, &shape.training, observer, draw, loss)?;
    Ok((pupil.encoder, preprocessor))
}

/// Pixels of a scene and the share of each material in each of its patches.
fn example(size: usize, patch: usize, seed: u64, index: u64) -> (PixelValues, Vec<f32>) {
    let scene = soup(seed + 3, index, size);
    let targets = patch_targets(&scene, patch);
    let plane =
        scene.picture.pixels.iter().map(|&grey| (f32::from(grey) / 255.0 - MEAN) / DEVIATION);
    let plane: Vec<f32> = plane.collect();
    let data = [plane.as_slice(); 3].concat();
    (PixelValues { data, height: size, width: size }, targets)
}
