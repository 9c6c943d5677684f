//! The LLaMA decoder: RMSNorm, grouped-query attention with rotary embedding, SwiGLU
//! (arXiv 2302.13971, 2307.09288); and its kin, which add biases (Qwen2, arXiv 2407.10671) or limit
//! how far a position looks back (Mistral, arXiv 2310.06825).

use std::sync::Arc;

use burn::tensor::activation::silu;
use burn::tensor::{DType, Int, Tensor, TensorData};
use pefomed_data::PackedBatch;
use pefomed_data::pack::TreeSpan;
use pefomed_kernels::attention::{TreeAttention, TreeRanges};
use pefomed_kernels::cross_entropy::cross_entropy_sum;
use pefomed_kernels::dropout::Dropout;
use pefomed_kernels::frozen::{FrozenLinear, Precision};
use pefomed_kernels::fused::{AttentionLayout, RotaryTable, TargetLoss};
use pefomed_kernels::host_function;
use pefomed_kernels::norm::rms_norm;
use pefomed_kernels::rotary::Rotary;

use super::DecodeCache;
use super::frozen::{Batch, FrozenLayer};
use super::keys::KeyStyle;
use super::load::can_be_packed;
use super::table::Table;
use crate::adapter::{LoraAdapter, Site};
use crate::config::LlamaConfig;
use crate::error::ModelError;
use crate::parameters::{Parameter, Placement, Trainable, read};

/// Tensors of one layer; projections are `[out, in]`.
#[derive(Clone, Debug)]
pub(super) struct LlamaLayer {
    pub(super) input_norm: Tensor<1>,
    pub(super) q: Tensor<2>,
    pub(super) k: Tensor<2>,
    pub(super) v: Tensor<2>,
    pub(super) o: Tensor<2>,
    pub(super) post_norm: Tensor<1>,
    pub(super) gate: Tensor<2>,
    pub(super) up: Tensor<2>,
    pub(super) down: Tensor<2>,
    pub(super) biases: Biases,
}

/// Biases of a layer's projections, `[out]` each, in the order of [`Site::ALL`].
#[derive(Clone, Debug, Default)]
pub(super) struct Biases(pub(super) [Option<Tensor<1>>; Site::ALL.len()]);

impl Biases {
    /// As many, all zero.
    pub(super) fn zeros(config: &LlamaConfig, place: &Placement) -> Self {
        let zeros = |site: Site| {
            let width = site.widths(config).1;
            config.has_bias(site).then(|| place.tensor(vec![0.0; width], [width]))
        };
        Self(Site::ALL.map(zeros))
    }

    fn at(&self, site: Site) -> Option<&Tensor<1>> {
        self.0[site as usize].as_ref()
    }
}

/// A decoder with its frozen (or, for training a base, trainable) weights.
#[derive(Clone, Debug)]
pub struct LlamaDecoder {
    pub(super) config: LlamaConfig,
    pub(super) place: Placement,
    /// Divisors of the rotary frequencies, `[D/2]`, which GGUF files store as a tensor.
    pub(super) rotary_divisors: Option<Vec<f32>>,
    pub(super) embedding: Table,
    pub(super) layers: Layers,
    pub(super) norm: Tensor<1>,
    pub(super) head: Option<Tensor<2>>,
    /// The head once more, packed with the layers.
    pub(super) frozen_head: Option<Arc<FrozenLinear>>,
    pub(super) checkpointing: bool,
}

/// The layers, as tensors of the framework or packed.
#[derive(Clone, Debug)]
pub(super) enum Layers {
    /// For every device, every precision, and for training the decoder itself.
    Plain(Vec<LlamaLayer>),
    /// For the processor, in float32 or bfloat16, frozen.
    Frozen(Arc<Vec<FrozenLayer>>),
}

/// What a forward pass needs to know of a batch besides its embeddings.
pub struct DecoderBatch {
    layout: Layout,
    dropout: Option<Dropout>,
    only: Option<Arc<[usize]>>,
}

