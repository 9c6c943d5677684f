//! Attention rounded to bfloat16.
//!
//! Keys and values are packed once for all tiles of a tree, and softmax weights are rounded where
//! they are computed. Products are made of whole blocks of 32 columns, so a tile of rows is multiplied
//! with the blocks that hold a key it sees; what else is in them gets the weight zero.

use std::ops::Range;

use rayon::prelude::*;

use super::{AttentionShape, HeadGradients, Pass, Projections, Tile, Tiles};
use crate::bf16::blocks::{COLUMNS, PackedLeft, Ready, multiply_part};
use crate::bf16::softmax::{Backward, Factors, Seen, softmax};
use crate::bf16::{Kernel, Panels};
use crate::buffer::Buffer;
use crate::matmul::Matrix;
use crate::simd::widest;

/// Blocks of the keys of a tree that a tile is multiplied with: from the first on, and then some more.
/// In its scores the second range follows directly upon the first.
struct Blocks {
    first: usize,
    second: Range<usize>,
}

impl Blocks {
    /// Those of a tile of a tree that begins at `start`.
    fn of(tile: &Tile, start: usize) -> Self {
        let first = tile.root.len().div_ceil(COLUMNS);
        let from = first.max((tile.local.start - start) / COLUMNS);
        let to = first.max((tile.local.end - start).div_ceil(COLUMNS));
        Self { first, second: from..to }
    }

    /// Columns of the scores.
    fn columns(&self) -> usize {
        (self.first + self.second.len()) * COLUMNS
    }

    /// What each row sees, and rows that see nothing up to so many.
    fn seen(
        &self,
        tile: &Tile,
        own: &[Range<usize>],
        start: usize,
        rows: usize,
        to: &mut Vec<Seen>,
    ) {
        let left_out = start + (self.second.start - self.first) * COLUMNS;
        to.clear();
        to.extend(own[tile.rows.clone()].iter().map(|own| Seen {
            root: tile.root.len(),
            own: own.start - left_out..own.end - left_out,
        }));
        to.resize(rows, Seen::default());
    }

    /// `out = left · right` for the columns of a right factor that has all keys of the tree.
    fn columns_of(&self, on: &Ready, left: &PackedLeft, right: &Panels, out: &mut Vec<f32>) {
        let columns = self.columns();
        out.resize(left.rows() * columns, 0.0);
        let steps = left.steps();
        let from = (left, 0);
        multiply_part(on, from, (right, 0, 0..self.first), steps, (out, columns), false);
        if let Some(out) = out.get_mut(self.first * COLUMNS..) {
            let second = self.second.clone();
            multiply_part(on, from, (right, 0, second), steps, (out, columns), false);
        }
    }

    /// `out = left · right` for a left factor with the columns of the scores, and a right one whose rows
    /// are all keys of the tree.
    fn rows_of(
        &self,
        on: &Ready,
        left: &PackedLeft,
        right: &Panels,
        out: &mut [f32],
        width: usize,
    ) {
        let panels = 0..width / COLUMNS;
        let to = (&mut *out, width);
        multiply_part(on, (left, 0), (right, 0, panels.clone()), self.first, to, false);
        let (from, steps) = ((left, self.first), self.second.len());
        let second = (right, self.second.start, panels);
        multiply_part(on, from, second, steps, (out, width), self.first > 0);
    }
}

/// What `pack` makes of the keys and the values, `[t, D]` each, of every tree and head of the keys, in the
/// order of trees and then heads.
fn pack_keys<T: Send>(
    projections: Projections<'_>,
    tiles: &Tiles,
    pack: impl Fn(Matrix<'_>, Matrix<'_>) -> T + Sync,
) -> Vec<T> {
    let shape = projections.shape;
    let group = shape.heads / shape.key_heads;
    let pack = |&(tree, head): &(usize, usize)| {
        let columns = [shape.key_column(head * group), shape.value_column(head * group)];
        let [keys, values] = columns.map(|column| projections.part(&tiles.trees[tree].0, column));
        pack(keys, values)
    };
    tiles.each_head(shape.key_heads).par_iter().with_max_len(1).map(pack).collect()
}

