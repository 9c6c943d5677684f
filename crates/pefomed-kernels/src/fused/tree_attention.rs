//! Grouped-query attention over message trees, forward and backward, a tile of rows at a time.
//!
//! A row sees its tree's root and its own branch up to itself: two ranges. A tile of up to 64 rows,
//! of the root or of neighbouring branches, is multiplied with the keys of those ranges only; its
//! scores are the only ones that exist. Each row keeps the logarithm of its softmax sum, from which the
//! backward pass computes the weights again (FlashAttention-2, arXiv 2307.08691, has the same
//! recomputation; the ranges are those of message trees).

#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for wide vectors only where it is inlined"
)]

use std::ops::Range;

use rayon::prelude::*;

use super::AttentionShape;
use crate::attention::TreeRanges;
use crate::matmul::{Matrix, MatrixMut, Multiplier};
use crate::simd::{exp, sum2, widest};

/// Rows that are computed together.
const TILE: usize = 64;

/// Rows that see the same root, with the keys around them.
struct Tile {
    rows: Range<usize>,
    /// Keys that all rows see; empty for rows of the root itself.
    root: Range<usize>,
    /// Keys of the rows' own part, of which each sees its own.
    local: Range<usize>,
}

impl Tile {
    fn keys(&self) -> usize {
        self.root.len() + self.local.len()
    }

    /// The two ranges of keys that are not empty, each with its first column in the scores.
    fn each_part(&self, mut with: impl FnMut(&Range<usize>, usize)) {
        let mut column = 0;
        for part in [&self.root, &self.local] {
            if !part.is_empty() {
                with(part, column);
                column += part.len();
            }
        }
    }

    /// Columns of the tile's scores that a row may not see before and after those that it may:
    /// it sees the root, nothing of `hidden`, and then its own part up to itself.
    fn hidden(&self, row: usize, starts: &[usize]) -> (Range<usize>, usize) {
        let root = self.root.len();
        (root..root + starts[row] - self.local.start, root + row + 1 - self.local.start)
    }
}

/// The layout of a batch, cut into tiles once for all layers.
#[derive(Debug)]
pub(super) struct Tiles {
    /// In the order of their rows, without gaps.
    all: Vec<Tile>,
    /// Where the own part of each row begins.
    starts: Vec<usize>,
    /// Rows of each tree, and its tiles.
    trees: Vec<(Range<usize>, Range<usize>)>,
}

impl std::fmt::Debug for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} sees {:?} and {:?}", self.rows, self.root, self.local)
    }
}

impl Tiles {
    pub(super) fn new(trees: &[TreeRanges]) -> Self {
        let mut this = Self { all: Vec::new(), starts: Vec::new(), trees: Vec::new() };
        for tree in trees {
            let first = this.all.len();
            this.starts.extend(tree.root.clone().map(|_| tree.root.start));
            for branch in &tree.branches {
                this.starts.extend(branch.clone().map(|_| branch.start));
            }
            let end = tree.branches.last().map_or(tree.root.end, |branch| branch.end);
            this.cut(tree.root.clone(), tree.root.start..tree.root.start);
            this.cut(tree.root.end..end, tree.root.clone());
            this.trees.push((tree.root.start..end, first..this.all.len()));
        }
        this
    }

    fn cut(&mut self, rows: Range<usize>, root: Range<usize>) {
        for first in rows.clone().step_by(TILE) {
            let rows = first..(first + TILE).min(rows.end);
            let local = self.starts[first]..rows.end;
            self.all.push(Tile { rows, root: root.clone(), local });
        }
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }
}

/// Queries, keys and values `[T, (H + 2K)·D]`, each row's side by side, and how they are multiplied.
#[derive(Clone, Copy)]
pub(super) struct Projections<'a> {
    pub(super) shape: AttentionShape,
    pub(super) by: Multiplier,
    pub(super) qkv: &'a [f32],
}

