//! Attention of positions that are decoded one after the other, each the newest of its row.
//!
//! The rows of a tree share the keys and values of its root, which are packed once and multiplied with the
//! queries of all its rows at every step. What a row has of its own, its prompt and what was decoded, grows
//! by a position a step and is as short as an answer: it is read as it lies.

use std::fmt;
use std::ops::Range;

use rayon::prelude::*;

use super::AttentionShape;
use crate::attention::TreeRanges;
use crate::matmul::{Matrix, MatrixMut, Multiplier, RightFactor};
use crate::simd::{exp, sum2, widest};

/// Keys and values of one layer, turned to their positions, for the rows that still write.
pub struct KeyValueCache {
    shape: AttentionShape,
    trees: Vec<CachedTree>,
}

struct CachedTree {
    /// Positions of the root.
    root: usize,
    /// For each key head the keys across, `[D, R]` and scaled, and the values, `[R, D]`; none without a
    /// root.
    heads: Vec<(RightFactor, RightFactor)>,
    /// For each row the keys and values of its own positions, `[L, 2·K·D]`.
    rows: Vec<Vec<f32>>,
}

impl fmt::Debug for KeyValueCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: usize = self.trees.iter().map(|tree| tree.rows.len()).sum();
        write!(f, "KeyValueCache({rows} rows of {} trees)", self.trees.len())
    }
}

impl KeyValueCache {
    /// Takes the keys and values out of what a prefill computed, queries, keys and values
    /// `[T, (H + 2K)·D]`.
    pub(super) fn new(
        shape: AttentionShape,
        by: Multiplier,
        trees: &[TreeRanges],
        qkv: &[f32],
    ) -> Self {
        let (width, group) = (shape.width(), shape.heads / shape.key_heads);
        let tree = |tree: &TreeRanges| {
            let root = tree.root.len();
            let factors = |head: usize| {
                let part = |column: usize| {
                    let values = &qkv[tree.root.start * width + column..];
                    Matrix::strided(values, root, shape.head_dim, width)
                };
                let keys = part(shape.key_column(head * group)).transposed();
                let values = part(shape.value_column(head * group));
                (RightFactor::new(by, keys, shape.scale()), RightFactor::new(by, values, 1.0))
            };
            let heads = if root == 0 { 0..0 } else { 0..shape.key_heads };
            let row = |branch: &Range<usize>| {
                let positions = qkv[branch.start * width..branch.end * width].chunks_exact(width);
                positions.flat_map(|position| shape.keys_and_values(position)).copied().collect()
            };
            let rows = tree.branches.iter().map(row).collect();
            CachedTree { root, heads: heads.map(factors).collect(), rows }
        };
        Self { shape, trees: trees.par_iter().map(tree).collect() }
    }

    /// Adds the newest position of every row, queries, keys and values `[B, (H + 2K)·D]`, and attends
    /// from it to all that the row has: `[B, H·D]`.
    pub(super) fn attend(&mut self, qkv: &[f32]) -> Vec<f32> {
        let shape = self.shape;
        let (width, wide) = (shape.width(), shape.heads * shape.head_dim);
        let rows = self.trees.iter_mut().flat_map(|tree| &mut tree.rows);
        for (row, newest) in rows.zip(qkv.chunks_exact(width)) {
            row.extend_from_slice(shape.keys_and_values(newest));
        }
        let mut first = 0;
        let mut work = Vec::with_capacity(self.trees.len() * shape.key_heads);
        for tree in &self.trees {
            let rows = first..first + tree.rows.len();
            work.extend((0..shape.key_heads).map(|head| (tree, rows.clone(), head)));
            first = rows.end;
        }
        let mixed: Vec<Vec<f32>> = work
            .par_iter()
            .with_max_len(1)
            .map_init(Scratch::default, |scratch, (tree, rows, head)| {
                tree.mix(shape, &qkv[rows.start * width..rows.end * width], *head, scratch)
            })
            .collect();
        let mut out = vec![0.0; first * wide];
        let part = wide / shape.key_heads;
        for ((_, rows, head), mixed) in work.into_iter().zip(mixed) {
            for (row, mixed) in rows.zip(mixed.chunks_exact(part)) {
                out[row * wide + head * part..][..part].copy_from_slice(mixed);
            }
        }
        out
    }