/// What [`pack_keys`] made for a query head.
fn for_head<T>(packed: &[T], shape: AttentionShape, tree: usize, head: usize) -> &T {
    &packed[tree * shape.key_heads + shape.key_head(head)]
}

#[derive(Default)]
struct ForwardScratch {
    q: PackedLeft,
    scores: Vec<f32>,
    seen: Vec<Seen>,
    sums: Vec<(f32, f32)>,
    weights: PackedLeft,
    mixed: Vec<f32>,
}

/// See [`super::forward`].
pub(super) fn forward(
    projections: Projections<'_>,
    kernel: Kernel,
    tiles: &Tiles,
) -> (Buffer, Buffer) {
    let shape = projections.shape;
    let (heads, dim) = (shape.heads, shape.head_dim);
    let packed = pack_keys(projections, tiles, |keys, values| {
        (Panels::new(kernel, keys.transposed(), shape.scale()), Panels::new(kernel, values, 1.0))
    });
    let mut out = Buffer::unwritten(tiles.len(), heads * dim);
    let mut logs = Buffer::unwritten(tiles.len(), heads);
    let work = tiles.deal_out(&mut out, heads * dim, &mut logs, heads);
    let compute = |scratch: &mut ForwardScratch,
                   (tile, out, logs): (&Tile, &mut [f32], &mut [f32])| {
        let ForwardScratch { q, scores, seen, sums, weights, mixed } = scratch;
        let on = Ready::here(kernel);
        let tree = tiles.tree_of(tile);
        let start = tiles.trees[tree].0.start;
        let blocks = Blocks::of(tile, start);
        let mixed_width = dim.next_multiple_of(COLUMNS);
        for head in 0..heads {
            let (keys, values) = for_head(&packed, shape, tree, head);
            q.pack(projections.part(&tile.rows, head * dim));
            blocks.columns_of(&on, q, keys, scores);
            blocks.seen(tile, &tiles.own, start, q.rows(), seen);
            sums.resize(seen.len(), (0.0, 0.0));
            weights.reshape(seen.len(), blocks.columns());
            softmax(scores, blocks.columns(), seen, weights, sums);
            mixed.resize(q.rows() * mixed_width, 0.0);
            blocks.rows_of(&on, weights, values, mixed, mixed_width);
            let rows = out.chunks_exact_mut(heads * dim).zip(logs.chunks_exact_mut(heads));
            for (((out, logs), mixed), (top, sum)) in
                rows.zip(mixed.chunks_exact(mixed_width)).zip(&*sums)
            {
                logs[head] = top + sum.ln();
                let inverse = 1.0 / sum;
                for (out, mixed) in out[head * dim..][..dim].iter_mut().zip(mixed) {
                    *out = mixed * inverse;
                }
            }
        }
    };
    work.into_par_iter().with_max_len(1).for_each_init(ForwardScratch::default, compute);
    (out, logs)
}

struct BackwardScratch {
    q: PackedLeft,
    g: PackedLeft,
    scores: Vec<f32>,
    gradient: Vec<f32>,
    seen: Vec<Seen>,
    logs: Vec<(f32, f32)>,
    factors: Factors,
    d_q: Vec<f32>,
    /// Gradients of keys and of values, `[D, t]`.
    d_keys: Vec<f32>,
    d_values: Vec<f32>,
}

impl BackwardScratch {
    fn empty(kernel: Kernel) -> Self {
        Self {
            q: PackedLeft::default(),
            g: PackedLeft::default(),
            scores: Vec::new(),
            gradient: Vec::new(),
            seen: Vec::new(),
            logs: Vec::new(),
            factors: Factors::empty(kernel),
            d_q: Vec::new(),
            d_keys: Vec::new(),
            d_values: Vec::new(),
        }
    }
}

/// Keys and values of a head as the backward pass multiplies them.
struct PackedKeys {
    keys_across: Panels,
    values_across: Panels,
    keys: Panels,
}

/// See [`super::backward`].
pub(super) fn backward(pass: &Pass<'_>, kernel: Kernel) -> Buffer {
    let scale = pass.projections.shape.scale();
    let packed = pack_keys(pass.projections, pass.tiles, |keys, values| PackedKeys {
        keys_across: Panels::new(kernel, keys.transposed(), scale),
        values_across: Panels::new(kernel, values.transposed(), 1.0),
        keys: Panels::new(kernel, keys, 1.0),
    });
    let empty = || BackwardScratch::empty(kernel);
    pass.each_head(empty, |scratch, tree, head| {
        let packed = for_head(&packed, pass.projections.shape, tree, head);
        pass.rounded(&Ready::here(kernel), (tree, head), packed, scratch)
    })
}

