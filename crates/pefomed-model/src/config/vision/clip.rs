//! `config.json` of a CLIP vision encoder.

use serde::{Deserialize, Serialize};

use pefomed_kernels::fused::Activation;

use super::VitShape;
use super::shape::activation;

/// `config.json` of a CLIP vision encoder. Keys that are absent have the values of Hugging Face's
/// class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClipConfig {
    /// `clip_vision_model`.
    pub model_type: String,
    /// Width.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Side in pixels that the position table was made for.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Colour channels; must be 3.
    pub num_channels: usize,
    /// Epsilon of the norms.
    pub layer_norm_eps: f64,
    /// `quick_gelu` or `gelu`.
    pub hidden_act: String,
}

impl Default for ClipConfig {
    fn default() -> Self {
        Self {
            model_type: "clip_vision_model".to_owned(),
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 224,
            patch_size: 32,
            num_channels: 3,
            layer_norm_eps: 1e-5,
            hidden_act: "quick_gelu".to_owned(),
        }
    }
}

const ACTIVATIONS: [(&str, Activation); 2] =
    [("quick_gelu", Activation::QuickGelu), ("gelu", Activation::Gelu)];

impl ClipConfig {
    pub(super) fn fault(&self) -> Option<String> {
        if self.num_channels != 3 {
            return Some("other than 3 channels".to_owned());
        }
        activation(&self.hidden_act, &ACTIVATIONS).err()
    }

    pub(super) fn shape(&self) -> VitShape {
        VitShape {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden: self.intermediate_size,
            patch: self.patch_size,
            side: self.image_size,
            eps: self.layer_norm_eps,
            last_eps: self.layer_norm_eps,
            activation: activation(&self.hidden_act, &ACTIVATIONS).unwrap_or(Activation::QuickGelu),
            class_token: true,
            registers: 0,
            patch_bias: false,
            key_bias: true,
            first_norm: true,
            // There is one, for the pooled class token alone.
            last_norm: false,
            layer_scale: false,
            cuts_rest: false,
            antialias: false,
        }
    }
}
