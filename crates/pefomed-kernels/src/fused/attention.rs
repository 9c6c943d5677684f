//! The first half of a decoder layer: norm, queries, keys and values, rotary embedding, attention
//! over message trees, output projection, residual.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::decoding::KeyValueCache;
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

    /// Keys and values of a row of queries, keys and values.
    pub(super) fn keys_and_values(self, row: &[f32]) -> &[f32] {
        &row[self.heads * self.head_dim..]
    }

    /// Columns of keys and values.
    pub(super) fn kept(self) -> usize {
        2 * self.key_heads * self.head_dim
    }

    /// Queries, keys and values of rows of which the first have keys and values alone: `[T, (H + 2K)·D]`.
    fn join(self, earlier: &[f32], qkv: &[f32]) -> Buffer {
        let (width, first) = (self.width(), earlier.len() / self.kept());
        let mut all = Buffer::unwritten(first + qkv.len() / width, width);
        let (before, own) = all.split_at_mut(first * width);
        for (row, earlier) in before.chunks_exact_mut(width).zip(earlier.chunks_exact(self.kept()))
        {
            let (queries, kept) = row.split_at_mut(self.heads * self.head_dim);
            queries.fill(0.0);
            kept.copy_from_slice(earlier);
        }
        own.copy_from_slice(qkv);
        all
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
    /// Rows of the output; all when there is no choice.
    chosen: Option<Arc<[usize]>>,
}

/// What all layers share of a batch: the positions' angles and who sees whom.
#[derive(Debug)]
pub struct AttentionLayout {
    trees: Vec<TreeRanges>,
    rotary: RotaryTable,
    tiles: Tiles,
}

impl AttentionLayout {
    /// The layout of trees that lie one after the other, with an angle table for their positions.
    ///
    /// # Panics
    /// When the table is for another number of positions.
    pub fn new(trees: Vec<TreeRanges>, rotary: RotaryTable) -> Self {
        Self::after(0, trees, rotary)
    }

    /// As [`new`](Self::new), for a batch of which the first rows went through the layers before: a half takes
    /// their keys and values, and the others alone are its input.
    ///
    /// # Panics
    /// When the table is for another number of positions than the others are.
    pub fn after(first: usize, trees: Vec<TreeRanges>, rotary: RotaryTable) -> Self {
        let tiles = Tiles::new(&trees).after(first);
        assert_eq!(tiles.len(), rotary.len(), "positions of the batch");
        Self { trees, rotary, tiles }
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
        Self { weights, layout, sites, chosen: None }
    }

    /// The half with some rows of the output alone, `[S, C]`: the others are still attended to, but
    /// nothing is made of what they see. For the last layer, of which only what is predicted is read.
    #[must_use = "the half is returned"]
    pub fn only(mut self, rows: Arc<[usize]>) -> Self {
        if let Some((dropout, _)) = self.sites[3].as_mut().and_then(|site| site.dropout.as_mut()) {
            *dropout = dropout.only(&rows);
        }
        Self { chosen: Some(rows), ..self }
    }

    /// The output, and the keys and values, for decoding what comes after the batch. `earlier` has those of
    /// the rows [before](AttentionLayout::after) it, `[first, 2·K·D]`, and gets those of its own.
    pub fn forward_with_cache(
        &self,
        inputs: &[&[f32]],
        earlier: Option<&mut Vec<f32>>,
    ) -> (Vec<f32>, KeyValueCache) {
        let Projected { shape, qkv, .. } = &*self.weights;
        let (out, state) = self.compute(inputs, earlier.as_ref().map_or(&[], |earlier| earlier));
        if let Some(earlier) = earlier {
            let own = state.qkv.chunks_exact(shape.width()).skip(earlier.len() / shape.kept());
            earlier.reserve_exact(own.len() * shape.kept());
            own.for_each(|row| earlier.extend_from_slice(shape.keys_and_values(row)));
        }
        let trees = &self.layout.trees;
        (out, KeyValueCache::new(*shape, qkv.multiplier(), trees, &state.qkv))
    }