impl Projections<'_> {
    /// Scores of a tile under one head, scaled, into `scores` of `rows × keys`.
    fn scores(&self, tile: &Tile, head: usize, scores: &mut Vec<f32>) {
        let (dim, width) = (self.shape.head_dim, self.shape.width());
        let (rows, keys) = (tile.rows.len(), tile.keys());
        scores.clear();
        scores.resize(rows * keys, 0.0);
        let scale = (dim as f32).powf(-0.5);
        let q = &self.qkv[tile.rows.start * width + head * dim..];
        let q = Matrix::strided(q, rows, dim, width);
        tile.each_part(|part, column| {
            let k = &self.qkv[part.start * width + self.shape.key_column(head)..];
            let k = Matrix::strided(k, part.len(), dim, width).transposed();
            let out = MatrixMut::strided(&mut scores[column..], rows, part.len(), keys);
            self.by.multiply(out, q, k, scale, false);
        });
    }

    /// `weights · rows`: multiplies a tile's `rows × keys` with the columns that begin at `column`, of
    /// the rows that are its keys, into rows of `out` that are `step` apart.
    fn mix(&self, tile: &Tile, weights: &[f32], column: usize, out: &mut [f32], step: usize) {
        let (rows, keys, width) = (tile.rows.len(), tile.keys(), self.shape.width());
        let dim = self.shape.head_dim;
        tile.each_part(|part, at| {
            let weights = Matrix::strided(&weights[at..], rows, part.len(), keys);
            let values = &self.qkv[part.start * width + column..];
            let values = Matrix::strided(values, part.len(), dim, width);
            let out = MatrixMut::strided(out, rows, dim, step);
            self.by.multiply(out, weights, values, 1.0, at > 0);
        });
    }
}

