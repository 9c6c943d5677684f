//! Attention with the matrix tiles of the processor.
//!
//! Keys and values are packed once for all tiles of a tree, and softmax weights are rounded where
//! they are computed. Products are made of whole blocks of 32 columns, so a tile of rows is multiplied
//! with the blocks that hold a key it sees; what else is in them gets the weight zero.

use std::ops::Range;

use rayon::prelude::*;

use super::{HeadGradients, Projections, Tile, Tiles, sum_heads};
use crate::bf16::softmax::{Backward, Factors, Seen, softmax};
use crate::bf16::tile::{COLUMNS, Configured, LeftTiles, multiply_part};
use crate::bf16::{Kernel, Panels};
use crate::buffer::Buffer;
use crate::matmul::Matrix;
use crate::simd::{sum2, widest};

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
    fn seen(&self, tile: &Tile, starts: &[usize], start: usize, rows: usize, to: &mut Vec<Seen>) {
        let left_out = (self.second.start - self.first) * COLUMNS;
        to.clear();
        to.extend(tile.rows.clone().map(|row| Seen {
            root: tile.root.len(),
            own: starts[row] - start - left_out..row + 1 - start - left_out,
        }));
        to.resize(rows, Seen::default());
    }

    /// `out = left · right` for the columns of a right factor that has all keys of the tree.
    fn columns_of(&self, on: &Configured, left: &LeftTiles, right: &Panels, out: &mut Vec<f32>) {
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
        on: &Configured,
        left: &LeftTiles,
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

/// Keys and values of one head over the rows of a tree, `[t, D]` each.
struct Heads<'a> {
    projections: Projections<'a>,
    rows: Range<usize>,
}

impl<'a> Heads<'a> {
    fn part(&self, rows: &Range<usize>, column: usize) -> Matrix<'a> {
        let (dim, width) = (self.projections.shape.head_dim, self.projections.shape.width());
        let values = &self.projections.qkv[rows.start * width + column..];
        Matrix::strided(values, rows.len(), dim, width)
    }

    fn keys(&self, head: usize) -> Matrix<'a> {
        self.part(&self.rows, self.projections.shape.key_column(head))
    }

    fn values(&self, head: usize) -> Matrix<'a> {
        self.part(&self.rows, self.projections.shape.value_column(head))
    }
}

