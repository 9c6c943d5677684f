//! Configurations in Hugging Face layout, and their like in GGUF metadata.
//!
//! A key that would change what is computed and is not implemented is an error, never ignored.

use std::path::Path;

use pefomed_data::files;
use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::weights::GgufFile;

/// `config.json` of a LLaMA-architecture decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Kind of model; `llama` is known.
    pub model_type: String,
    /// Width `C`.
    pub hidden_size: usize,
    /// Width of the feed-forward network.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads `H`.
    pub num_attention_heads: usize,
    /// Key and value heads `K`; as many as query heads when absent.
    #[serde(default)]
    pub num_key_value_heads: Option<usize>,
    /// Width of a head `D`; `C / H` when absent.
    #[serde(default)]
    pub head_dim: Option<usize>,
    /// Vocabulary size `V`.
    pub vocab_size: usize,
    /// Epsilon of the norms.
    #[serde(default = "default_norm_eps")]
    pub rms_norm_eps: f64,
    /// Base of the rotary angles; also found under `rope_parameters` in newer files.
    #[serde(default)]
    pub rope_theta: Option<f64>,
    /// Newer place of the rotary settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_parameters: Option<RopeParameters>,
    /// Scaling of rotary angles; must be absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<serde_json::Value>,
    /// Whether the head is the embedding table.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether attention projections have biases; must be false.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether feed-forward projections have biases; must be false.
    #[serde(default)]
    pub mlp_bias: bool,
    /// Activation; `silu` is known.
    #[serde(default = "default_activation")]
    pub hidden_act: String,
}

/// `rope_parameters` of a decoder's `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RopeParameters {
    /// Base of the rotary angles.
    pub rope_theta: f64,
    /// Kind of scaling; `default` is known.
    #[serde(default = "default_rope")]
    pub rope_type: String,
}

fn default_norm_eps() -> f64 {
    1e-6
}

fn default_activation() -> String {
    "silu".to_owned()
}

fn default_rope() -> String {
    "default".to_owned()
}

impl LlamaConfig {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// [`ModelError::Data`] for an unreadable file, [`ModelError::Unsupported`] for a setting that
    /// is not implemented.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let config: Self = files::read_json(path)?;
        config.check(&path.display().to_string())?;
        Ok(config)
    }

    /// Reads the metadata of a GGUF file.
    ///
    /// # Errors
    /// [`ModelError::MetadataMissing`], [`ModelError::MetadataKind`] or
    /// [`ModelError::Unsupported`].
    pub fn from_gguf(file: &GgufFile, origin: &str, tied: bool) -> Result<Self, ModelError> {
        let number = |key: &str| file.u64(key).map(|value| value as usize);
        let real = |key: &str, default: f64| {
            if file.has_key(key) { file.f64(key) } else { Ok(default) }
        };
        let config = Self {
            model_type: file.str("general.architecture")?.to_owned(),
            hidden_size: number("llama.embedding_length")?,
            intermediate_size: number("llama.feed_forward_length")?,
            num_hidden_layers: number("llama.block_count")?,
            num_attention_heads: number("llama.attention.head_count")?,
            num_key_value_heads: Some(number("llama.attention.head_count_kv")?),
            head_dim: if file.has_key("llama.attention.key_length") {
                Some(number("llama.attention.key_length")?)
            } else {
                None
            },
            vocab_size: file.string_array("tokenizer.ggml.tokens")?.len(),
            rms_norm_eps: real("llama.attention.layer_norm_rms_epsilon", 1e-5)?,
            rope_theta: Some(real("llama.rope.freq_base", 10_000.0)?),
            rope_parameters: None,
            rope_scaling: file
                .has_key("llama.rope.scaling.type")
                .then(|| serde_json::json!("llama.rope.scaling.type")),
            tie_word_embeddings: tied,
            attention_bias: false,
            mlp_bias: false,
            hidden_act: default_activation(),
        };
        config.check(origin)?;
        Ok(config)
    }

    /// Key and value heads `K`.
    pub fn key_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head `D`.
    pub fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Base of the rotary angles.
    pub fn rope_base(&self) -> f64 {
        let newer = self.rope_parameters.as_ref().map(|rope| rope.rope_theta);
        self.rope_theta.or(newer).unwrap_or(10_000.0)
    }

    /// Number of frozen values: embedding, layers, norms and an untied head.
    pub fn parameter_count(&self) -> usize {
        let (c, m) = (self.hidden_size, self.intermediate_size);
        let q = self.num_attention_heads * self.head_dim();
        let kv = self.key_heads() * self.head_dim();
        let layer = 2 * c * q + 2 * c * kv + 3 * c * m + 2 * c;
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        self.num_hidden_layers * layer + tables * self.vocab_size * c + c
    }

    pub(crate) fn check(&self, origin: &str) -> Result<(), ModelError> {
        let refuse =
            |what: String| Err(ModelError::Unsupported { origin: origin.to_owned(), what });
        if self.model_type != "llama" {
            return refuse(format!("model type `{}`; `llama` is supported", self.model_type));
        }
        if self.hidden_act != "silu" {
            return refuse(format!("activation `{}`; `silu` is supported", self.hidden_act));
        }
        if self.attention_bias || self.mlp_bias {
            return refuse("biases in attention or feed-forward projections".to_owned());
        }
        if self.rope_scaling.as_ref().is_some_and(|value| !value.is_null()) {
            return refuse("scaling of rotary angles (`rope_scaling`)".to_owned());
        }
        if let Some(rope) = &self.rope_parameters
            && rope.rope_type != "default"
        {
            return refuse(format!("rotary kind `{}`; `default` is supported", rope.rope_type));
        }
        let (heads, key_heads) = (self.num_attention_heads, self.key_heads());
        if heads == 0 || key_heads == 0 || !heads.is_multiple_of(key_heads) {
            return refuse(format!("{heads} query heads over {key_heads} key heads"));
        }
        if self.head_dim() == 0 || !self.head_dim().is_multiple_of(2) {
            return refuse(format!("heads of width {}: it must be even", self.head_dim()));
        }
        if self.num_hidden_layers == 0 || self.vocab_size == 0 || self.intermediate_size == 0 {
            return refuse("a model without layers, vocabulary or feed-forward width".to_owned());
        }
        Ok(())
    }
}