impl DecoderBatch {
    /// The batch with the hidden states of some rows alone, in their order: a packed last layer computes
    /// no others.
    #[must_use = "the batch is returned"]
    pub fn only(self, rows: Vec<usize>) -> Self {
        Self { only: Some(rows.into()), ..self }
    }

    /// The batch with the hidden states that the targets are predicted from.
    #[must_use = "the batch is returned"]
    pub fn only_targets(self, batch: &PackedBatch) -> Self {
        self.only(batch.targets.iter().map(|target| target.position).collect())
    }
}

/// Angles and ranges, for the kind of layers there is.
enum Layout {
    /// With the ranges of each layer: windows may differ.
    Plain(Box<(Rotary, Vec<TreeAttention>)>),
    Frozen(Arc<AttentionLayout>),
}

impl LlamaDecoder {
    pub(super) fn from_parts(
        config: LlamaConfig,
        place: Placement,
        embedding: Tensor<2>,
        layers: Vec<LlamaLayer>,
        norm: Tensor<1>,
        head: Option<Tensor<2>>,
    ) -> Self {
        Self {
            config,
            place,
            rotary_divisors: None,
            embedding: Table::Tensor(Box::new(embedding)),
            layers: Layers::Plain(layers),
            norm,
            head,
            frozen_head: None,
            checkpointing: false,
        }
    }

    /// Packs the layers for good: they are computed faster and can no longer be trained. Only the
    /// processor has kernels for this, and only for some layers
    /// ([`LlamaConfig::has_fused_layers`]), so that a decoder elsewhere, of another kind, or in
    /// double precision, stays as it is.
    ///
    /// # Errors
    /// [`ModelError::Precision`] when this processor lacks the instructions.
    #[must_use = "the packed decoder is returned"]
    pub fn freeze(self, precision: Precision) -> Result<Self, ModelError> {
        if self.frozen_head.is_some() {
            return Ok(self);
        }
        ModelError::unless_available(precision)?;
        let fused = can_be_packed(&self.config, &self.place);
        let layers = match self.layers {
            Layers::Plain(layers) if fused => {
                let pack = |layer| FrozenLayer::new(layer, &self.config, precision);
                Layers::Frozen(Arc::new(layers.into_iter().map(pack).collect()))
            }
            other => other,
        };
        Ok(Self { layers, ..self }.with_packed_head(precision))
    }

    /// Packs the head if the layers are packed; it then replaces one that is no embedding table.
    fn with_packed_head(self, precision: Precision) -> Self {
        if matches!(self.layers, Layers::Plain(_)) {
            return self;
        }
        let head = read(self.head());
        let packed = FrozenLinear::new(&[&head], self.config.hidden_size, precision);
        Self { head: None, frozen_head: Some(Arc::new(packed)), ..self }
    }

    /// Lets layers keep their inputs alone in training, and compute the rest once more in the
    /// backward pass. Only fused layers do so: see [`packed_bytes`](Self::packed_bytes).
    #[must_use = "the decoder is returned"]
    pub fn with_checkpointing(self, checkpointing: bool) -> Self {
        Self { checkpointing, ..self }
    }

    /// Bytes of the packed layers and head; none when they are not packed.
    pub fn packed_bytes(&self) -> Option<usize> {
        match &self.layers {
            Layers::Plain(_) => None,
            Layers::Frozen(layers) => {
                let head = self.frozen_head.iter().map(|head| head.bytes()).sum::<usize>();
                Some(head + layers.iter().map(FrozenLayer::bytes).sum::<usize>())
            }
        }
    }

    /// What packed layers round factors to, which products beside them may do as well; none where nothing is
    /// rounded.
    pub(crate) fn rounds_to(&self) -> Option<Precision> {
        match &self.layers {
            Layers::Plain(_) => None,
            Layers::Frozen(layers) => {
                let precision = layers.first().map(FrozenLayer::precision);
                precision.filter(|precision| *precision != Precision::Float32)
            }
        }
    }

    /// The configuration.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Where the weights live.
    pub fn place(&self) -> &Placement {
        &self.place
    }

