//! Decoder layers whose weights were packed for good, on the processor.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};
use pefomed_kernels::dropout::Dropout;
use pefomed_kernels::frozen::{FrozenLinear, Precision};
use pefomed_kernels::fused::{
    AttentionHalf, AttentionLayout, AttentionShape, FeedForward, FeedForwardHalf, LowRankSite,
    Projected, Recomputed, RotaryTable,
};
use pefomed_kernels::host_function;

use super::llama::LlamaLayer;
use crate::adapter::{LoraAdapter, Site};
use crate::config::LlamaConfig;
use crate::generate::DecodeCache;
use crate::parameters::{Placement, read};

/// One layer.
#[derive(Clone, Debug)]
pub(super) struct FrozenLayer {
    attention: Arc<Projected>,
    feed_forward: Arc<FeedForward>,
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

    /// The layer on a packed batch, `[T, C]`. With `checkpointing` it keeps its input alone.
    pub(super) fn forward(
        &self,
        index: usize,
        x: Tensor<2>,
        layout: &Arc<AttentionLayout>,
        adapter: Option<&LoraAdapter>,
        dropout: Option<&Dropout>,
        checkpointing: bool,
    ) -> Tensor<2> {
        let (sites, mut matrices) = updates(ATTENTION, index, adapter, dropout);
        let attention = AttentionHalf::new(self.attention.clone(), layout.clone(), sites);
        if !checkpointing {
            let x = host_function::apply(Arc::new(attention), x, matrices);
            return self.feed_forward(index, x, adapter, dropout);
        }
        let (sites, more) = updates(FEED_FORWARD, index, adapter, dropout);
        let feed_forward = FeedForwardHalf::new(self.feed_forward.clone(), sites);
        let layer = Recomputed::new(vec![
            (Arc::new(attention), matrices.len()),
            (Arc::new(feed_forward), more.len()),
        ]);
        matrices.extend(more);
        host_function::apply(Arc::new(layer), x, matrices)
    }

    /// As [`forward`](Self::forward), outside of training; also returns keys and values
    /// `[T, K, D]`.
    pub(super) fn prefill(
        &self,
        index: usize,
        x: Tensor<2>,
        layout: &Arc<AttentionLayout>,
        adapter: Option<&LoraAdapter>,
        place: &Placement,
    ) -> (Tensor<2>, Tensor<3>, Tensor<3>) {
        let (sites, matrices) = updates(ATTENTION, index, adapter, None);
        let half = AttentionHalf::new(self.attention.clone(), layout.clone(), sites);
        let [rows, width] = x.dims();
        let values = values(x, matrices);
        let (out, qkv) = half.forward_with_qkv(&slices(&values));
        let (_, k, v) = self.split(qkv, rows, place);
        let x = self.feed_forward(index, place.tensor(out, [rows, width]), adapter, None);
        (x, k, v)
    }

    /// One step of decoding for the rows of `cache`, `[B, C]`.
    pub(super) fn decode(
        &self,
        index: usize,
        x: Tensor<2>,
        rotary: &RotaryTable,
        cache: &mut DecodeCache,
        adapter: Option<&LoraAdapter>,
        place: &Placement,
    ) -> Tensor<2> {
        let (sites, matrices) = updates(ATTENTION, index, adapter, None);
        let [rows, width] = x.dims();
        let values = values(x, matrices);
        let out = self.attention.decode(&slices(&values), &sites, rotary, |qkv| {
            let (q, k, v) = self.split(qkv, rows, place);
            read(cache.attend(index, None, q, k, v))
        });
        self.feed_forward(index, place.tensor(out, [rows, width]), adapter, None)
    }

    /// Queries `[T, H, D]`, keys and values `[T, K, D]`.
    fn split(
        &self,
        qkv: Vec<f32>,
        rows: usize,
        place: &Placement,
    ) -> (Tensor<3>, Tensor<3>, Tensor<3>) {
        let AttentionShape { heads, key_heads, head_dim } = self.attention.shape;
        let all = TensorData::new(qkv, [rows, heads + 2 * key_heads, head_dim]);
        let all = Tensor::<3>::from_data(all, (&place.device, place.dtype));
        let part = |start, count| all.clone().narrow(1, start, count);
        (part(0, heads), part(heads, key_heads), part(heads + key_heads, key_heads))
    }

    fn feed_forward(
        &self,
        index: usize,
        x: Tensor<2>,
        adapter: Option<&LoraAdapter>,
        dropout: Option<&Dropout>,
    ) -> Tensor<2> {
        let (sites, matrices) = updates(FEED_FORWARD, index, adapter, dropout);
        let half = FeedForwardHalf::new(self.feed_forward.clone(), sites);
        host_function::apply(Arc::new(half), x, matrices)
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