    fn compute(&self, inputs: &[&[f32]], earlier: &[f32]) -> (Vec<f32>, State) {
        let weights = &*self.weights;
        let by = weights.qkv.multiplier();
        let updates = join(&self.sites, inputs, by);
        let (qkv, scales, [q, k, v]) = weights.project(inputs[0], &self.layout.rotary, &updates);
        let qkv = if earlier.is_empty() { qkv } else { weights.shape.join(earlier, &qkv) };
        let (mixed, logs) = tree_attention::forward(
            Projections { shape: weights.shape, by, qkv: &qkv },
            &self.layout.tiles,
        );
        let x = self.choose(inputs[0], weights.norm.len());
        let (out, o) = weights.finish(&x, &self.choose_mixed(&mixed), &updates);
        (out, State { scales, qkv, mixed, logs, narrow: [q, k, v, o] })
    }

    /// The chosen rows of a matrix of this width.
    fn choose<'a>(&self, values: &'a [f32], width: usize) -> Cow<'a, [f32]> {
        match &self.chosen {
            None => Cow::Borrowed(values),
            Some(rows) => {
                let row = |&row: &usize| &values[row * width..(row + 1) * width];
                Cow::Owned(rows.iter().flat_map(row).copied().collect())
            }
        }
    }

    fn choose_mixed<'a>(&self, mixed: &'a [f32]) -> Cow<'a, [f32]> {
        let AttentionShape { heads, head_dim, .. } = self.weights.shape;
        self.choose(mixed, heads * head_dim)
    }
}

/// The gradient of all rows, `[rows, width]`, for that of the chosen ones.
fn spread(chosen: &[usize], values: &[f32], rows: usize, width: usize) -> Buffer {
    let mut all = Buffer::zeros(rows, width);
    for (&row, values) in chosen.iter().zip(values.chunks_exact(width)) {
        for (all, value) in all[row * width..(row + 1) * width].iter_mut().zip(values) {
            *all += value;
        }
    }
    all
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

    /// One step of decoding: the output `[B, C]` for `x` `[B, C]` of the rows of `cache` at the positions
    /// of `rotary`. The inputs and sites are those of [`AttentionHalf`].
    pub fn decode(
        &self,
        inputs: &[&[f32]],
        sites: &[Option<LowRankSite>; 4],
        rotary: &RotaryTable,
        cache: &mut KeyValueCache,
    ) -> Vec<f32> {
        let updates = join(sites, inputs, self.qkv.multiplier());
        let (qkv, ..) = self.project(inputs[0], rotary, &updates);
        self.finish(inputs[0], &cache.attend(&qkv), &updates).0
    }
}

impl HostFunction for AttentionHalf {
    fn output_shape(&self, inputs: &[&[usize]]) -> [usize; 2] {
        let rows = self.chosen.as_ref().map_or(inputs[0][0], |rows| rows.len());
        [rows, self.weights.norm.len()]
    }

    fn forward(&self, inputs: &[&[f32]], _keep: bool) -> (Vec<f32>, Kept) {
        let (out, state) = self.compute(inputs, &[]);
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

        let chosen = self.chosen.as_deref();
        let mixed_width = shape.heads * shape.head_dim;
        let mut d_mixed = Buffer::unwritten(gradient.len() / norm.len(), mixed_width);
        output.backward(gradient, &mut d_mixed, false);
        if let (Some(update), Some(narrow)) = (o_update, &state.narrow[3]) {
            let (mixed, all) = (self.choose_mixed(&state.mixed), Columns::all(norm.len()));
            let from = (&mixed[..], &narrow[..]);
            update.backward(from, (gradient, &all), Some(&mut d_mixed), wanted, &mut gradients);
        }
        if let Some(chosen) = chosen {
            d_mixed = spread(chosen, &d_mixed, rows, mixed_width);
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

        let mut d_normed = wanted[0].then(|| Buffer::unwritten(rows, norm.len()));
        if let Some(d_normed) = &mut d_normed {
            project.backward(&d_qkv, d_normed, false);
        }
        let normed = rms_norm::again(x, norm, &state.scales);
        let updates = [q_update, k_update, v_update].into_iter().zip(&state.narrow);
        for ((update, narrow), columns) in updates.zip(&shape.parts()) {
            if let (Some(update), Some(narrow)) = (update, narrow) {
                let (from, to) = ((&normed[..], &narrow[..]), (&d_qkv[..], columns));
                update.backward(from, to, d_normed.as_deref_mut(), wanted, &mut gradients);
            }
        }
        if let Some(d_normed) = d_normed {
            let mut dx = match chosen {
                None => copied(gradient),
                Some(chosen) => spread(chosen, gradient, rows, norm.len()).into_vec(),
            };
            rms_norm::backward(x, norm, &state.scales, &d_normed, &mut dx);
            gradients[0] = dx;
        }
        gradients
    }
}