    /// Rows of the embedding table, `[T, C]`, for token ids below the vocabulary size.
    pub fn embed(&self, tokens: &[u32]) -> Tensor<2> {
        self.embedding.rows(tokens, &self.place)
    }

    /// Whether a prefill can take positions as [known](super::KnownPrompt).
    pub(crate) fn takes_known(&self) -> bool {
        matches!(self.layers, Layers::Frozen(_))
    }

    /// Prepares what all layers need to know of a packed batch.
    pub fn batch(&self, batch: &PackedBatch, dropout: Option<Dropout>) -> DecoderBatch {
        self.batch_after(0, batch, dropout)
    }

    /// As [`batch`](Self::batch), where the first positions are known.
    pub(crate) fn batch_after(
        &self,
        known: usize,
        batch: &PackedBatch,
        dropout: Option<Dropout>,
    ) -> DecoderBatch {
        let ranges: Vec<TreeRanges> = batch.trees.iter().map(ranges).collect();
        let layout = match &self.layers {
            Layers::Plain(layers) => {
                let all = TreeAttention::new(&ranges, &self.place.device);
                let attention = (0..layers.len()).map(|layer| match self.config.window(layer) {
                    Some(window) => {
                        TreeAttention::with_window(&ranges, Some(window), &self.place.device)
                    }
                    None => all.clone(),
                });
                let attention = attention.collect();
                Layout::Plain(Box::new((self.rotary(&batch.positions), attention)))
            }
            Layers::Frozen(_) => {
                let rotary = self.rotary_table(&batch.positions[known..]);
                Layout::Frozen(Arc::new(AttentionLayout::after(known, ranges, rotary)))
            }
        };
        DecoderBatch { layout, dropout, only: None }
    }

    fn rotary(&self, positions: &[u32]) -> Rotary {
        let Placement { device, dtype } = &self.place;
        let frequencies = self.frequencies(*dtype == DType::F64);
        Rotary::with_frequencies(positions, &frequencies, device, *dtype)
    }

    fn rotary_table(&self, positions: &[u32]) -> RotaryTable {
        RotaryTable::with_frequencies(positions, &self.frequencies(false))
    }

    /// Angle per position of each pair of a head.
    fn frequencies(&self, is_double: bool) -> Vec<f64> {
        let (dim, base) = (self.config.head_dim(), self.config.rope_base());
        let mut all = self.config.rope_scaling().frequencies(dim, base, is_double);
        for (frequency, &divisor) in all.iter_mut().zip(self.rotary_divisors.iter().flatten()) {
            *frequency /= f64::from(divisor);
        }
        all
    }

    /// Hidden states after the last norm of embedded positions `[T, C]`: `[T, C]`, or `[S, C]` of the
    /// rows that the batch [chooses](DecoderBatch::only). A cache takes the keys and values of every layer.
    pub fn forward(
        &self,
        embedded: Tensor<2>,
        batch: &DecoderBatch,
        adapter: Option<&LoraAdapter>,
        mut cache: Option<&mut DecodeCache>,
    ) -> Tensor<2> {
        let (dropout, only) = (batch.dropout.as_ref(), batch.only.as_ref());
        let mut x = embedded;
        match (&self.layers, &batch.layout) {
            (Layers::Plain(layers), Layout::Plain(layout)) => {
                let (rotary, attention) = &**layout;
                for (index, layer) in layers.iter().enumerate() {
                    let place = Place { layer, index, adapter, dropout };
                    let (q, k, v) = self.project(place, x.clone(), rotary);
                    if let Some(cache) = &mut cache {
                        cache.push(&k, &v);
                    }
                    let mixed = attention[index].forward(q, k, v);
                    x = self.finish_layer(place, x, mixed);
                }
                let x = self.last_norm(x);
                match only {
                    Some(rows) => self.rows(x, rows),
                    None => x,
                }
            }
            (Layers::Frozen(layers), Layout::Frozen(layout)) => {
                for (index, layer) in layers.iter().enumerate() {
                    let only = only.filter(|_| index + 1 == layers.len());
                    let batch = Batch { layout, adapter, dropout, only };
                    if let Some(cache) = &mut cache {
                        let earlier = cache.earlier(index);
                        let (out, keys_and_values) =
                            layer.prefill(index, x, batch, earlier, &self.place);
                        cache.push_frozen(keys_and_values);
                        x = out;
                    } else {
                        x = layer.forward(index, x, batch, self.checkpointing);
                    }
                }
                self.last_norm(x)
            }
            _ => unreachable!("a batch is laid out for the decoder that made it"),
        }
    }

