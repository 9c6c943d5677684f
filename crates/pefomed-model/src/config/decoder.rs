//! Decoders of LLaMA's architecture and their kin: LLaMA 2 and 3, Vicuna, SmolLM2 (all `llama`),
//! Mistral and Qwen2.
//!
//! They differ in biases, in how rotary angles are scaled, and in how far a position looks back.

use std::path::Path;

use pefomed_data::files;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{RopeParameters, RopeScaling, unsupported};
use crate::adapter::Site;
use crate::error::ModelError;
use crate::weights::{GgufFile, TensorSource as _};

/// Positions a Mistral looks back on when its file does not say.
const MISTRAL_WINDOW: usize = 4096;
/// First layer of a Qwen2 that slides when its file does not say.
const QWEN2_WINDOW_LAYERS: usize = 28;

/// `config.json` of a decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LlamaConfig {
    /// Kind of model: `llama`, `mistral` or `qwen2`.
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
    /// Older place of the scaling of rotary angles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_scaling: Option<RopeParameters>,
    /// How far a position looks back (`mistral`, `qwen2`).
    #[serde(default, skip_serializing_if = "Window::is_absent")]
    pub sliding_window: Window,
    /// Whether the window counts (`qwen2`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_sliding_window: Option<bool>,
    /// The first layer that has the window (`qwen2`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_window_layers: Option<usize>,
    /// `full_attention` or `sliding_attention` for each layer, in newer files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer_types: Option<Vec<String>>,
    /// Whether the head is the embedding table.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// Whether all four attention projections have biases (`llama`). A `qwen2` always has them on
    /// query, key and value.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether feed-forward projections have biases (`llama`).
    #[serde(default)]
    pub mlp_bias: bool,
    /// Activation; `silu` is known.
    #[serde(default = "default_activation")]
    pub hidden_act: String,
    /// Keys that must be absent or say the usual.
    #[serde(flatten)]
    pub others: UnlikelyKeys,
}

/// `sliding_window` as a file has it: families differ in what its absence means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Option<usize>", into = "Option<usize>")]
pub enum Window {
    /// The key is not there.
    #[default]
    Absent,
    /// `null`: a position sees all before it.
    Unlimited,
    /// A position sees no more than so many, itself among them.
    Positions(usize),
}

impl Window {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl From<Option<usize>> for Window {
    fn from(written: Option<usize>) -> Self {
        written.map_or(Self::Unlimited, Self::Positions)
    }
}

impl From<Window> for Option<usize> {
    fn from(window: Window) -> Self {
        match window {
            Window::Positions(count) => Some(count),
            Window::Absent | Window::Unlimited => None,
        }
    }
}

fn default_norm_eps() -> f64 {
    1e-6
}

fn default_activation() -> String {
    "silu".to_owned()
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
        let architecture = file.str("general.architecture")?;
        if architecture != "llama" {
            return Err(unsupported(
                origin,
                format!(
                    "GGUF architecture `{architecture}`; `llama` is supported in GGUF files: use \
                     the model's folder in Hugging Face layout"
                ),
            ));
        }
        let number = |key: &str| file.u64(key).map(|value| value as usize);
        let real = |key: &str, default: f64| {
            if file.has_key(key) { file.f64(key) } else { Ok(default) }
        };
        let config = Self {
            model_type: architecture.to_owned(),
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
            rope_scaling: gguf_scaling(file)?,
            sliding_window: Window::Absent,
            use_sliding_window: None,
            max_window_layers: None,
            layer_types: None,
            tie_word_embeddings: tied,
            attention_bias: false,
            mlp_bias: false,
            hidden_act: default_activation(),
            others: UnlikelyKeys::default(),
        };
        config.check(origin)?;
        let turned = "llama.rope.dimension_count";
        if file.has_key(turned) && number(turned)? != config.head_dim() {
            return Err(unsupported(origin, "heads of which only a part turns with the position"));
        }
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
        let newer = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        newer.or(self.rope_theta).unwrap_or(10_000.0)
    }

