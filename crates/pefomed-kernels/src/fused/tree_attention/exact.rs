//! Attention that is not rounded: products in float32.

#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for wide vectors only where it is inlined"
)]

use std::ops::Range;

use rayon::prelude::*;

use super::{HeadGradients, Pass, Projections, Tile, Tiles};
use crate::buffer::Buffer;
use crate::matmul::{Matrix, MatrixMut};
use crate::simd::{exp, widest};

impl Projections<'_> {
    /// Scores of a tile under one head, scaled, into `scores` of `rows × keys`.
    fn scores(&self, tile: &Tile, head: usize, scores: &mut Vec<f32>) {
        let shape = self.shape;
        let (rows, keys) = (tile.rows.len(), tile.keys());
        scores.clear();
        scores.resize(rows * keys, 0.0);
        let q = self.part(&tile.rows, head * shape.head_dim);
        tile.each_part(|part, column| {
            let k = self.part(part, shape.key_column(head)).transposed();
            let out = MatrixMut::strided(&mut scores[column..], rows, part.len(), keys);
            self.by.multiply(out, q, k, shape.scale(), false);
        });
    }

    /// `weights · rows`: multiplies a tile's `rows × keys` with the columns that begin at `column`, of
    /// the rows that are its keys, into rows of `out` that are `step` apart.
    fn mix(&self, tile: &Tile, weights: &[f32], column: usize, out: &mut [f32], step: usize) {
        let (rows, keys) = (tile.rows.len(), tile.keys());
        tile.each_part(|part, at| {
            let weights = Matrix::strided(&weights[at..], rows, part.len(), keys);
            let out = MatrixMut::strided(out, rows, self.shape.head_dim, step);
            self.by.multiply(out, weights, self.part(part, column), 1.0, at > 0);
        });
    }
}

/// See [`super::forward`].
pub(super) fn forward(projections: Projections<'_>, tiles: &Tiles) -> (Buffer, Buffer) {
    let shape = projections.shape;
    let (heads, dim) = (shape.heads, shape.head_dim);
    let mut out = Buffer::unwritten(tiles.len(), heads * dim);
    let mut logs = Buffer::unwritten(tiles.len(), heads);
    let work = tiles.deal_out(&mut out, heads * dim, &mut logs, heads);
    work.into_par_iter().with_max_len(1).for_each_init(Vec::new, |weights, (tile, out, logs)| {
        let keys = tile.keys();
        for head in 0..heads {
            projections.scores(tile, head, weights);
            widest!({
                let rows = tile.rows.clone().zip(weights.chunks_exact_mut(keys));
                for ((row, weights), logs) in rows.zip(logs.chunks_exact_mut(heads)) {
                    let (hidden, end) = tile.hidden(&tiles.own[row]);
                    logs[head] = softmax(weights, hidden, end);
                }
            });
            let (column, out) = (shape.value_column(head), &mut out[head * dim..]);
            projections.mix(tile, weights, column, out, heads * dim);
        }
    });
    (out, logs)
}

/// Softmax over a row's visible scores in place, zero elsewhere; the logarithm of its sum.
#[inline(always)]
fn softmax(row: &mut [f32], hidden: Range<usize>, end: usize) -> f32 {
    row[hidden].fill(f32::NEG_INFINITY);
    row[end..].fill(f32::NEG_INFINITY);
    let mut lanes = [f32::NEG_INFINITY; 16];
    for chunk in row.chunks(16) {
        for (lane, score) in lanes.iter_mut().zip(chunk) {
            *lane = lane.max(*score);
        }
    }
    let top = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0_f32; 16];
    for chunk in row.chunks_mut(16) {
        for (sum, score) in sums.iter_mut().zip(chunk) {
            // A hidden score is -∞; its exponential here is tiny, and must be nothing.
            let weight = if *score == f32::NEG_INFINITY { 0.0 } else { exp(*score - top) };
            *score = weight;
            *sum += weight;
        }
    }
    let sum: f32 = sums.iter().sum();
    let inverse = 1.0 / sum;
    for weight in row {
        *weight *= inverse;
    }
    top + sum.ln()
}

/// See [`super::backward`].
pub(super) fn backward(pass: &Pass<'_>) -> Buffer {
    pass.each_head(Default::default, |scratch, tree, head| pass.exact(tree, head, scratch))
}

impl Pass<'_> {
    fn exact(
        &self,
        tree: usize,
        head: usize,
        (weights, d_scores): &mut (Vec<f32>, Vec<f32>),
    ) -> HeadGradients {
        let Projections { shape, by, .. } = self.projections;
        let dim = shape.head_dim;
        let (tree_rows, tree_tiles) = self.tiles.trees[tree].clone();
        let empty = || Buffer::zeros(tree_rows.len(), dim);
        let mut gradients = HeadGradients { q: empty(), k: empty(), v: empty() };
        for tile in &self.tiles.all[tree_tiles] {
            let (rows, keys) = (tile.rows.len(), tile.keys());
            self.projections.scores(tile, head, weights);
            let g_rows = self.g_part(&tile.rows, head);

            // Gradient of the weights: g · Vᵀ.
            d_scores.clear();
            d_scores.resize(rows * keys, 0.0);
            tile.each_part(|part, column| {
                let v = self.projections.part(part, shape.value_column(head)).transposed();
                let out = MatrixMut::strided(&mut d_scores[column..], rows, part.len(), keys);
                by.multiply(out, g_rows, v, 1.0, false);
            });
            widest!(self.scores_backward(tile, head, weights, d_scores));

            // Queries: dS · K.
            let d_q = &mut gradients.q[(tile.rows.start - tree_rows.start) * dim..];
            self.projections.mix(tile, d_scores, shape.key_column(head), d_q, dim);
            // Keys: dSᵀ · Q; values: Pᵀ · g.
            let q = self.projections.part(&tile.rows, head * dim);
            tile.each_part(|part, column| {
                let pairs =
                    [(&*d_scores, q, &mut gradients.k), (&*weights, g_rows, &mut gradients.v)];
                for (left, right, to) in pairs {
                    let left = Matrix::strided(&left[column..], rows, part.len(), keys);
                    let to = &mut to[(part.start - tree_rows.start) * dim..];
                    let to = MatrixMut::new(to, part.len(), dim);
                    by.multiply(to, left.transposed(), right, 1.0, true);
                }
            });
        }
        gradients
    }

    /// Softmax weights again from the scores of a tile, and the gradient of the scores from that of
    /// the weights, both in place.
    #[inline(always)]
    fn scores_backward(&self, tile: &Tile, head: usize, weights: &mut [f32], d_scores: &mut [f32]) {
        let (scale, keys) = (self.projections.shape.scale(), tile.keys());
        let rows = weights.chunks_exact_mut(keys).zip(d_scores.chunks_exact_mut(keys));
        for (row, (weights, d_scores)) in tile.rows.clone().zip(rows) {
            let (log, along) = self.log_and_along(row, head);
            let (hidden, end) = tile.hidden(&self.tiles.own[row]);
            weights[hidden].fill(f32::NEG_INFINITY);
            weights[end..].fill(f32::NEG_INFINITY);
            for (weight, d_score) in weights.iter_mut().zip(d_scores) {
                let hidden = *weight == f32::NEG_INFINITY;
                *weight = if hidden { 0.0 } else { exp(*weight - log) };
                *d_score = scale * *weight * (*d_score - along);
            }
        }
    }
}
