//! Reading a decoder: as tensors, packed layer by layer, or as its file has it.

use std::sync::Arc;

use burn::tensor::Tensor;
use pefomed_kernels::frozen::{FrozenLinear, Precision, StoredRows, gather};

use super::frozen::{FrozenLayer, FrozenMaps};
use super::keys::KeyStyle;
use super::llama::{Biases, Layers, LlamaDecoder, LlamaLayer};
use super::table::Table;
use crate::adapter::Site;
use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::parameters::Placement;
use crate::weights::Loader;

impl LlamaLayer {
    /// Takes the tensors of a layer.
    fn take(
        config: &LlamaConfig,
        layer: usize,
        loader: &mut Loader<'_>,
        place: &Placement,
        style: KeyStyle,
    ) -> Result<Self, ModelError> {
        let Matrices { q, k, v, o, gate, up, down } =
            Matrices::take(config, layer, style, |name, shape, heads| {
                let values = match heads {
                    Some(heads) => style.take_rotary(loader, name, shape, heads)?,
                    None => loader.take(name, &shape)?,
                };
                Ok(place.tensor(values, shape))
            })?;
        let biases = Biases::take(config, layer, loader, place)?;
        let mut vector = |tensor: &str| -> Result<Tensor<1>, ModelError> {
            let shape = [config.hidden_size];
            Ok(place.tensor(loader.take(&style.layer(layer, tensor), &shape)?, shape))
        };
        Ok(Self {
            input_norm: vector("input_layernorm")?,
            q,
            k,
            v,
            o,
            post_norm: vector("post_attention_layernorm")?,
            gate,
            up,
            down,
            biases,
        })
    }
}

/// Whether a decoder has a head beside its table. A file may repeat a tied head: it counts as taken then,
/// so that it is not reported as left over.
fn has_own_head(
    config: &LlamaConfig,
    loader: &mut Loader<'_>,
    style: KeyStyle,
) -> Result<bool, ModelError> {
    if config.tie_word_embeddings && loader.has(style.head()) {
        loader.pass_over(style.head(), &[config.vocab_size, config.hidden_size])?;
    }
    Ok(!config.tie_word_embeddings)
}

/// The matrices of a layer, `[out, in]` each, in any form.
struct Matrices<W> {
    q: W,
    k: W,
    v: W,
    o: W,
    gate: W,
    up: W,
    down: W,
}

impl<W> Matrices<W> {
    /// Takes them one after the other by name and shape. With queries and keys `take` is told how many
    /// heads they have, since files differ in the order of their rows.
    fn take(
        config: &LlamaConfig,
        layer: usize,
        style: KeyStyle,
        mut take: impl FnMut(&str, [usize; 2], Option<usize>) -> Result<W, ModelError>,
    ) -> Result<Self, ModelError> {
        let (c, m) = (config.hidden_size, config.intermediate_size);
        let (heads, key_heads) = (config.num_attention_heads, config.key_heads());
        let (q, kv) = (heads * config.head_dim(), key_heads * config.head_dim());
        let mut matrix =
            |tensor: &str, shape, heads| take(&style.layer(layer, tensor), shape, heads);
        Ok(Self {
            q: matrix("self_attn.q_proj", [q, c], Some(heads))?,
            k: matrix("self_attn.k_proj", [kv, c], Some(key_heads))?,
            v: matrix("self_attn.v_proj", [kv, c], None)?,
            o: matrix("self_attn.o_proj", [c, q], None)?,
            gate: matrix("mlp.gate_proj", [m, c], None)?,
            up: matrix("mlp.up_proj", [m, c], None)?,
            down: matrix("mlp.down_proj", [c, m], None)?,
        })
    }
}