    /// Keeps some rows, given in ascending order, and drops the others.
    pub fn keep(&mut self, rows: &[usize]) {
        let (mut kept, mut row) = (rows.iter().copied().peekable(), 0);
        for tree in &mut self.trees {
            tree.rows.retain(|_| {
                row += 1;
                kept.next_if_eq(&(row - 1)).is_some()
            });
        }
        self.trees.retain(|tree| !tree.rows.is_empty());
    }
}

#[derive(Default)]
struct Scratch {
    queries: Vec<f32>,
    shared: Vec<f32>,
    own: Vec<f32>,
}

impl CachedTree {
    /// Values mixed by the query heads of one key head, `[B, G·D]`, for queries, keys and values
    /// `[B, (H + 2K)·D]` of the tree's rows.
    fn mix(
        &self,
        shape: AttentionShape,
        qkv: &[f32],
        head: usize,
        scratch: &mut Scratch,
    ) -> Vec<f32> {
        let AttentionShape { heads, key_heads, head_dim: dim } = shape;
        let group = heads / key_heads;
        let Scratch { queries, shared, own } = scratch;
        queries.clear();
        for row in qkv.chunks_exact(shape.width()) {
            queries.extend_from_slice(&row[head * group * dim..][..group * dim]);
        }
        // A query a line: the heads of a row, then those of the next.
        let (lines, root) = (queries.len() / dim, self.root);
        shared.clear();
        shared.resize(lines * root, 0.0);
        let factors = self.heads.get(head);
        if let Some((keys, _)) = factors {
            let out = MatrixMut::new(shared, lines, root);
            keys.multiply(out, Matrix::new(queries, lines, dim), false);
        }
        let mut mixed = vec![0.0; lines * dim];
        own.clear();
        let mut sums = Vec::with_capacity(lines);
        widest!({
            for (line, query) in queries.chunks_exact(dim).enumerate() {
                let scores = own.len();
                for position in self.positions(shape, line / group) {
                    let key = &position[head * dim..][..dim];
                    own.push(shape.scale() * sum2(query, key, |a, b| a * b));
                }
                let shared = &mut shared[line * root..][..root];
                sums.push(exponentials(shared, &mut own[scores..]));
            }
        });
        if let Some((_, values)) = factors {
            let out = MatrixMut::new(&mut mixed, lines, dim);
            values.multiply(out, Matrix::new(shared, lines, root), false);
        }
        let mut own = own.iter();
        widest!({
            for ((line, mixed), sum) in mixed.chunks_exact_mut(dim).enumerate().zip(&sums) {
                let values = (key_heads + head) * dim;
                for (position, &weight) in self.positions(shape, line / group).zip(&mut own) {
                    for (mixed, value) in mixed.iter_mut().zip(&position[values..][..dim]) {
                        *mixed += weight * value;
                    }
                }
                let inverse = 1.0 / sum;
                for mixed in mixed {
                    *mixed *= inverse;
                }
            }
        });
        mixed
    }

    /// Keys and values of a row's own positions, `[2·K·D]` each.
    fn positions(&self, shape: AttentionShape, row: usize) -> std::slice::ChunksExact<'_, f32> {
        self.rows[row].chunks_exact(shape.kept())
    }
}

/// Takes the exponentials of the scores of one query, less the largest of them; returns their sum.
#[expect(clippy::inline_always, reason = "a loop is compiled for wide vectors where it is inlined")]
#[inline(always)]
fn exponentials(shared: &mut [f32], own: &mut [f32]) -> f32 {
    let mut top = f32::NEG_INFINITY;
    for score in shared.iter().chain(&*own) {
        top = top.max(*score);
    }
    let mut sum = 0.0;
    for scores in [shared, own] {
        for score in &mut *scores {
            *score = exp(*score - top);
        }
        sum += sum2(scores, scores, |score, _| score);
    }
    sum
}
