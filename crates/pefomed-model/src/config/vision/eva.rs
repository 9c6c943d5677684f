//! EVA-CLIP's ViT-g/14, which has no Hugging Face layout: this project's own `config.json`.

use serde::{Deserialize, Serialize};

use pefomed_kernels::fused::Activation;

use super::VitShape;

/// `config.json` of EVA-CLIP's ViT-g/14. The defaults are the sizes of `eva_vit_g.pth` as far as
/// PeFoMed and MiniGPT-v2 use it, so that `{"model_type": "eva_vit_g"}` says everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaConfig {
    /// `eva_vit_g`.
    pub model_type: String,
    /// Width.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Number of blocks that are used. The file has one more, which is not.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Side in pixels that the position table was made for.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Epsilon of the norms in the blocks.
    pub layer_norm_eps: f64,
    /// Epsilon of `ln_vision`, the norm after the last block.
    pub ln_vision_eps: f64,
}

impl Default for EvaConfig {
    fn default() -> Self {
        Self {
            model_type: "eva_vit_g".to_owned(),
            hidden_size: 1408,
            intermediate_size: 6144,
            num_hidden_layers: 39,
            num_attention_heads: 16,
            image_size: 224,
            patch_size: 14,
            layer_norm_eps: 1e-6,
            ln_vision_eps: 1e-5,
        }
    }
}

impl EvaConfig {
    pub(super) fn shape(&self) -> VitShape {
        VitShape {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden: self.intermediate_size,
            patch: self.patch_size,
            side: self.image_size,
            eps: self.layer_norm_eps,
            last_eps: self.ln_vision_eps,
            activation: Activation::Gelu,
            class_token: true,
            registers: 0,
            patch_bias: true,
            key_bias: false,
            first_norm: false,
            last_norm: true,
            layer_scale: false,
            cuts_rest: false,
            antialias: false,
        }
    }
}