impl Matrices<Arc<dyn StoredRows>> {
    /// The layer that `linear` makes of them, with its norms.
    fn freeze(
        self,
        config: &LlamaConfig,
        layer: usize,
        loader: &mut Loader<'_>,
        style: KeyStyle,
        mut linear: impl FnMut(Vec<Arc<dyn StoredRows>>) -> FrozenLinear,
    ) -> Result<FrozenLayer, ModelError> {
        let Self { q, k, v, o, gate, up, down } = self;
        let c = config.hidden_size;
        let name = |tensor: &str| style.layer(layer, tensor);
        let maps = FrozenMaps {
            input_norm: loader.take(&name("input_layernorm"), &[c])?,
            qkv: linear(vec![q, k, v]),
            output: linear(vec![o]),
            post_norm: loader.take(&name("post_attention_layernorm"), &[c])?,
            gate_up: linear(vec![gate, up]),
            down: linear(vec![down]),
        };
        Ok(FrozenLayer::of(maps, config))
    }
}

impl Biases {
    /// Takes those that the configuration says there are.
    fn take(
        config: &LlamaConfig,
        layer: usize,
        loader: &mut Loader<'_>,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        let mut all = Self::default();
        for site in Site::ALL.into_iter().filter(|&site| config.has_bias(site)) {
            let shape = [site.widths(config).1];
            let bias = loader.take(&KeyStyle::bias(layer, site), &shape)?;
            all.0[site as usize] = Some(place.tensor(bias, shape));
        }
        Ok(all)
    }
}

impl LlamaDecoder {
    /// Takes the weights and packs each layer before the next is read, so that no more than one is
    /// there twice. A decoder that [`freeze`](Self::freeze) leaves as it is stays so here.
    ///
    /// # Errors
    /// As [`Loader::take`] and [`freeze`](Self::freeze).
    pub(crate) fn packed(
        config: LlamaConfig,
        loader: &mut Loader<'_>,
        place: &Placement,
        style: KeyStyle,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        ModelError::unless_available(precision)?;
        if !can_be_packed(&config, place) {
            return Self::plain(config, loader, place, style);
        }
        config.check(loader.source().origin())?;
        let (c, vocabulary) = (config.hidden_size, config.vocab_size);
        // One buffer for all, as large as the largest needs: what is read and dropped between what is kept
        // would leave gaps, and so would a buffer that grows. The file says first that it has as much.
        let table = [vocabulary, c];
        loader.check(style.embedding(), &table)?;
        let mut rows = vocabulary;
        if config.num_hidden_layers > 0 {
            loader.check(&style.layer(0, "mlp.gate_proj"), &[config.intermediate_size, c])?;
            rows = rows.max(2 * config.intermediate_size);
        }
        let mut scratch = Vec::with_capacity(rows * c);
        let mut layers = Vec::new();
        for layer in 0..config.num_hidden_layers {
            let matrices = Matrices::take(&config, layer, style, |name, shape, heads| {
                style.take_rows(loader, name, shape, heads)
            })?;
            let linear = |parts: Vec<Arc<dyn StoredRows>>| {
                FrozenLinear::packed(&parts, precision, &mut scratch)
            };
            layers.push(matrices.freeze(&config, layer, loader, style, linear)?);
        }
        let mut frozen_head = None;
        // A head of its own comes before the table, so that only one of them is there as numbers.
        if has_own_head(&config, loader, style)? {
            let head = style.take_rows(loader, style.head(), table, None)?;
            frozen_head = Some(FrozenLinear::packed(&[head], precision, &mut scratch));
        }
        scratch.clear();
        gather(&*style.take_rows(loader, style.embedding(), table, None)?, &mut scratch);
        let head = match frozen_head {
            Some(head) => head,
            None => FrozenLinear::new(&[&scratch], c, precision),
        };
        let embedding = place.tensor(scratch, table);
        let norm = place.tensor(loader.take(style.norm(), &[c])?, [c]);
        let rotary_divisors = style.take_rotary_divisors(loader, config.head_dim())?;
        let decoder = Self::from_parts(config, place.clone(), embedding, Vec::new(), norm, None);
        let layers = Layers::Frozen(Arc::new(layers));
        Ok(Self { rotary_divisors, layers, frozen_head: Some(Arc::new(head)), ..decoder })
    }

    /// Takes the weights under Hugging Face names.
    ///
    /// # Errors
    /// As [`Loader::take`]; left-over tensors are for the caller's [`Loader::finish`].
    pub fn from_hugging_face(
        config: LlamaConfig,
        loader: &mut Loader<'_>,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        Self::plain(config, loader, place, KeyStyle::HuggingFace)
    }

