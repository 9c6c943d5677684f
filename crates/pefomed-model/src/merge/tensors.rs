//! The tensors of a base under Hugging Face names, and their sums with an adapter's updates.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use pefomed_data::files;
use serde_json::{Map, json};

use super::MergeOptions;
use crate::adapter::{LoraAdapter, Site};
use crate::base::ModelFiles;
use crate::config::LlamaConfig;
use crate::decoder::{KeyStyle, LlamaDecoder};
use crate::error::ModelError;
use crate::parameters::read;
use crate::weights::{TensorHead, TensorSource, rotary_pairs_to_halves, write_one_by_one};

/// A tensor of the base.
struct Tensor {
    /// As Hugging Face calls it.
    name: String,
    /// As the base calls it.
    stored: String,
    shape: Vec<usize>,
    /// The projection it is the weight of.
    site: Option<(usize, Site)>,
    /// Heads whose rows are to be brought into the half-split layout.
    rotary: Option<usize>,
}

/// All tensors of a base, in the order they are written in.
pub(super) struct Tensors<'a> {
    source: &'a dyn TensorSource,
    list: Vec<Tensor>,
}

/// What was written.
pub(super) struct Written {
    pub(super) files: Vec<String>,
    pub(super) changed: usize,
}

impl<'a> Tensors<'a> {
    /// Finds every tensor of the base and what it is.
    ///
    /// # Errors
    /// [`ModelError::TensorsLeftOver`] for tensors of a GGUF file that have no place.
    pub(super) fn of(
        base: &ModelFiles,
        source: &'a dyn TensorSource,
        config: &LlamaConfig,
    ) -> Result<Self, ModelError> {
        let names = names_by_storage(matches!(base, ModelFiles::Gguf(_)), config);
        let mut list = Vec::new();
        let mut left = Vec::new();
        for stored in source.names() {
            if LlamaDecoder::ignorable(stored) {
                continue;
            }
            let Some(known) = names.get(stored) else {
                left.push(stored.to_owned());
                continue;
            };
            // A tied head is the embedding table, which is written once.
            if config.tie_word_embeddings && known.name == KeyStyle::HuggingFace.head() {
                continue;
            }
            list.push(Tensor {
                name: known.name.clone(),
                stored: stored.to_owned(),
                shape: source.shape(stored).unwrap_or_default().to_vec(),
                site: known.site,
                rotary: known.rotary,
            });
        }
        if !left.is_empty() {
            let (origin, count) = (source.origin().to_owned(), left.len());
            left.truncate(10);
            return Err(ModelError::TensorsLeftOver { origin, count, names: left });
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { source, list })
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Number of values.
    pub(super) fn values(&self) -> usize {
        self.list.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }

    /// Writes one file, or shards and their list when one would be too large.
    pub(super) fn write(
        &self,
        out: &Path,
        lora: &LoraAdapter,
        options: &MergeOptions,
    ) -> Result<Written, ModelError> {
        let width = (options.dtype.dtype().bitsize() / 8) as u64;
        let bytes = |tensor: &Tensor| tensor.shape.iter().product::<usize>() as u64 * width;
        let mut shards: Vec<Vec<&Tensor>> = vec![Vec::new()];
        let (mut filled, mut total) = (0, 0);
        for tensor in &self.list {
            let size = bytes(tensor);
            if filled > 0 && filled + size > options.shard_bytes {
                shards.push(Vec::new());
                filled = 0;
            }
            filled += size;
            total += size;
            if let Some(shard) = shards.last_mut() {
                shard.push(tensor);
            }
        }
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let (mut names, mut places, mut changed) = (Vec::new(), Map::new(), 0);
        let count = shards.len();
        for (number, shard) in shards.iter().enumerate() {
            let name = match count {
                1 => "model.safetensors".to_owned(),
                _ => format!("model-{:05}-of-{count:05}.safetensors", number + 1),
            };
            let heads: Vec<TensorHead> = shard
                .iter()
                .map(|tensor| (tensor.name.clone(), tensor.shape.clone(), options.dtype.dtype()))
                .collect();
            write_one_by_one(&out.join(&name), &heads, &metadata, |index| {
                let tensor = shard[index];
                let (values, updated) = self.merged(tensor, lora)?;
                changed += usize::from(updated);
                options.dtype.encode(&values).map(Cow::Owned).ok_or_else(|| ModelError::TooLarge {
                    name: tensor.name.clone(),
                    dtype: options.dtype.name(),
                })
            })?;
            for tensor in shard {
                places.insert(tensor.name.clone(), json!(name));
            }
            names.push(name);
        }
        if count > 1 {
            let name = "model.safetensors.index.json";
            let index = json!({"metadata": {"total_size": total}, "weight_map": places});
            files::write_json(&out.join(name), &index)?;
            names.push(name.to_owned());
        }
        Ok(Written { files: names, changed })
    }

    /// Values of a tensor with its update, and whether there is one.
    fn merged(&self, tensor: &Tensor, lora: &LoraAdapter) -> Result<(Vec<f32>, bool), ModelError> {
        let mut values = self.source.read_f32(&tensor.stored)?;
        if let Some(heads) = tensor.rotary {
            let rows = tensor.shape.first().copied().unwrap_or(0);
            values = rotary_pairs_to_halves(&values, rows, heads).ok_or_else(|| {
                ModelError::Unsupported {
                    origin: self.source.origin().to_owned(),
                    what: format!("`{}` of {rows} rows over {heads} heads", tensor.stored),
                }
            })?;
        }
        let pair = tensor.site.and_then(|(layer, site)| lora.matrices(layer, site));
        let Some([a, b]) = pair else {
            return Ok((values, false));
        };
        let expected = vec![b.dims()[0], a.dims()[1]];
        if tensor.shape != expected {
            return Err(ModelError::TensorShape {
                origin: self.source.origin().to_owned(),
                name: tensor.stored.clone(),
                expected,
                found: tensor.shape.clone(),
            });
        }
        let update = read(b.matmul(a));
        let scale = lora.config().scale() as f32;
        for (value, update) in values.iter_mut().zip(update) {
            *value += scale * update;
        }
        Ok((values, true))
    }
}

/// What a stored tensor is.
struct Known {
    name: String,
    site: Option<(usize, Site)>,
    rotary: Option<usize>,
}

/// Every tensor that a decoder of this configuration has, by its name in the base.
fn names_by_storage(gguf: bool, config: &LlamaConfig) -> BTreeMap<String, Known> {
    let style = if gguf { KeyStyle::Gguf } else { KeyStyle::HuggingFace };
    let plain = |name: &str| Known { name: name.to_owned(), site: None, rotary: None };
    let ours = KeyStyle::HuggingFace;
    let mut names = BTreeMap::from([
        (style.embedding().to_owned(), plain(ours.embedding())),
        (style.norm().to_owned(), plain(ours.norm())),
        (style.head().to_owned(), plain(ours.head())),
    ]);
    for layer in 0..config.num_hidden_layers {
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            names.insert(style.layer(layer, norm), plain(&ours.layer(layer, norm)));
        }
        for site in Site::ALL {
            let module = site.module();
            let heads = match site {
                Site::Q => Some(config.num_attention_heads),
                Site::K => Some(config.key_heads()),
                _ => None,
            };
            let known = Known {
                name: ours.layer(layer, &module),
                site: Some((layer, site)),
                rotary: heads.filter(|_| gguf),
            };
            names.insert(style.layer(layer, &module), known);
        }
    }
    names
}