/// `config.json` of a DINOv2 vision encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dinov2Config {
    /// Kind of model; `dinov2` is known.
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
    /// Whether the feed-forward network is gated; must be false.
    #[serde(default)]
    pub use_swiglu_ffn: bool,
}

fn default_mlp_ratio() -> usize {
    4
}

fn default_channels() -> usize {
    3
}

fn default_gelu() -> String {
    "gelu".to_owned()
}

fn default_true() -> bool {
    true
}

impl Dinov2Config {
    /// Reads `config.json` of a folder.
    ///
    /// # Errors
    /// [`ModelError::Data`] for an unreadable file, [`ModelError::Unsupported`] for a setting that
    /// is not implemented.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let config: Self = files::read_json(path)?;
        config.check(&path.display().to_string())?;
        Ok(config)
    }

    /// Patches an image of `size × size` pixels is cut into.
    pub fn patches(&self, size: usize) -> usize {
        (size / self.patch_size).pow(2)
    }

    /// Number of values in the encoder.
    pub fn parameter_count(&self) -> usize {
        let c = self.hidden_size;
        let hidden = c * self.mlp_ratio;
        let patch = self.num_channels * self.patch_size.pow(2);
        let grid = self.image_size / self.patch_size;
        let block = 4 * (c * c + c) + 2 * c * hidden + hidden + c + 4 * c + 2 * c;
        self.num_hidden_layers * block + c * patch + c + c * (grid * grid + 1) + c + 2 * c
    }

    pub(crate) fn check(&self, origin: &str) -> Result<(), ModelError> {
        let refuse =
            |what: String| Err(ModelError::Unsupported { origin: origin.to_owned(), what });
        if self.model_type != "dinov2" {
            return refuse(format!("model type `{}`; `dinov2` is supported", self.model_type));
        }
        if self.hidden_act != "gelu" {
            return refuse(format!("activation `{}`; `gelu` is supported", self.hidden_act));
        }
        if self.use_swiglu_ffn || !self.qkv_bias || self.num_channels != 3 {
            return refuse(
                "a gated feed-forward network, no biases, or other than 3 channels".into(),
            );
        }
        let heads = self.num_attention_heads;
        if heads == 0 || !self.hidden_size.is_multiple_of(heads) || self.patch_size == 0 {
            return refuse(format!("width {} over {heads} heads", self.hidden_size));
        }
        if self.image_size < self.patch_size || !self.image_size.is_multiple_of(self.patch_size) {
            let (image, patch) = (self.image_size, self.patch_size);
            return refuse(format!("image side {image} that is no multiple of the patch {patch}"));
        }
        Ok(())
    }
}