/// What `pack` makes of every tree and head of the keys, in the order of trees and then heads.
fn pack_keys<T: Send>(
    projections: Projections<'_>,
    tiles: &Tiles,
    pack: impl Fn(&Heads<'_>, usize) -> T + Sync,
) -> Vec<T> {
    let shape = projections.shape;
    let group = shape.heads / shape.key_heads;
    let work = tiles.each_head(shape.key_heads);
    let pack = |&(tree, head): &(usize, usize)| {
        let rows = tiles.trees[tree].0.clone();
        pack(&Heads { projections, rows }, head * group)
    };
    work.par_iter().with_max_len(1).map(pack).collect()
}

fn packed(matrix: Matrix<'_>, scale: f32) -> Panels {
    Panels::new(Kernel::Tile, matrix, scale)
}

#[derive(Default)]
struct ForwardScratch {
    q: LeftTiles,
    scores: Vec<f32>,
    seen: Vec<Seen>,
    sums: Vec<(f32, f32)>,
    weights: LeftTiles,
    mixed: Vec<f32>,
}

/// See [`super::forward`].
pub(super) fn forward(projections: Projections<'_>, tiles: &Tiles) -> (Buffer, Buffer) {
    let shape = projections.shape;
    let (heads, dim) = (shape.heads, shape.head_dim);
    let scale = (dim as f32).powf(-0.5);
    let packed = pack_keys(projections, tiles, |of, head| {
        (packed(of.keys(head).transposed(), scale), packed(of.values(head), 1.0))
    });
    let mut out = Buffer::unwritten(tiles.len() * heads * dim);
    let mut logs = Buffer::unwritten(tiles.len() * heads);
    let work = tiles.deal_out(&mut out, heads * dim, &mut logs, heads);
    let compute = |scratch: &mut ForwardScratch,
                   (tile, out, logs): (&Tile, &mut [f32], &mut [f32])| {
        let ForwardScratch { q, scores, seen, sums, weights, mixed } = scratch;
        let on = Configured::here();
        let tree = tiles.tree_of(tile);
        let all = Heads { projections, rows: tiles.trees[tree].0.clone() };
        let blocks = Blocks::of(tile, all.rows.start);
        let mixed_width = dim.next_multiple_of(COLUMNS);
        for head in 0..heads {
            let (keys, values) = &packed[tree * shape.key_heads + head * shape.key_heads / heads];
            q.pack(all.part(&tile.rows, head * dim));
            blocks.columns_of(&on, q, keys, scores);
            blocks.seen(tile, &tiles.starts, all.rows.start, q.rows(), seen);
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
    q: LeftTiles,
    g: LeftTiles,
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

impl Default for BackwardScratch {
    fn default() -> Self {
        Self {
            q: LeftTiles::default(),
            g: LeftTiles::default(),
            scores: Vec::new(),
            gradient: Vec::new(),
            seen: Vec::new(),
            logs: Vec::new(),
            factors: Factors {
                weights: Panels::for_tiles(),
                left: LeftTiles::default(),
                right: Panels::for_tiles(),
            },
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
pub(super) fn backward(
    projections: Projections<'_>,
    tiles: &Tiles,
    (out, logs): (&[f32], &[f32]),
    g: &[f32],
) -> Buffer {
    let shape = projections.shape;
    let scale = (shape.head_dim as f32).powf(-0.5);
    let packed = pack_keys(projections, tiles, |of, head| PackedKeys {
        keys_across: packed(of.keys(head).transposed(), scale),
        values_across: packed(of.values(head).transposed(), 1.0),
        keys: packed(of.keys(head), 1.0),
    });
    let work = tiles.each_head(shape.heads);
    let pass = Pass { projections, tiles, out, logs, g, packed: &packed };
    let parts: Vec<HeadGradients> = work
        .par_iter()
        .with_max_len(1)
        .map_init(BackwardScratch::default, |scratch, &(tree, head)| {
            pass.backward(tree, head, scratch)
        })
        .collect();
    sum_heads(shape, tiles, &work, &parts)
}

/// What the backward pass of every head reads.
struct Pass<'a> {
    projections: Projections<'a>,
    tiles: &'a Tiles,
    out: &'a [f32],
    logs: &'a [f32],
    g: &'a [f32],
    packed: &'a [PackedKeys],
}

impl Pass<'_> {
    fn backward(&self, tree: usize, head: usize, scratch: &mut BackwardScratch) -> HeadGradients {
        let shape = self.projections.shape;
        let (heads, dim) = (shape.heads, shape.head_dim);
        let (tree_rows, tree_tiles) = self.tiles.trees[tree].clone();
        let packed = &self.packed[tree * shape.key_heads + head * shape.key_heads / heads];
        let all = Heads { projections: self.projections, rows: tree_rows.clone() };
        let BackwardScratch { q, g, scores, gradient, seen, logs, factors, d_q, d_keys, d_values } =
            scratch;
        let (wide, long) =
            (dim.next_multiple_of(COLUMNS), tree_rows.len().next_multiple_of(COLUMNS));
        for sums in [&mut *d_keys, &mut *d_values] {
            sums.clear();
            sums.resize(wide * long, 0.0);
        }
        let mut of_queries = Buffer::unwritten(tree_rows.len() * dim);
        let on = Configured::here();
        for tile in &self.tiles.all[tree_tiles] {
            let blocks = Blocks::of(tile, tree_rows.start);
            let rows = tile.rows.len();
            let q_rows = all.part(&tile.rows, head * dim);
            let g_rows = &self.g[tile.rows.start * heads * dim + head * dim..];
            let g_rows = Matrix::strided(g_rows, rows, dim, heads * dim);
            q.pack(q_rows);
            g.pack(g_rows);
            blocks.columns_of(&on, q, &packed.keys_across, scores);
            blocks.columns_of(&on, g, &packed.values_across, gradient);
            blocks.seen(tile, &self.tiles.starts, tree_rows.start, q.rows(), seen);
            self.logs(tile, head, q.rows(), logs);
            let scale = (dim as f32).powf(-0.5);
            let columns = blocks.columns();
            Backward { columns, scores, gradient, seen, logs, scale }.compute(factors);

            // Queries: dS · K.
            d_q.resize(q.rows() * wide, 0.0);
            blocks.rows_of(&on, &factors.left, &packed.keys, d_q, wide);
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
                multiply_part(&on, (left, 0), (right, 0, first), steps, (sums, long), true);
                let second = blocks.first..blocks.first + blocks.second.len();
                let to = &mut sums[blocks.second.start * COLUMNS..];
                multiply_part(&on, (left, 0), (right, 0, second), steps, (to, long), true);
            }
        }
        let [k, v] = [&*d_keys, &*d_values].map(|sums| {
            let mut rows = Buffer::unwritten(tree_rows.len() * dim);
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
        let (heads, dim) = (self.projections.shape.heads, self.projections.shape.head_dim);
        to.clear();
        widest(
            #[inline(always)]
            || {
                for row in tile.rows.clone() {
                    let at = (row * heads + head) * dim;
                    let along = sum2(&self.g[at..at + dim], &self.out[at..at + dim], |a, b| a * b);
                    to.push((self.logs[row * heads + head], along));
                }
            },
        );
        to.resize(rows, (0.0, 0.0));
    }
}
