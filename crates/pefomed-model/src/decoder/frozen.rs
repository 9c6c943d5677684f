//! Decoder layers whose weights were packed for good, on the processor.

use std::sync::Arc;

use burn::tensor::Tensor;
use pefomed_kernels::dropout::Dropout;
use pefomed_kernels::frozen::{FrozenLinear, Precision};
use pefomed_kernels::fused::{
    AttentionHalf, AttentionLayout, AttentionShape, FeedForward, FeedForwardHalf, KeyValueCache,
    LowRankSite, Projected, Recomputed, RotaryTable,
};
use pefomed_kernels::host_function;

use super::llama::LlamaLayer;
use crate::adapter::{LoraAdapter, Site};
use crate::config::LlamaConfig;
use crate::parameters::{Placement, read};

/// One layer.
#[derive(Clone, Debug)]
pub(super) struct FrozenLayer {
    attention: Arc<Projected>,
    feed_forward: Arc<FeedForward>,
}

/// What a layer needs to know of a batch.
#[derive(Clone, Copy)]
pub(super) struct Batch<'a> {
    pub(super) layout: &'a Arc<AttentionLayout>,
    pub(super) adapter: Option<&'a LoraAdapter>,
    pub(super) dropout: Option<&'a Dropout>,
    /// Rows of the output; all when not given.
    pub(super) only: Option<&'a Arc<[usize]>>,
}

/// Sites of the first half, in the order of its kernel's inputs.
const ATTENTION: [Site; 4] = [Site::Q, Site::K, Site::V, Site::O];
/// Sites of the second half.
const FEED_FORWARD: [Site; 3] = [Site::Gate, Site::Up, Site::Down];

/// The frozen maps of a layer.
pub(super) struct FrozenMaps {
    /// Weight of the first norm, `[C]`.
    pub(super) input_norm: Vec<f32>,
    /// Queries, keys and values, `C → (H + 2K)·D`.
    pub(super) qkv: FrozenLinear,
    /// Output projection, `H·D → C`.
    pub(super) output: FrozenLinear,
    /// Weight of the second norm, `[C]`.
    pub(super) post_norm: Vec<f32>,
    /// Gate and up, `C → 2M`.
    pub(super) gate_up: FrozenLinear,
    /// Down, `M → C`.
    pub(super) down: FrozenLinear,
}

impl FrozenLayer {
    /// Packs a layer, which is dropped.
    pub(super) fn new(layer: LlamaLayer, config: &LlamaConfig, precision: Precision) -> Self {
        let (c, m) = (config.hidden_size, config.intermediate_size);
        let pack = |weights: Vec<Tensor<2>>, inputs: usize| {
            let weights: Vec<Vec<f32>> = weights.into_iter().map(read).collect();
            let weights: Vec<&[f32]> = weights.iter().map(Vec::as_slice).collect();
            FrozenLinear::new(&weights, inputs, precision)
        };
        let maps = FrozenMaps {
            input_norm: read(layer.input_norm),
            qkv: pack(vec![layer.q, layer.k, layer.v], c),
            output: pack(vec![layer.o], config.num_attention_heads * config.head_dim()),
            post_norm: read(layer.post_norm),
            gate_up: pack(vec![layer.gate, layer.up], c),
            down: pack(vec![layer.down], m),
        };
        Self::of(maps, config)
    }

    /// A layer of maps that are frozen already.
    pub(super) fn of(maps: FrozenMaps, config: &LlamaConfig) -> Self {
        let (heads, head_dim) = (config.num_attention_heads, config.head_dim());
        let shape = AttentionShape { heads, key_heads: config.key_heads(), head_dim };
        let eps = config.rms_norm_eps as f32;
        let FrozenMaps { input_norm, qkv, output, post_norm, gate_up, down } = maps;
        let attention = Projected { norm: input_norm, eps, qkv, output, shape };
        let feed_forward = FeedForward { norm: post_norm, eps, gate_up, down };
        Self { attention: Arc::new(attention), feed_forward: Arc::new(feed_forward) }
    }

    /// Bytes of the packed weights.
    pub(super) fn bytes(&self) -> usize {
        let linears = [
            &self.attention.qkv,
            &self.attention.output,
            &self.feed_forward.gate_up,
            &self.feed_forward.down,
        ];
        linears.into_iter().map(FrozenLinear::bytes).sum()
    }

    /// What its products are rounded to.
    pub(super) fn precision(&self) -> Precision {
        self.attention.qkv.precision()
    }

