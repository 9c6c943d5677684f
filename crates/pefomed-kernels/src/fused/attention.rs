//! The first half of a decoder layer: norm, queries, keys and values, rotary embedding, attention
//! over message trees, output projection, residual.

use std::fmt;
use std::sync::Arc;

use super::low_rank::{Columns, LowRank, LowRankSite, join};
use super::rms_norm;
use super::rotary::RotaryTable;
use super::tree_attention::{self, Projections, Tiles};
use crate::attention::TreeRanges;
use crate::buffer::Buffer;
use crate::frozen::FrozenLinear;
use crate::host_function::{HostFunction, Kept};
use crate::parallel::copied;

/// How the columns of queries, keys and values are cut into heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Query heads `H`.
    pub heads: usize,
    /// Key and value heads `K`, a divisor of `H`.
    pub key_heads: usize,
    /// Width `D` of a head.
    pub head_dim: usize,
}

impl AttentionShape {
    /// Columns of queries, keys and values together.
    pub fn width(self) -> usize {
        (self.heads + 2 * self.key_heads) * self.head_dim
    }

    /// The head of keys and values that a query head reads.
    pub(super) fn key_head(self, head: usize) -> usize {
        head / (self.heads / self.key_heads)
    }

    /// First column of the keys that a query head reads.
    pub(super) fn key_column(self, head: usize) -> usize {
        (self.heads + self.key_head(head)) * self.head_dim
    }

    /// First column of its values.
    pub(super) fn value_column(self, head: usize) -> usize {
        self.key_column(head) + self.key_heads * self.head_dim
    }

    /// Factor of the scores, `1 / √D`.
    pub(super) fn scale(self) -> f32 {
        (self.head_dim as f32).powf(-0.5)
    }

    /// Columns of queries, keys and values.
    fn parts(self) -> [Columns; 3] {
        let (q, kv) = (self.heads * self.head_dim, self.key_heads * self.head_dim);
        let width = self.width();
        [0..q, q..q + kv, q + kv..width].map(|range| Columns { range, width })
    }
}

/// The frozen weights of the half.
#[derive(Clone, Debug)]
pub struct Projected {
    /// Weight of the norm, `[C]`.
    pub norm: Vec<f32>,
    /// `ε` of the norm.
    pub eps: f32,
    /// Queries, keys and values as one map, `C → (H + 2K)·D`.
    pub qkv: FrozenLinear,
    /// Output projection, `H·D → C`.
    pub output: FrozenLinear,
    /// How columns are cut into heads.
    pub shape: AttentionShape,
}

/// The half for one batch. Its inputs are `x` `[T, C]`, then `A` and `B` of every site that has an
/// update, in the order query, key, value, output.
pub struct AttentionHalf {
    weights: Arc<Projected>,
    layout: Arc<AttentionLayout>,
    sites: [Option<LowRankSite>; 4],
}

/// What all layers share of a batch: the positions' angles and who sees whom.
#[derive(Debug)]
pub struct AttentionLayout {
    rotary: RotaryTable,
    tiles: Tiles,
}

impl AttentionLayout {
    /// The layout of trees that lie one after the other, with an angle table for their positions.
    ///
    /// # Panics
    /// When the table is for another number of positions.
    pub fn new(trees: &[TreeRanges], rotary: RotaryTable) -> Self {
        let tiles = Tiles::new(trees);
        assert_eq!(tiles.len(), rotary.len(), "positions of the batch");
        Self { rotary, tiles }
    }
}

impl fmt::Debug for AttentionHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttentionHalf({:?})", self.weights.shape)
    }
}

/// Kept for the backward pass.
struct State {
    scales: Vec<f32>,
    qkv: Buffer,
    mixed: Buffer,
    logs: Buffer,
    narrow: [Option<Buffer>; 4],
}

impl AttentionHalf {
    /// The half with updates on queries, keys, values and the output projection.
    pub fn new(
        weights: Arc<Projected>,
        layout: Arc<AttentionLayout>,
        sites: [Option<LowRankSite>; 4],
    ) -> Self {
        Self { weights, layout, sites }
    }

    /// The output `[T, C]`, and queries, keys and values `[T, (H + 2K)·D]`, turned to their positions,
    /// for a cache.
    pub fn forward_with_qkv(&self, inputs: &[&[f32]]) -> (Vec<f32>, Vec<f32>) {
        let (out, state) = self.compute(inputs);
        (out, state.qkv.into_vec())
    }

    fn compute(&self, inputs: &[&[f32]]) -> (Vec<f32>, State) {
        let weights = &*self.weights;
        let by = weights.qkv.multiplier();
        let updates = join(&self.sites, inputs, by);
        let (qkv, scales, [q, k, v]) = weights.project(inputs[0], &self.layout.rotary, &updates);
        let (mixed, logs) = tree_attention::forward(
            Projections { shape: weights.shape, by, qkv: &qkv },
            &self.layout.tiles,
        );
        let (out, o) = weights.finish(inputs[0], &mixed, &updates);
        (out, State { scales, qkv, mixed, logs, narrow: [q, k, v, o] })
    }
}

