//! Training a tiny base from nothing: the embedded vision encoder and decoder that the demo tunes.
//!
//! Neither part sees the demo's task. The encoder learns to tell materials apart in scenes without
//! anatomy; the decoder learns language about symbols on a grid, from text alone. What connects
//! them, and what answers questions about images, is left to the demo's two stages.

mod corpus;
mod decoder;
mod export;
mod learn;
mod vision;

use std::path::Path;

use pefomed_data::files;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::events::Observer;

/// `recipes/tiny-base.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseRecipe {
    /// Decides everything drawn.
    pub seed: u64,
    /// The vision encoder.
    pub vision: VisionRecipe,
    /// The decoder.
    pub decoder: DecoderRecipe,
}

/// Shape and training of the encoder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionRecipe {
    /// Width.
    pub hidden_size: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Side of an image in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Optimizer.
    pub training: Training,
}

/// Shape and training of the decoder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecoderRecipe {
    /// Width.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub key_value_heads: usize,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Optimizer.
    pub training: Training,
}

/// How long and how fast one part learns.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Optimizer steps.
    pub steps: usize,
    /// Images, or documents, of a step.
    pub batch: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: usize,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl BaseRecipe {
    /// Reads a recipe file.
    ///
    /// # Errors
    /// [`TrainError::Data`] when it cannot be read, [`TrainError::RecipeSyntax`] when it is not
    /// such a recipe.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = files::read_text(path)?;
        toml::from_str(&text).map_err(|error| TrainError::RecipeSyntax {
            origin: path.display().to_string(),
            line: error.span().map(|span| text[..span.start].lines().count().max(1)),
            problem: error.message().to_owned(),
        })
    }
}

/// Trains both parts and writes them in Hugging Face layout under `folder`: `vision/` and
/// `decoder/`.
///
/// # Errors
/// Whatever fails in computing or writing.
pub fn pretrain(
    recipe: &BaseRecipe,
    folder: &Path,
    observer: &mut dyn Observer,
) -> Result<(), TrainError> {
    let (encoder, preprocessor) = vision::train(recipe, observer)?;
    export::write_vision(&folder.join("vision"), encoder, &preprocessor)?;
    let (decoder, tokenizer) = decoder::train(recipe, observer)?;
    export::write_decoder(&folder.join("decoder"), decoder, &tokenizer)?;
    Ok(())
}