    /// Takes the weights under GGUF names; query and key rows are reordered to the half-split
    /// rotary layout.
    ///
    /// # Errors
    /// As [`Loader::take`].
    pub fn from_gguf(
        config: LlamaConfig,
        loader: &mut Loader<'_>,
        place: &Placement,
    ) -> Result<Self, ModelError> {
        Self::plain(config, loader, place, KeyStyle::Gguf)
    }

    /// Takes the weights as tensors, under the names of a style.
    ///
    /// # Errors
    /// As [`Loader::take`].
    pub(crate) fn plain(
        config: LlamaConfig,
        loader: &mut Loader<'_>,
        place: &Placement,
        style: KeyStyle,
    ) -> Result<Self, ModelError> {
        config.check(loader.source().origin())?;
        let (c, vocabulary) = (config.hidden_size, config.vocab_size);
        // No allocation by a number in a file: the layers themselves are taken from it.
        let mut layers = Vec::new();
        for layer in 0..config.num_hidden_layers {
            layers.push(LlamaLayer::take(&config, layer, loader, place, style)?);
        }
        let table = [vocabulary, c];
        let embedding = place.tensor(loader.take(style.embedding(), &table)?, table);
        let mut head = None;
        if has_own_head(&config, loader, style)? {
            head = Some(place.tensor(loader.take(style.head(), &table)?, table));
        }
        let norm = place.tensor(loader.take(style.norm(), &[c])?, [c]);
        let rotary_divisors = style.take_rotary_divisors(loader, config.head_dim())?;
        let decoder = Self::from_parts(config, place.clone(), embedding, layers, norm, head);
        Ok(Self { rotary_divisors, ..decoder })
    }

    /// Takes the weights as they are stored, and leaves them so: quantized weights stay quantized, and
    /// are turned into numbers while they are multiplied. For the processor.
    ///
    /// # Errors
    /// As [`Loader::take_stored`]; [`ModelError::Unsupported`] for a decoder that has no fused layers
    /// ([`LlamaConfig::has_fused_layers`]).
    pub(crate) fn stored(
        config: LlamaConfig,
        loader: &mut Loader<'_>,
        place: &Placement,
        style: KeyStyle,
    ) -> Result<Self, ModelError> {
        let origin = loader.source().origin().to_owned();
        config.check(&origin)?;
        if !config.has_fused_layers() {
            let what = "`precision = \"stored\"` for a decoder with biases or windows".to_owned();
            return Err(ModelError::Unsupported { origin, what });
        }
        let (c, vocabulary) = (config.hidden_size, config.vocab_size);
        let mut layers = Vec::new();
        for layer in 0..config.num_hidden_layers {
            let matrices =
                Matrices::take(&config, layer, style, |name, shape, heads| match heads {
                    Some(heads) => style.take_rotary_stored(loader, name, shape, heads),
                    None => loader.take_stored(name, shape),
                })?;
            let linear = FrozenLinear::stored;
            layers.push(matrices.freeze(&config, layer, loader, style, linear)?);
        }
        let embedding = loader.take_stored(style.embedding(), [vocabulary, c])?;
        let head = if has_own_head(&config, loader, style)? {
            loader.take_stored(style.head(), [vocabulary, c])?
        } else {
            embedding.clone()
        };
        let norm = place.tensor(loader.take(style.norm(), &[c])?, [c]);
        let rotary_divisors = style.take_rotary_divisors(loader, config.head_dim())?;
        Ok(Self {
            config,
            place: place.clone(),
            rotary_divisors,
            embedding: Table::Stored(embedding),
            layers: Layers::Frozen(Arc::new(layers)),
            norm,
            head: None,
            frozen_head: Some(Arc::new(FrozenLinear::stored(vec![head]))),
            checkpointing: false,
        })
    }

    /// Whether a left-over tensor of a decoder's file may be ignored.
    pub fn ignorable(name: &str) -> bool {
        KeyStyle::ignorable(name)
    }
}

/// Whether there are kernels for packed layers.
pub(super) fn can_be_packed(config: &LlamaConfig, place: &Placement) -> bool {
    place.has_kernels() && config.has_fused_layers()
}