    /// How rotary angles are scaled. A configuration that was read has a known way.
    pub fn rope_scaling(&self) -> RopeScaling {
        self.checked_scaling().unwrap_or_default()
    }

    fn checked_scaling(&self) -> Result<RopeScaling, String> {
        let written = [&self.rope_parameters, &self.rope_scaling];
        let [newer, older] = written.map(|rope| rope.as_ref().map(RopeParameters::scaling));
        match (newer.transpose()?, older.transpose()?) {
            (Some(newer), Some(older)) if newer != older => {
                Err("`rope_parameters` and `rope_scaling` that differ".to_owned())
            }
            (newer, older) => Ok(newer.or(older).unwrap_or_default()),
        }
    }

    /// How many positions a position of a layer sees at most, itself among them; all before it when
    /// none.
    pub fn window(&self, layer: usize) -> Option<usize> {
        let window = match self.sliding_window {
            Window::Positions(count) => count,
            Window::Absent if self.model_type == "mistral" => MISTRAL_WINDOW,
            Window::Absent | Window::Unlimited => return None,
        };
        let slides = match (&self.layer_types, self.model_type.as_str()) {
            (Some(types), "mistral" | "qwen2") => {
                types.get(layer).is_some_and(|kind| kind == SLIDING)
            }
            (None, "mistral") => true,
            (None, "qwen2") => {
                self.use_sliding_window == Some(true)
                    && layer >= self.max_window_layers.unwrap_or(QWEN2_WINDOW_LAYERS)
            }
            _ => false,
        };
        slides.then_some(window)
    }

    /// Whether a projection has a bias.
    pub fn has_bias(&self, site: Site) -> bool {
        match (self.model_type.as_str(), site) {
            ("qwen2", Site::Q | Site::K | Site::V) => true,
            ("llama", Site::Q | Site::K | Site::V | Site::O) => self.attention_bias,
            ("llama", Site::Gate | Site::Up | Site::Down) => self.mlp_bias,
            _ => false,
        }
    }

    /// Whether the layers can be packed: the fused kernels know neither biases nor windows. A
    /// decoder that has them is computed with the framework's operations.
    pub fn has_fused_layers(&self) -> bool {
        !Site::ALL.into_iter().any(|site| self.has_bias(site))
            && (0..self.num_hidden_layers).all(|layer| self.window(layer).is_none())
    }

    /// Number of frozen values: embedding, layers, norms and an untied head.
    pub fn parameter_count(&self) -> usize {
        let (c, m) = (self.hidden_size, self.intermediate_size);
        let q = self.num_attention_heads * self.head_dim();
        let kv = self.key_heads() * self.head_dim();
        let biases = Site::ALL.into_iter().filter(|&site| self.has_bias(site));
        let biases: usize = biases.map(|site| site.widths(self).1).sum();
        let layer = 2 * c * q + 2 * c * kv + 3 * c * m + 2 * c + biases;
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        self.num_hidden_layers * layer + tables * self.vocab_size * c + c
    }

    pub(crate) fn check(&self, origin: &str) -> Result<(), ModelError> {
        self.fault().map_or(Ok(()), |what| Err(unsupported(origin, what)))
    }

    /// What is not implemented.
    fn fault(&self) -> Option<String> {
        let kind = self.model_type.as_str();
        if !matches!(kind, "llama" | "mistral" | "qwen2") {
            return Some(format!(
                "a decoder of model type `{kind}`; `llama`, `mistral` and `qwen2` are supported"
            ));
        }
        if self.hidden_act != "silu" {
            return Some(format!("activation `{}`; `silu` is supported", self.hidden_act));
        }
        if self.attention_bias && kind == "mistral" || self.mlp_bias && kind != "llama" {
            return Some(format!("biases that a `{kind}` does not have"));
        }
        if let Some(what) = self.others.fault() {
            return Some(what);
        }
        let newer = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        if let (Some(newer), Some(older)) = (newer, self.rope_theta)
            && newer != older
        {
            return Some(format!("two rotary bases, {older} and {newer}"));
        }
        if !(self.rope_base() > 0.0 && self.rope_base().is_finite()) {
            return Some(format!("a rotary base of {}; it must be above 0", self.rope_base()));
        }
        if let Err(what) = self.checked_scaling() {
            return Some(what);
        }
        self.layer_fault().or_else(|| self.size_fault())
    }