    fn last_norm(&self, x: Tensor<2>) -> Tensor<2> {
        rms_norm(x, self.norm.clone(), self.config.rms_norm_eps)
    }

    /// One step of decoding for the rows of `cache`: hidden states `[B, C]` after the last norm for
    /// embedded tokens `[B, C]`.
    pub(crate) fn decode(
        &self,
        embedded: Tensor<2>,
        cache: &mut DecodeCache,
        adapter: Option<&LoraAdapter>,
    ) -> Tensor<2> {
        let positions = cache.begin_step();
        let mut x = embedded;
        match &self.layers {
            Layers::Plain(layers) => {
                let rotary = self.rotary(&positions);
                for (index, layer) in layers.iter().enumerate() {
                    let place = Place { layer, index, adapter, dropout: None };
                    let (q, k, v) = self.project(place, x.clone(), &rotary);
                    let mixed = cache.attend(index, self.config.window(index), &q, (&k, &v));
                    x = self.finish_layer(place, x, mixed);
                }
            }
            Layers::Frozen(layers) => {
                let rotary = self.rotary_table(&positions);
                for (index, layer) in layers.iter().enumerate() {
                    let cache = cache.frozen(index);
                    x = layer.decode(index, x, &rotary, cache, adapter, &self.place);
                }
            }
        }
        self.last_norm(x)
    }

    /// Queries `[T, H, D]`, keys and values `[T, K, D]` of a layer, turned to their positions.
    fn project(
        &self,
        place: Place<'_>,
        x: Tensor<2>,
        rotary: &Rotary,
    ) -> (Tensor<3>, Tensor<3>, Tensor<3>) {
        let layer = place.layer;
        let [length, _] = x.dims();
        let (heads, key_heads) = (self.config.num_attention_heads, self.config.key_heads());
        let dim = self.config.head_dim();
        let normed = rms_norm(x, layer.input_norm.clone(), self.config.rms_norm_eps);
        let linear = |site, weight: &Tensor<2>| place.linear(normed.clone(), weight, site);
        let q = linear(Site::Q, &layer.q).reshape([length, heads, dim]);
        let k = linear(Site::K, &layer.k).reshape([length, key_heads, dim]);
        let v = linear(Site::V, &layer.v).reshape([length, key_heads, dim]);
        (rotary.apply(q), rotary.apply(k), v)
    }

    /// Output projection, feed-forward network and both residuals of a layer.
    fn finish_layer(&self, place: Place<'_>, x: Tensor<2>, mixed: Tensor<2>) -> Tensor<2> {
        let layer = place.layer;
        let x = x + place.linear(mixed, &layer.o, Site::O);
        let normed = rms_norm(x.clone(), layer.post_norm.clone(), self.config.rms_norm_eps);
        let gate = silu(place.linear(normed.clone(), &layer.gate, Site::Gate));
        let up = place.linear(normed, &layer.up, Site::Up);
        x + place.linear(gate * up, &layer.down, Site::Down)
    }

    /// The head, `[V, C]`.
    pub fn head(&self) -> Tensor<2> {
        self.head.clone().unwrap_or_else(|| self.embedding.tensor(&self.place))
    }

    /// Some rows of hidden states `[T, C]`.
    fn rows(&self, hidden: Tensor<2>, rows: &[usize]) -> Tensor<2> {
        let ids: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let data = TensorData::new(ids, [rows.len()]);
        hidden.select(0, Tensor::<1, Int>::from_data(data, &self.place.device))
    }

