//! Vision encoders: DINOv2 (with and without registers), CLIP, SigLIP and EVA-CLIP's ViT-g/14.
//!
//! All are vision transformers with a pre-norm block. What tells them apart is said once, as a
//! [`VitShape`], from which the encoder is built and its numbers are counted.

mod clip;
mod dinov2;
mod eva;
mod shape;
mod siglip;

use std::fmt;
use std::path::Path;

use pefomed_data::{DataError, files};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use clip::ClipConfig;
pub use dinov2::Dinov2Config;
pub use eva::EvaConfig;
pub(crate) use shape::VitShape;
pub use siglip::SiglipConfig;

use super::unsupported;
use crate::error::ModelError;

/// Configuration of a vision encoder of any known kind, told apart by `model_type`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum VisionConfig {
    /// `dinov2` and `dinov2_with_registers` (arXiv 2304.07193, 2309.16588).
    Dinov2(Dinov2Config),
    /// `clip_vision_model`, or the vision half of a `clip` (arXiv 2103.00020).
    Clip(ClipConfig),
    /// `siglip_vision_model`, or the vision half of a `siglip` (arXiv 2303.15343).
    Siglip(SiglipConfig),
    /// `eva_vit_g`: EVA-CLIP's ViT-g/14 as PeFoMed and MiniGPT-v2 use it (arXiv 2303.15389).
    Eva(EvaConfig),
}

/// Which of an encoder's hidden states become visual tokens. The default is each family's own: for
/// DINOv2 and SigLIP the output of the last norm, for CLIP the layer before the last (as LLaVA has
/// it), for EVA-CLIP the last block followed by `ln_vision`; the class token is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSelection {
    /// The layer after which tokens are taken: 0 for the embedded patches, 1 for the first block,
    /// −1 for the last and −2 for the one before it. The final norm is left out when given.
    pub layer: Option<i32>,
    /// Whether the class token is kept, before the patches.
    pub keep_class: bool,
}

impl fmt::Display for FeatureSelection {
    /// Nothing for the default: part of the key of cached features.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(layer) = self.layer {
            write!(f, " layer={layer}")?;
        }
        if self.keep_class { write!(f, " class") } else { Ok(()) }
    }
}

#[derive(Deserialize)]
struct ModelType {
    model_type: String,
}