    fn layer_fault(&self) -> Option<String> {
        if self.sliding_window == Window::Positions(0) {
            return Some("a sliding window of no positions".to_owned());
        }
        let types = self.layer_types.as_ref()?;
        if types.len() != self.num_hidden_layers {
            let (given, layers) = (types.len(), self.num_hidden_layers);
            return Some(format!("`layer_types` for {given} of {layers} layers"));
        }
        let other = types.iter().find(|kind| !matches!(kind.as_str(), FULL | SLIDING));
        if let Some(other) = other {
            return Some(format!(
                "layers of type `{other}`; `{FULL}` and `{SLIDING}` are supported"
            ));
        }
        let slides = types.iter().any(|kind| kind == SLIDING);
        let has_window = (0..types.len()).any(|layer| self.window(layer).is_some());
        (slides && !has_window)
            .then(|| "layers that slide, without a `sliding_window` that they use".to_owned())
    }

    fn size_fault(&self) -> Option<String> {
        let (heads, key_heads) = (self.num_attention_heads, self.key_heads());
        if heads == 0 || key_heads == 0 || !heads.is_multiple_of(key_heads) {
            return Some(format!("{heads} query heads over {key_heads} key heads"));
        }
        if self.head_dim() == 0 || !self.head_dim().is_multiple_of(2) {
            return Some(format!("heads of width {}: it must be even", self.head_dim()));
        }
        if self.num_hidden_layers == 0 || self.vocab_size == 0 || self.intermediate_size == 0 {
            return Some("a model without layers, vocabulary or feed-forward width".to_owned());
        }
        None
    }
}

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// Keys that most files lack or have at the one value that is implemented.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnlikelyKeys {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantization_config: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_interleaved: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partial_rotary_factor: Option<f64>,
}

impl UnlikelyKeys {
    fn fault(&self) -> Option<String> {
        if let Some(Value::Object(settings)) = &self.quantization_config {
            let method = settings.get("quant_method").and_then(Value::as_str).unwrap_or("any kind");
            return Some(format!(
                "weights quantized by `{method}`; use the model's original weights or a GGUF file"
            ));
        }
        if self.rope_interleaved == Some(true) {
            return Some("interleaved rotary pairs (`rope_interleaved`)".to_owned());
        }
        let partial = self.partial_rotary_factor.filter(|&share| share != 1.0);
        partial.map(|share| format!("heads of which a share of {share} turns with the position"))
    }
}