    /// Sum of the loss over the targets of a batch, `[1]`, from the hidden states that they are predicted
    /// from, `[S, C]` ([`DecoderBatch::only_targets`]). The batch must have a target.
    pub fn target_loss(&self, hidden: Tensor<2>, batch: &PackedBatch) -> Tensor<1> {
        let tokens: Vec<u32> = batch.targets.iter().map(|target| target.token).collect();
        if let Some(head) = &self.frozen_head {
            let loss = TargetLoss::new(head.clone(), tokens);
            return host_function::apply(Arc::new(loss), hidden, Vec::new()).reshape([1]);
        }
        cross_entropy_sum(hidden, self.head(), &tokens)
    }

    /// Logits `[T, V]` of hidden states `[T, C]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        if let Some(head) = &self.frozen_head {
            let [rows, _] = hidden.dims();
            let mut logits = vec![0.0; rows * head.outputs()];
            head.forward(&read(hidden), &mut logits, false);
            return self.place.tensor(logits, [rows, head.outputs()]);
        }
        hidden.matmul(self.head().transpose())
    }
}

/// A layer, and what is adapted in it.
#[derive(Clone, Copy)]
struct Place<'a> {
    layer: &'a LlamaLayer,
    index: usize,
    adapter: Option<&'a LoraAdapter>,
    dropout: Option<&'a Dropout>,
}

impl Place<'_> {
    /// `x · weightᵀ`, the bias and the adapter's share if there are such at this site.
    fn linear(self, x: Tensor<2>, weight: &Tensor<2>, site: Site) -> Tensor<2> {
        let base = x.clone().matmul(weight.clone().transpose());
        let base = match self.layer.biases.at(site) {
            Some(bias) => base + bias.clone().unsqueeze(),
            None => base,
        };
        match self.adapter {
            Some(adapter) => adapter.apply(base, x, self.index, site, self.dropout),
            None => base,
        }
    }
}

fn ranges(tree: &TreeSpan) -> TreeRanges {
    TreeRanges {
        root: tree.root.clone(),
        branches: tree.branches.iter().map(|branch| branch.range.clone()).collect(),
    }
}

impl Trainable for LlamaDecoder {
    fn parameters(&mut self) -> Vec<(String, Parameter<'_>)> {
        let style = KeyStyle::HuggingFace;
        let mut all = Vec::new();
        if let Table::Tensor(table) = &mut self.embedding {
            all.push((style.embedding().to_owned(), Parameter::Matrix(table)));
        }
        // Packed layers have nothing that could be trained.
        let layers = match &mut self.layers {
            Layers::Plain(layers) => &mut layers[..],
            Layers::Frozen(_) => &mut [],
        };
        for (index, layer) in layers.iter_mut().enumerate() {
            let mut matrix = |name: &str, tensor| {
                all.push((style.layer(index, name), Parameter::Matrix(tensor)));
            };
            matrix("self_attn.q_proj", &mut layer.q);
            matrix("self_attn.k_proj", &mut layer.k);
            matrix("self_attn.v_proj", &mut layer.v);
            matrix("self_attn.o_proj", &mut layer.o);
            matrix("mlp.gate_proj", &mut layer.gate);
            matrix("mlp.up_proj", &mut layer.up);
            matrix("mlp.down_proj", &mut layer.down);
            let mut vector = |name: &str, tensor| {
                all.push((style.layer(index, name), Parameter::Vector(tensor)));
            };
            vector("input_layernorm", &mut layer.input_norm);
            vector("post_attention_layernorm", &mut layer.post_norm);
            for (site, bias) in Site::ALL.into_iter().zip(&mut layer.biases.0) {
                if let Some(bias) = bias {
                    all.push((KeyStyle::bias(index, site), Parameter::Vector(bias)));
                }
            }
        }
        all.push((style.norm().to_owned(), Parameter::Vector(&mut self.norm)));
        if let Some(head) = &mut self.head {
            all.push((style.head().to_owned(), Parameter::Matrix(head)));
        }
        all
    }
}