impl Projected {
    /// Queries, keys and values, turned to their positions; the scales of the norm; and what the
    /// first three updates made on their way.
    fn project(
        &self,
        x: &[f32],
        rotary: &RotaryTable,
        updates: &[Option<LowRank<'_>>; 4],
    ) -> (Buffer, Vec<f32>, [Option<Buffer>; 3]) {
        let Self { norm, eps, qkv: project, shape, .. } = self;
        let width = shape.width();
        let rows = x.len() / norm.len();
        let mut normed = Buffer::unwritten(rows, norm.len());
        let scales = rms_norm::forward(x, norm, *eps, &mut normed);
        let mut qkv = Buffer::unwritten(rows, width);
        project.forward(&normed, &mut qkv, false);
        let [q, k, v] = shape.parts();
        let narrow = [(0, q), (1, k), (2, v)].map(|(site, columns)| {
            updates[site].map(|update| update.forward(&normed, &mut qkv, &columns))
        });
        rotary.turn(&mut qkv, width, shape.heads + shape.key_heads);
        (qkv, scales, narrow)
    }

    /// The output of the half, and what the update of the output projection made on its way.
    fn finish(
        &self,
        x: &[f32],
        mixed: &[f32],
        updates: &[Option<LowRank<'_>>; 4],
    ) -> (Vec<f32>, Option<Buffer>) {
        let mut out = copied(x);
        self.output.forward(mixed, &mut out, true);
        let all = Columns::all(self.norm.len());
        let narrow = updates[3].map(|update| update.forward(mixed, &mut out, &all));
        (out, narrow)
    }

    /// One step of decoding: the output `[B, C]` for `x` `[B, C]`, where `attend` mixes values
    /// `[B, H·D]` for queries, keys and values `[B, (H + 2K)·D]` at the positions of `rotary`. The
    /// inputs and sites are those of [`AttentionHalf`].
    pub fn decode(
        &self,
        inputs: &[&[f32]],
        sites: &[Option<LowRankSite>; 4],
        rotary: &RotaryTable,
        attend: impl FnOnce(Vec<f32>) -> Vec<f32>,
    ) -> Vec<f32> {
        let updates = join(sites, inputs, self.qkv.multiplier());
        let (qkv, ..) = self.project(inputs[0], rotary, &updates);
        self.finish(inputs[0], &attend(qkv.into_vec()), &updates).0
    }
}

impl HostFunction for AttentionHalf {
    fn output_shape(&self, inputs: &[&[usize]]) -> [usize; 2] {
        [inputs[0][0], self.weights.norm.len()]
    }

    fn forward(&self, inputs: &[&[f32]], _keep: bool) -> (Vec<f32>, Kept) {
        let (out, state) = self.compute(inputs);
        (out, Arc::new(state))
    }

    fn backward(
        &self,
        inputs: &[&[f32]],
        kept: &Kept,
        gradient: &[f32],
        wanted: &[bool],
    ) -> Vec<Vec<f32>> {
        let state: &State = kept.downcast_ref().expect("what this function kept");
        let Projected { norm, qkv: project, output, shape, .. } = &*self.weights;
        let (x, width) = (inputs[0], shape.width());
        let rows = x.len() / norm.len();
        let by = project.multiplier();
        let [q_update, k_update, v_update, o_update] = join(&self.sites, inputs, by);
        let mut gradients = vec![Vec::new(); inputs.len()];

        let mut d_mixed = Buffer::unwritten(rows, shape.heads * shape.head_dim);
        output.backward(gradient, &mut d_mixed, false);
        if let (Some(update), Some(narrow)) = (o_update, &state.narrow[3]) {
            let (from, all) = ((&state.mixed[..], &narrow[..]), Columns::all(norm.len()));
            update.backward(from, (gradient, &all), &mut d_mixed, wanted, &mut gradients);
        }
        let tiles = &self.layout.tiles;
        let mut d_qkv = tree_attention::backward(
            Projections { shape: *shape, by, qkv: &state.qkv },
            tiles,
            (&state.mixed, &state.logs),
            &d_mixed,
        );
        drop(d_mixed);
        self.layout.rotary.turn_back(&mut d_qkv, width, shape.heads + shape.key_heads);

        let mut d_normed = Buffer::unwritten(rows, norm.len());
        project.backward(&d_qkv, &mut d_normed, false);
        let normed = rms_norm::again(x, norm, &state.scales);
        let updates = [q_update, k_update, v_update].into_iter().zip(&state.narrow);
        for ((update, narrow), columns) in updates.zip(&shape.parts()) {
            if let (Some(update), Some(narrow)) = (update, narrow) {
                let (from, to) = ((&normed[..], &narrow[..]), (&d_qkv[..], columns));
                update.backward(from, to, &mut d_normed, wanted, &mut gradients);
            }
        }
        let mut dx = copied(gradient);
        rms_norm::backward(x, norm, &state.scales, &d_normed, &mut dx);
        gradients[0] = dx;
        gradients
    }
}