impl Pass<'_> {
    fn rounded(
        &self,
        on: &Ready,
        (tree, head): (usize, usize),
        packed: &PackedKeys,
        scratch: &mut BackwardScratch,
    ) -> HeadGradients {
        let shape = self.projections.shape;
        let dim = shape.head_dim;
        let (tree_rows, tree_tiles) = self.tiles.trees[tree].clone();
        let BackwardScratch { q, g, scores, gradient, seen, logs, factors, d_q, d_keys, d_values } =
            scratch;
        let (wide, long) =
            (dim.next_multiple_of(COLUMNS), tree_rows.len().next_multiple_of(COLUMNS));
        for sums in [&mut *d_keys, &mut *d_values] {
            sums.clear();
            sums.resize(wide * long, 0.0);
        }
        let mut of_queries = Buffer::unwritten(tree_rows.len(), dim);
        for tile in &self.tiles.all[tree_tiles] {
            let blocks = Blocks::of(tile, tree_rows.start);
            let rows = tile.rows.len();
            let q_rows = self.projections.part(&tile.rows, head * dim);
            let g_rows = self.g_part(&tile.rows, head);
            q.pack(q_rows);
            g.pack(g_rows);
            blocks.columns_of(on, q, &packed.keys_across, scores);
            blocks.columns_of(on, g, &packed.values_across, gradient);
            blocks.seen(tile, &self.tiles.own, tree_rows.start, q.rows(), seen);
            self.logs(tile, head, q.rows(), logs);
            let (columns, scale) = (blocks.columns(), shape.scale());
            Backward { columns, scores, gradient, seen, logs, scale }.compute(factors);

            // Queries: dS · K.
            d_q.resize(q.rows() * wide, 0.0);
            blocks.rows_of(on, &factors.left, &packed.keys, d_q, wide);
            let to = of_queries[(tile.rows.start - tree_rows.start) * dim..].chunks_exact_mut(dim);
            for (to, from) in to.zip(d_q.chunks_exact(wide)).take(rows) {
                to.copy_from_slice(&from[..dim]);
            }
            // Keys: Qᵀ · dS; values: gᵀ · P. Both are the transposed gradients, so that no factor of a
            // tile's size is transposed.
            q.pack(q_rows.transposed());
            g.pack(g_rows.transposed());
            for (left, right, sums) in
                [(&*q, &factors.right, &mut *d_keys), (&*g, &factors.weights, &mut *d_values)]
            {
                let (steps, first) = (left.steps(), 0..blocks.first);
                multiply_part(on, (left, 0), (right, 0, first), steps, (sums, long), true);
                let second = blocks.first..blocks.first + blocks.second.len();
                let to = &mut sums[blocks.second.start * COLUMNS..];
                multiply_part(on, (left, 0), (right, 0, second), steps, (to, long), true);
            }
        }
        let [k, v] = [&*d_keys, &*d_values].map(|sums| {
            let mut rows = Buffer::unwritten(tree_rows.len(), dim);
            for (first, rows) in rows.chunks_mut(16 * dim).enumerate() {
                for (channel, sums) in sums.chunks_exact(long).take(dim).enumerate() {
                    let sums = &sums[16 * first..];
                    rows[channel..]
                        .iter_mut()
                        .step_by(dim)
                        .zip(sums)
                        .for_each(|(to, sum)| *to = *sum);
                }
            }
            rows
        });
        HeadGradients { q: of_queries, k, v }
    }

    /// For each row of a tile its logarithm, and the sum of its weights times their gradients; zeros up
    /// to so many rows.
    fn logs(&self, tile: &Tile, head: usize, rows: usize, to: &mut Vec<(f32, f32)>) {
        to.clear();
        widest!({
            for row in tile.rows.clone() {
                to.push(self.log_and_along(row, head));
            }
        });
        to.resize(rows, (0.0, 0.0));
    }
}
