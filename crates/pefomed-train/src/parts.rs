//! The frozen parts of a recipe, loaded and joined.

use std::collections::BTreeMap;

use pefomed_data::Tokenizer;
use pefomed_data::image::Preprocessor;
use pefomed_kernels::frozen::Precision;
use pefomed_model::adapter::{LoraAdapter, LoraConfig, Site};
use pefomed_model::base::{self, ModelFiles};
use pefomed_model::decoder::LlamaDecoder;
use pefomed_model::multimodal::{TunedDecoder, VisionTower};
use pefomed_model::parameters::Placement;
use pefomed_model::projector::Projector;

use crate::TrainError;
use crate::recipe::{Adapter, ModelSource, Recipe};

/// The frozen vision encoder and decoder of a recipe.
pub struct Parts {
    /// Encoder and joining of tokens.
    pub vision: VisionTower,
    /// How images become the encoder's input.
    pub preprocessor: Preprocessor,
    /// Digest of the encoder's weights.
    pub vision_digest: String,
    /// Visual tokens of an image, after joining.
    pub visual_tokens: usize,
    /// The decoder.
    pub decoder: LlamaDecoder,
    /// Digest of the decoder's weights.
    pub decoder_digest: String,
    /// The decoder's tokenizer.
    pub tokenizer: Tokenizer,
}

/// Files of a vision encoder.
///
/// # Errors
/// When there are none.
pub fn vision_files(source: &ModelSource) -> Result<ModelFiles, TrainError> {
    Ok(match source {
        ModelSource::Path(path) => ModelFiles::at(path)?,
        ModelSource::Hub(name) => ModelFiles::from_hub(name)?,
        ModelSource::Embedded(name) => ModelFiles::embedded_vision(name)?,
    })
}

/// Files of a decoder.
///
/// # Errors
/// When there are none.
pub fn decoder_files(source: &ModelSource) -> Result<ModelFiles, TrainError> {
    Ok(match source {
        ModelSource::Path(path) => ModelFiles::at(path)?,
        ModelSource::Hub(name) => ModelFiles::from_hub(name)?,
        ModelSource::Embedded(name) => ModelFiles::embedded_decoder(name)?,
    })
}

/// Settings of the adapter.
///
/// # Errors
/// [`TrainError::RecipeValue`] for a projection that no decoder has.
pub fn lora_config(adapter: &Adapter) -> Result<LoraConfig, TrainError> {
    let sites = adapter.targets.iter().map(|name| {
        name.parse::<Site>().map_err(|problem| TrainError::RecipeValue {
            origin: "recipe".to_owned(),
            line: None,
            problem: format!("[adapter] targets: {problem}"),
        })
    });
    let mut targets = sites.collect::<Result<Vec<_>, _>>()?;
    targets.sort();
    targets.dedup();
    Ok(LoraConfig { rank: adapter.rank, alpha: adapter.alpha, dropout: adapter.dropout, targets })
}

impl Parts {
    /// Loads what a recipe names.
    ///
    /// # Errors
    /// Whatever is wrong with the files, by name.
    pub fn load(recipe: &Recipe, place: &Placement) -> Result<Self, TrainError> {
        let model = &recipe.model;
        let files = vision_files(&model.vision)?;
        let vision = base::load_vision(&files, model.image_size, model.selection(), place)?;
        let encoder = match model.precision.kernel().unwrap_or_else(Precision::fastest) {
            Precision::Bf16 => vision.encoder.freeze(Precision::Bf16)?,
            Precision::Float32 => vision.encoder,
        };
        let tower = VisionTower { encoder, merge: model.merge };
        let visual_tokens = tower.tokens(model.image_size as usize)?;
        let files = decoder_files(&model.decoder)?;
        let tokenizer = model.tokenizer.as_deref();
        let decoder = match model.precision.kernel() {
            Some(precision) => {
                base::load_packed_decoder(&files, tokenizer, model.template, place, precision)?
            }
            None => base::load_stored_decoder(&files, tokenizer, model.template, place)?,
        };
        let checkpointing = model.activation_checkpointing;
        if checkpointing && decoder.decoder.packed_bytes().is_none() {
            return Err(TrainError::RecipeValue {
                origin: "recipe".to_owned(),
                line: None,
                problem:
                    "[model] `activation_checkpointing` needs fused layers, which this decoder or \
                          device does not have: leave it out"
                        .to_owned(),
            });
        }
        Ok(Self {
            vision: tower,
            preprocessor: vision.preprocessor,
            vision_digest: vision.digest,
            visual_tokens,
            decoder: decoder.decoder.with_checkpointing(checkpointing),
            decoder_digest: decoder.digest,
            tokenizer: decoder.tokenizer,
        })
    }

    /// A decoder with a fresh projector and adapter, drawn from the recipe's seed.
    ///
    /// # Errors
    /// As [`lora_config`].
    pub fn untuned(&self, recipe: &Recipe) -> Result<TunedDecoder, TrainError> {
        let place = self.decoder.place();
        let config = self.decoder.config();
        let (input, output) = (self.vision.width(), config.hidden_size);
        let lora = lora_config(&recipe.adapter)?;
        Ok(TunedDecoder {
            decoder: self.decoder.clone(),
            projector: Projector::draw(
                recipe.model.projector,
                input,
                output,
                recipe.seed.wrapping_add(1),
                place,
            ),
            adapter: LoraAdapter::new(lora, config, recipe.seed.wrapping_add(2), place),
        })
    }

    /// A decoder with the projector and adapter of a folder.
    ///
    /// # Errors
    /// Whatever is missing, misshapen or left over in it.
    pub fn tuned(&self, folder: &std::path::Path) -> Result<TunedDecoder, TrainError> {
        let place = self.decoder.place();
        let config = self.decoder.config();
        let (input, output) = (self.vision.width(), config.hidden_size);
        Ok(TunedDecoder {
            decoder: self.decoder.clone(),
            projector: Projector::read(folder, input, output, place)?,
            adapter: LoraAdapter::read_peft(folder, config, place)?,
        })
    }

    /// Digests of everything frozen that decides a result.
    pub fn digests(&self, recipe: &Recipe) -> BTreeMap<String, String> {
        let template = recipe.model.template;
        let prompt = match recipe.model.compat {
            None => template.digest(),
            Some(compat) => compat.digest(template, recipe.seed),
        };
        BTreeMap::from([
            ("vision weights".to_owned(), self.vision_digest.clone()),
            ("decoder weights".to_owned(), self.decoder_digest.clone()),
            ("tokenizer".to_owned(), self.tokenizer.digest().to_owned()),
            ("prompt".to_owned(), prompt),
        ])
    }
}