    /// The layer on a packed batch, `[T, C]`. With `checkpointing` it keeps its input alone.
    pub(super) fn forward(
        &self,
        index: usize,
        x: Tensor<2>,
        batch: Batch<'_>,
        checkpointing: bool,
    ) -> Tensor<2> {
        let (attention, mut matrices) = self.attention_half(index, batch);
        // The first half has left the other rows out.
        let dropout = match (batch.dropout, batch.only) {
            (Some(dropout), Some(rows)) => Some(&dropout.only(rows)),
            (dropout, _) => dropout,
        };
        let (feed_forward, more) = self.feed_forward_half(index, batch.adapter, dropout);
        if !checkpointing {
            let x = host_function::apply(Arc::new(attention), x, matrices);
            return host_function::apply(Arc::new(feed_forward), x, more);
        }
        let layer = Recomputed::new(vec![
            (Arc::new(attention), matrices.len()),
            (Arc::new(feed_forward), more.len()),
        ]);
        matrices.extend(more);
        host_function::apply(Arc::new(layer), x, matrices)
    }

    /// As [`forward`](Self::forward), outside of training; also returns keys and values. `earlier` has those
    /// of the positions before, and gets those of its own.
    pub(super) fn prefill(
        &self,
        index: usize,
        x: Tensor<2>,
        batch: Batch<'_>,
        earlier: Option<&mut Vec<f32>>,
        place: &Placement,
    ) -> (Tensor<2>, KeyValueCache) {
        let (half, matrices) = self.attention_half(index, batch);
        let values = values(x, matrices);
        let (x, cache) = half.forward_with_cache(&slices(&values), earlier);
        (self.finish(index, x, batch.adapter, place), cache)
    }

    /// One step of decoding for the rows of `cache`, `[B, C]`.
    pub(super) fn decode(
        &self,
        index: usize,
        x: Tensor<2>,
        rotary: &RotaryTable,
        cache: &mut KeyValueCache,
        adapter: Option<&LoraAdapter>,
        place: &Placement,
    ) -> Tensor<2> {
        let (sites, matrices) = updates(ATTENTION, index, adapter, None);
        let values = values(x, matrices);
        let x = self.attention.decode(&slices(&values), &sites, rotary, cache);
        self.finish(index, x, adapter, place)
    }

    /// The second half for the output of the first, outside of training.
    fn finish(
        &self,
        index: usize,
        x: Vec<f32>,
        adapter: Option<&LoraAdapter>,
        place: &Placement,
    ) -> Tensor<2> {
        let width = self.feed_forward.norm.len();
        let rows = x.len() / width;
        let (half, matrices) = self.feed_forward_half(index, adapter, None);
        host_function::apply(Arc::new(half), place.tensor(x, [rows, width]), matrices)
    }

    /// The first half, and the matrices of its updates.
    fn attention_half(&self, index: usize, batch: Batch<'_>) -> (AttentionHalf, Vec<Tensor<2>>) {
        let Batch { layout, adapter, dropout, only } = batch;
        let (sites, matrices) = updates(ATTENTION, index, adapter, dropout);
        let half = AttentionHalf::new(self.attention.clone(), layout.clone(), sites);
        let half = match only {
            Some(rows) => half.only(rows.clone()),
            None => half,
        };
        (half, matrices)
    }

    /// The second half, and the matrices of its updates.
    fn feed_forward_half(
        &self,
        index: usize,
        adapter: Option<&LoraAdapter>,
        dropout: Option<&Dropout>,
    ) -> (FeedForwardHalf, Vec<Tensor<2>>) {
        let (sites, matrices) = updates(FEED_FORWARD, index, adapter, dropout);
        (FeedForwardHalf::new(self.feed_forward.clone(), sites), matrices)
    }
}

/// The updates of a layer at some sites, and their matrices in that order.
fn updates<const N: usize>(
    sites: [Site; N],
    layer: usize,
    adapter: Option<&LoraAdapter>,
    dropout: Option<&Dropout>,
) -> ([Option<LowRankSite>; N], Vec<Tensor<2>>) {
    let mut matrices = Vec::new();
    let sites = sites.map(|site| {
        let (adapter, [a, b]) = adapter.and_then(|it| Some((it, it.matrices(layer, site)?)))?;
        matrices.extend([a, b]);
        let dropout = dropout.map(|dropout| (dropout.clone(), LoraAdapter::place(layer, site)));
        Some(LowRankSite {
            rank: adapter.config().rank,
            scale: adapter.config().scale() as f32,
            dropout,
        })
    });
    (sites, matrices)
}

/// The numbers of a kernel's inputs.
fn values(x: Tensor<2>, matrices: Vec<Tensor<2>>) -> Vec<Vec<f32>> {
    std::iter::once(x).chain(matrices).map(read).collect()
}

fn slices(values: &[Vec<f32>]) -> Vec<&[f32]> {
    values.iter().map(Vec::as_slice).collect()
}