impl VisionConfig {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// [`ModelError::Data`] for an unreadable file, [`ModelError::Unsupported`] for a setting that
    /// is not implemented.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        Self::from_value(path, files::read_json(path)?)
    }

    /// Takes the contents of a `config.json`; `path` is for messages.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn from_value(path: &Path, mut value: Value) -> Result<Self, ModelError> {
        let ModelType { model_type: kind } = parse(path, value.clone())?;
        let origin = path.display().to_string();
        // The vision half of a pair says its own kind, or leaves it out.
        if matches!(kind.as_str(), "clip" | "siglip") {
            let mut half = value.get_mut("vision_config").map(Value::take).unwrap_or_default();
            match &mut half {
                Value::Object(settings) => {
                    settings.insert("model_type".to_owned(), format!("{kind}_vision_model").into());
                }
                _ => {
                    return Err(unsupported(&origin, "a pair of encoders without `vision_config`"));
                }
            }
            value = half;
        }
        let config = match kind.as_str() {
            "dinov2" | "dinov2_with_registers" => Self::Dinov2(parse(path, value)?),
            "clip" | "clip_vision_model" => Self::Clip(parse(path, value)?),
            "siglip" | "siglip_vision_model" => Self::Siglip(parse(path, value)?),
            "eva_vit_g" => Self::Eva(parse(path, value)?),
            _ => {
                return Err(unsupported(
                    &origin,
                    format!(
                        "a vision encoder of model type `{kind}`; `dinov2`, \
                         `dinov2_with_registers`, `clip`, `siglip` and `eva_vit_g` are supported"
                    ),
                ));
            }
        };
        config.check(&origin)?;
        Ok(config)
    }

    pub(crate) fn check(&self, origin: &str) -> Result<(), ModelError> {
        let fault = match self {
            Self::Dinov2(config) => config.fault(),
            Self::Clip(config) => config.fault(),
            Self::Siglip(config) => config.fault(),
            Self::Eva(_) => None,
        };
        match fault.or_else(|| self.shape().fault()) {
            Some(what) => Err(unsupported(origin, what)),
            None => Ok(()),
        }
    }

    /// What the encoder is made of.
    pub(crate) fn shape(&self) -> VitShape {
        match self {
            Self::Dinov2(config) => config.shape(),
            Self::Clip(config) => config.shape(),
            Self::Siglip(config) => config.shape(),
            Self::Eva(config) => config.shape(),
        }
    }

    /// Width of a token.
    pub fn width(&self) -> usize {
        self.shape().width
    }

    /// Number of blocks in the file.
    pub fn layers(&self) -> usize {
        self.shape().layers
    }

    /// Attention heads.
    pub fn heads(&self) -> usize {
        self.shape().heads
    }

    /// Width inside the feed-forward network.
    pub fn feed_forward_width(&self) -> usize {
        self.shape().hidden
    }

    /// Side of a patch in pixels.
    pub fn patch_size(&self) -> usize {
        self.shape().patch
    }

    /// Tokens beside the patches while the encoder computes: class token and registers.
    pub fn extra_tokens(&self) -> usize {
        let shape = self.shape();
        usize::from(shape.class_token) + shape.registers
    }

    /// Number of values in the encoder, as far as its file holds what is used.
    pub fn parameter_count(&self) -> usize {
        self.shape().parameter_count()
    }

    /// Numbers in the matrices of its blocks, which [`freeze`](crate::vision::VisionEncoder::freeze) packs.
    pub fn block_matrices(&self) -> usize {
        self.shape().block_matrices()
    }

    /// Patches in a row of a square image of `size` pixels a side.
    ///
    /// # Errors
    /// [`ModelError::ImageSize`] when they leave a rest. SigLIP alone cuts the rest off, as it was
    /// trained to.
    pub fn grid(&self, size: usize) -> Result<usize, ModelError> {
        Ok(self.shape().grid(size, size)?.1)
    }

    /// Visual tokens of a square image of `size` pixels a side, after `merge` neighbours of a row
    /// are joined.
    ///
    /// # Errors
    /// [`ModelError::ImageSize`], [`ModelError::MergeWidth`] when a row of patches does not divide,
    /// [`ModelError::MergeClass`] when there is a class token to be joined with patches.
    pub fn visual_tokens(
        &self,
        size: usize,
        merge: usize,
        selection: FeatureSelection,
    ) -> Result<usize, ModelError> {
        let patches = self.grid(size)?;
        if merge == 0 || !patches.is_multiple_of(merge) {
            return Err(ModelError::MergeWidth { patches, merge });
        }
        if selection.keep_class && merge > 1 {
            return Err(ModelError::MergeClass { merge });
        }
        Ok(patches * patches / merge + usize::from(selection.keep_class))
    }

    /// The number of blocks that a selection needs, and whether the final norm follows.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for a layer or a class token that the encoder does not have.
    pub fn depth(&self, selection: FeatureSelection) -> Result<(usize, bool), ModelError> {
        let shape = self.shape();
        let layers = shape.layers;
        if selection.keep_class && !shape.class_token {
            return Err(unsupported("the recipe", "the class token of an encoder that has none"));
        }
        let Some(layer) = selection.layer else {
            // LLaVA's choice, and so of what was trained on CLIP.
            let clip = matches!(self, Self::Clip(_));
            return Ok(if clip { (layers.saturating_sub(1), false) } else { (layers, true) });
        };
        // Counted from the end, the last layer is −1.
        let from_end = layers as i64 + 1 + i64::from(layer);
        let depth = if layer < 0 { from_end } else { i64::from(layer) };
        match usize::try_from(depth) {
            // What follows EVA's last block is a layer of its own, whichever block that is.
            Ok(depth) if depth <= layers => Ok((depth, matches!(self, Self::Eva(_)))),
            _ => Err(unsupported(
                "the recipe",
                format!("`vision_layer` {layer} of an encoder of {layers} layers"),
            )),
        }
    }
}

/// A configuration of one kind.
fn parse<T: DeserializeOwned>(path: &Path, value: Value) -> Result<T, ModelError> {
    serde_json::from_value(value)
        .map_err(|source| DataError::Json { path: path.to_owned(), source }.into())
}

#[cfg(test)]
mod tests;