/// The scaling of rotary angles in a GGUF file. Factors for single pairs stand in a tensor beside
/// the weights.
fn gguf_scaling(file: &GgufFile) -> Result<Option<RopeParameters>, ModelError> {
    let (kind, factor) = ("llama.rope.scaling.type", "llama.rope.scaling.factor");
    let older = "llama.rope.scale_linear";
    if file.has_key(older) {
        return Err(unsupported(
            file.origin(),
            format!("the outdated key `{older}`; convert the model again"),
        ));
    }
    if !file.has_key(kind) || file.str(kind)? == "none" {
        return Ok(None);
    }
    Ok(Some(RopeParameters {
        rope_type: Some(file.str(kind)?.to_owned()),
        factor: if file.has_key(factor) { Some(file.f64(factor)?) } else { None },
        ..RopeParameters::default()
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A small configuration with other settings over it.
    fn config(settings: Value) -> LlamaConfig {
        let mut all = json!({
            "model_type": "llama", "hidden_size": 32, "intermediate_size": 24, "vocab_size": 50,
            "num_hidden_layers": 4, "num_attention_heads": 4,
        });
        let Value::Object(settings) = settings else { panic!("settings are a table") };
        all.as_object_mut().unwrap().extend(settings);
        serde_json::from_value(all).unwrap()
    }

    fn windows(settings: Value) -> Vec<Option<usize>> {
        let config = config(settings);
        config.check("test").unwrap();
        (0..4).map(|layer| config.window(layer)).collect()
    }

    #[test]
    fn each_family_slides_by_its_own_rule() {
        let (all, none) = (vec![Some(7); 4], vec![None; 4]);
        assert_eq!(windows(json!({"model_type": "mistral", "sliding_window": 7})), all);
        assert_eq!(windows(json!({"model_type": "mistral", "sliding_window": null})), none);
        assert_eq!(windows(json!({"model_type": "mistral"})), vec![Some(4096); 4]);
        assert_eq!(windows(json!({"sliding_window": 7})), none);
        let qwen = |use_it: bool| {
            json!({"model_type": "qwen2", "sliding_window": 7,
            "use_sliding_window": use_it, "max_window_layers": 3})
        };
        assert_eq!(windows(qwen(false)), none);
        assert_eq!(windows(qwen(true)), [None, None, None, Some(7)]);
        let (full, sliding) = ("full_attention", "sliding_attention");
        let typed = json!({"model_type": "qwen2", "sliding_window": 7,
            "layer_types": [full, sliding, full, sliding]});
        assert_eq!(windows(typed), [None, Some(7), None, Some(7)]);
    }

    #[test]
    fn biases_and_windows_keep_layers_plain() {
        assert!(config(json!({})).has_fused_layers());
        assert!(
            config(json!({"rope_scaling": {"type": "linear", "factor": 2}})).has_fused_layers()
        );
        for plain in [
            json!({"attention_bias": true}),
            json!({"mlp_bias": true}),
            json!({"model_type": "qwen2"}),
            json!({"model_type": "mistral", "sliding_window": 9}),
        ] {
            assert!(!config(plain.clone()).has_fused_layers(), "{plain}");
        }
        let biased = config(json!({"model_type": "qwen2", "num_key_value_heads": 2}));
        let plain = config(json!({"num_key_value_heads": 2}));
        assert_eq!(biased.parameter_count() - plain.parameter_count(), 4 * (32 + 16 + 16));
    }

    #[test]
    fn what_would_change_the_result_is_refused_by_name() {
        for (settings, part) in [
            (json!({"model_type": "phi3"}), "`phi3`"),
            (json!({"hidden_act": "gelu"}), "`gelu`"),
            (json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}), "`dynamic`"),
            (
                json!({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}),
                "two rotary bases",
            ),
            (json!({"rope_theta": -1.0}), "rotary base"),
            (
                json!({"rope_parameters": {"rope_type": "linear", "factor": 2.0},
                "rope_scaling": {"type": "linear", "factor": 4.0}}),
                "that differ",
            ),
            (json!({"rope_interleaved": true}), "interleaved"),
            (json!({"partial_rotary_factor": 0.5}), "0.5"),
            (json!({"quantization_config": {"quant_method": "awq"}}), "`awq`"),
            (json!({"model_type": "mistral", "sliding_window": 0}), "no positions"),
            (json!({"model_type": "mistral", "attention_bias": true}), "biases"),
            (json!({"layer_types": ["full_attention"]}), "1 of 4"),
            (json!({"layer_types": vec!["chunked_attention"; 4]}), "`chunked_attention`"),
            (json!({"layer_types": vec!["sliding_attention"; 4]}), "without a `sliding_window`"),
            (json!({"head_dim": 7}), "width 7"),
            (json!({"num_key_value_heads": 3}), "4 query heads over 3"),
        ] {
            let message = config(settings).check("the file").unwrap_err().to_string();
            assert!(message.contains(part) && message.contains("the file"), "{message}");
        }
        // As published files have them.
        let harmless = json!({"rope_interleaved": false, "quantization_config": null,
            "rope_scaling": null, "head_dim": null, "pretraining_tp": 1});
        config(harmless).check("the file").unwrap();
    }

    #[test]
    fn a_configuration_survives_being_written() {
        for settings in [
            json!({}),
            json!({"model_type": "mistral", "sliding_window": null}),
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}),
        ] {
            let config = config(settings);
            let again = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
            assert_eq!(config, again);
        }
    }
}
