//! `config.json` of a DINOv2 vision encoder.

use serde::{Deserialize, Serialize};

use pefomed_kernels::fused::Activation;

use super::VitShape;

/// `config.json` of a DINOv2 vision encoder, with or without registers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dinov2Config {
    /// `dinov2` or `dinov2_with_registers`.
    pub model_type: String,
    /// Width.
    pub hidden_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width of the feed-forward network as a multiple of the width.
    #[serde(default = "default_mlp_ratio")]
    pub mlp_ratio: usize,
    /// Side in pixels that the position table was made for.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Colour channels; must be 3.
    #[serde(default = "default_channels")]
    pub num_channels: usize,
    /// Epsilon of the norms.
    #[serde(default = "default_norm_eps")]
    pub layer_norm_eps: f64,
    /// Activation; `gelu` (with the error function) is known.
    #[serde(default = "default_gelu")]
    pub hidden_act: String,
    /// Whether query, key and value have biases; must be true.
    #[serde(default = "default_true")]
    pub qkv_bias: bool,
    /// Whether the feed-forward network is gated, as in the giant.
    #[serde(default)]
    pub use_swiglu_ffn: bool,
    /// Registers of a `dinov2_with_registers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_register_tokens: Option<usize>,
}

fn default_mlp_ratio() -> usize {
    4
}

fn default_channels() -> usize {
    3
}

fn default_norm_eps() -> f64 {
    1e-6
}

fn default_gelu() -> String {
    "gelu".to_owned()
}

fn default_true() -> bool {
    true
}

impl Dinov2Config {
    fn has_registers(&self) -> bool {
        self.model_type == "dinov2_with_registers"
    }

    pub(super) fn fault(&self) -> Option<String> {
        if self.hidden_act != "gelu" {
            return Some(format!("activation `{}`; `gelu` is supported", self.hidden_act));
        }
        if !self.qkv_bias || self.num_channels != 3 {
            return Some("no biases, or other than 3 channels".to_owned());
        }
        None
    }

    pub(super) fn shape(&self) -> VitShape {
        let hidden = self.hidden_size.saturating_mul(self.mlp_ratio);
        // Two thirds, so that three matrices have the size of two, in multiples of 8.
        let gated = (hidden.saturating_mul(2) / 3).saturating_add(7) / 8 * 8;
        let with_registers = self.num_register_tokens.unwrap_or(4);
        VitShape {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden: if self.use_swiglu_ffn { gated } else { hidden },
            patch: self.patch_size,
            side: self.image_size,
            eps: self.layer_norm_eps,
            last_eps: self.layer_norm_eps,
            activation: if self.use_swiglu_ffn { Activation::SwiGlu } else { Activation::Gelu },
            class_token: true,
            registers: if self.has_registers() { with_registers } else { 0 },
            patch_bias: true,
            key_bias: true,
            first_norm: false,
            last_norm: true,
            layer_scale: true,
            cuts_rest: false,
            // As each of the two was published.
            antialias: self.has_registers(),
        }
    }
}