/// Attention. Returns the mixed values `[T, H·D]` and the logarithm of each row's sum, `[T, H]`.
pub(super) fn forward(projections: Projections<'_>, tiles: &Tiles) -> (Vec<f32>, Vec<f32>) {
    let shape = projections.shape;
    let (heads, dim) = (shape.heads, shape.head_dim);
    let mut out = vec![0.0; tiles.len() * heads * dim];
    let mut logs = vec![0.0; tiles.len() * heads];
    let (mut out_left, mut logs_left) = (&mut out[..], &mut logs[..]);
    let mut work = Vec::with_capacity(tiles.all.len());
    for tile in &tiles.all {
        let (out, rest) = out_left.split_at_mut(tile.rows.len() * heads * dim);
        let (logs, rest_logs) = logs_left.split_at_mut(tile.rows.len() * heads);
        (out_left, logs_left) = (rest, rest_logs);
        work.push((tile, out, logs));
    }
    work.into_par_iter().with_max_len(1).for_each_init(Vec::new, |weights, (tile, out, logs)| {
        let keys = tile.keys();
        for head in 0..heads {
            projections.scores(tile, head, weights);
            widest(|| {
                let rows = tile.rows.clone().zip(weights.chunks_exact_mut(keys));
                for ((row, weights), logs) in rows.zip(logs.chunks_exact_mut(heads)) {
                    let (hidden, end) = tile.hidden(row, &tiles.starts);
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

/// Gradient of `qkv` for the gradient `g` `[T, H·D]` of `out`.
pub(super) fn backward(
    projections: Projections<'_>,
    tiles: &Tiles,
    (out, logs): (&[f32], &[f32]),
    g: &[f32],
) -> Vec<f32> {
    let Projections { shape, qkv, .. } = projections;
    let (heads, dim, width) = (shape.heads, shape.head_dim, shape.width());
    let work: Vec<(usize, usize)> =
        (0..tiles.trees.len()).flat_map(|tree| (0..heads).map(move |head| (tree, head))).collect();
    let pass = Pass { projections, tiles, out, logs, g };
    let parts: Vec<HeadGradients> = work
        .par_iter()
        .with_max_len(1)
        .map_init(Default::default, |scratch, &(tree, head)| pass.backward(tree, head, scratch))
        .collect();
    // Heads that share keys and values add up, always in the same order.
    let mut d_qkv = vec![0.0; qkv.len()];
    for (part, &(tree, head)) in parts.iter().zip(&work) {
        let to = [head * dim, shape.key_column(head), shape.value_column(head)];
        for (values, column) in [&part.q, &part.k, &part.v].into_iter().zip(to) {
            let first = tiles.trees[tree].0.start * width;
            let rows = d_qkv[first..].chunks_exact_mut(width).zip(values.chunks_exact(dim));
            for (row, values) in rows {
                let row = &mut row[column..column + dim];
                row.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
    }
    d_qkv
}

/// Gradients of one head's queries, keys and values over the rows of a tree, `[t, D]` each.
struct HeadGradients {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// What the backward pass of every head reads.
struct Pass<'a> {
    projections: Projections<'a>,
    tiles: &'a Tiles,
    out: &'a [f32],
    logs: &'a [f32],
    g: &'a [f32],
}

impl Pass<'_> {
    fn backward(
        &self,
        tree: usize,
        head: usize,
        (weights, d_scores): &mut (Vec<f32>, Vec<f32>),
    ) -> HeadGradients {
        let Projections { shape, by, qkv } = self.projections;
        let (heads, dim, width) = (shape.heads, shape.head_dim, shape.width());
        let (tree_rows, tree_tiles) = self.tiles.trees[tree].clone();
        let empty = || vec![0.0; tree_rows.len() * dim];
        let mut gradients = HeadGradients { q: empty(), k: empty(), v: empty() };
        for tile in &self.tiles.all[tree_tiles] {
            let (rows, keys) = (tile.rows.len(), tile.keys());
            self.projections.scores(tile, head, weights);
            let start = tile.rows.start * heads * dim + head * dim;
            let g_rows = Matrix::strided(&self.g[start..], rows, dim, heads * dim);

            // Gradient of the weights: g · Vᵀ.
            d_scores.clear();
            d_scores.resize(rows * keys, 0.0);
            tile.each_part(|part, column| {
                let v = &qkv[part.start * width + shape.value_column(head)..];
                let v = Matrix::strided(v, part.len(), dim, width).transposed();
                let out = MatrixMut::strided(&mut d_scores[column..], rows, part.len(), keys);
                by.multiply(out, g_rows, v, 1.0, false);
            });
            widest(|| self.scores_backward(tile, head, weights, d_scores));

            // Queries: dS · K.
            let d_q = &mut gradients.q[(tile.rows.start - tree_rows.start) * dim..];
            self.projections.mix(tile, d_scores, shape.key_column(head), d_q, dim);
            // Keys: dSᵀ · Q; values: Pᵀ · g.
            let q = &qkv[tile.rows.start * width + head * dim..];
            let q = Matrix::strided(q, rows, dim, width);
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
        let shape = self.projections.shape;
        let (heads, dim, keys) = (shape.heads, shape.head_dim, tile.keys());
        let scale = (dim as f32).powf(-0.5);
        let rows = weights.chunks_exact_mut(keys).zip(d_scores.chunks_exact_mut(keys));
        for (row, (weights, d_scores)) in tile.rows.clone().zip(rows) {
            let at = row * heads * dim + head * dim;
            let along = sum2(&self.g[at..at + dim], &self.out[at..at + dim], |a, b| a * b);
            let (hidden, end) = tile.hidden(row, &self.tiles.starts);
            weights[hidden].fill(f32::NEG_INFINITY);
            weights[end..].fill(f32::NEG_INFINITY);
            let log = self.logs[row * heads + head];
            for (weight, d_score) in weights.iter_mut().zip(d_scores) {
                let hidden = *weight == f32::NEG_INFINITY;
                *weight = if hidden { 0.0 } else { exp(*weight - log) };
                *d_score = scale * *weight * (*d_score - along);
            }
        }
    }
}
