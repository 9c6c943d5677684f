//! The folder that PEFT writes and reads: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::BTreeMap;
use std::path::Path;

use pefomed_data::files;
use serde::Deserialize;
use serde_json::json;

use super::lora::{LoraAdapter, LoraConfig, Pair, Site};
use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::parameters::{Placement, Trainable as _};
use crate::weights::{Loader, SafetensorsFile, TensorValues, write_safetensors};

/// The file of the settings; a folder without it is no adapter.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// The file of the matrices.
pub const WEIGHTS_FILE: &str = "adapter_model.safetensors";
const PREFIX: &str = "base_model.model.";

/// The keys of `adapter_config.json` that decide what is computed.
#[derive(Deserialize)]
struct PeftConfig {
    peft_type: String,
    r: usize,
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Vec<String>,
    #[serde(default)]
    bias: Option<String>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    rank_pattern: BTreeMap<String, usize>,
    #[serde(default)]
    alpha_pattern: BTreeMap<String, f64>,
    #[serde(default)]
    alora_invocation_tokens: Option<serde_json::Value>,
}

impl LoraAdapter {
    /// Writes the adapter as PEFT does. `base` names the decoder it belongs to.
    ///
    /// # Errors
    /// [`ModelError::Data`] when a file cannot be written.
    pub fn write_peft(&mut self, folder: &Path, base: &str) -> Result<(), ModelError> {
        let config = self.config().clone();
        let tensors: Vec<(String, Vec<usize>, TensorValues)> = self
            .parameters()
            .into_iter()
            .map(|(name, parameter)| {
                let values = TensorValues::F32(parameter.values());
                (format!("{PREFIX}{name}"), parameter.shape(), values)
            })
            .collect();
        write_peft_folder(folder, base, &config, &tensors)
    }

    /// Reads an adapter that PEFT or this crate wrote for a decoder of this configuration. Names
    /// with `.default.` in them, as checkpoints of a live model have, are accepted.
    ///
    /// # Errors
    /// [`ModelError::Unsupported`] for a kind of adapter that is not implemented; a missing,
    /// misshapen or left-over tensor as [`Loader`] reports it.
    pub fn read_peft(
        folder: &Path,
        decoder: &LlamaConfig,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        let config = read_lora_config(folder)?;
        let file = SafetensorsFile::open(&folder.join(WEIGHTS_FILE))?;
        let mut loader = Loader::new(&file);
        let mut layers = Vec::with_capacity(decoder.num_hidden_layers);
        for layer in 0..decoder.num_hidden_layers {
            let mut pairs = BTreeMap::new();
            for &site in &config.targets {
                let (input, output) = site.widths(decoder);
                let mut matrix = |which: &str, shape: [usize; 2]| -> Result<_, ModelError> {
                    let name = format!("{PREFIX}{}", Self::key(layer, site, which));
                    let live = name.replace(".weight", ".default.weight");
                    let name = if loader.has(&live) { live } else { name };
                    Ok(place.tensor(loader.take(&name, &shape)?, shape))
                };
                let a = matrix("A", [config.rank, input])?;
                let b = matrix("B", [output, config.rank])?;
                pairs.insert(site, Pair { a, b });
            }
            layers.push(pairs);
        }
        loader.finish(&|_| false)?;
        Ok(Self::from_layers(config, layers))
    }
}

/// Writes an adapter folder: tensors under PEFT's names, then the configuration.
pub(crate) fn write_peft_folder(
    folder: &Path,
    base: &str,
    config: &LoraConfig,
    tensors: &[(String, Vec<usize>, TensorValues)],
) -> Result<(), ModelError> {
    let targets: Vec<&str> = config.targets.iter().map(|site| site.name()).collect();
    let document = json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout,
        "target_modules": targets,
        "bias": "none",
        "fan_in_fan_out": false,
        "inference_mode": true,
        "init_lora_weights": true,
        "modules_to_save": null,
        "use_rslora": false,
        "use_dora": false,
    });
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    write_safetensors(&folder.join(WEIGHTS_FILE), tensors, &metadata)?;
    files::write_json(&folder.join(CONFIG_FILE), &document)?;
    Ok(())
}

/// Reads the settings of an adapter folder.
pub(crate) fn read_lora_config(folder: &Path) -> Result<LoraConfig, ModelError> {
    let path = folder.join(CONFIG_FILE);
    let peft: PeftConfig = files::read_json(&path)?;
    peft.to_lora(&path.display().to_string())
}

impl PeftConfig {
    fn to_lora(&self, origin: &str) -> Result<LoraConfig, ModelError> {
        let refuse = |what: String| ModelError::Unsupported { origin: origin.to_owned(), what };
        if self.peft_type != "LORA" {
            return Err(refuse(format!("adapter type `{}`; `LORA` is supported", self.peft_type)));
        }
        if self.use_rslora || self.use_dora {
            return Err(refuse("rank-stabilised or weight-decomposed LoRA".to_owned()));
        }
        if !self.rank_pattern.is_empty() || !self.alpha_pattern.is_empty() {
            return Err(refuse("ranks or alphas that differ from layer to layer".to_owned()));
        }
        if self.bias.as_deref().is_some_and(|bias| bias != "none") {
            return Err(refuse("trained biases".to_owned()));
        }
        if self.alora_invocation_tokens.is_some() {
            return Err(refuse("an adapter that only acts after invocation tokens".to_owned()));
        }
        if self.r == 0 {
            return Err(refuse("rank 0".to_owned()));
        }
        let mut targets = Vec::new();
        for name in &self.target_modules {
            targets.push(name.parse::<Site>().map_err(refuse)?);
        }
        targets.sort();
        targets.dedup();
        Ok(LoraConfig { rank: self.r, alpha: self.lora_alpha, dropout: self.lora_dropout, targets })
    }
}
