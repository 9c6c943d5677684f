//! Grouped-query attention over message trees, forward and backward, a tile of rows at a time.
//!
//! A row sees its tree's root and its own branch up to itself: two ranges. A tile of up to 64 rows,
//! of the root or of neighbouring branches, is multiplied with the keys of those ranges only; its
//! scores are the only ones that exist. Each row keeps the logarithm of its softmax sum, from which the
//! backward pass computes the weights again (FlashAttention-2, arXiv 2307.08691, has the same
//! recomputation; the ranges are those of message trees).
//!
//! [`exact`] multiplies in float32; [`rounded`] is the same in bfloat16.

mod exact;
mod rounded;

use std::ops::Range;

use rayon::prelude::*;

use super::AttentionShape;
use crate::attention::TreeRanges;
use crate::buffer::Buffer;
use crate::matmul::{Matrix, Multiplier};
use crate::simd::sum2;

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
    /// it sees the root, nothing of `hidden`, and then what it sees of its `own` part.
    fn hidden(&self, own: &Range<usize>) -> (Range<usize>, usize) {
        let root = self.root.len();
        (root..root + own.start - self.local.start, root + own.end - self.local.start)
    }
}

/// The layout of a batch, cut into tiles once for all layers.
#[derive(Debug)]
pub(super) struct Tiles {
    /// In the order of their rows, without gaps.
    all: Vec<Tile>,
    /// What each row sees of its own part: up to itself in a message tree.
    own: Vec<Range<usize>>,
    /// Rows of each tree, and its tiles.
    trees: Vec<(Range<usize>, Range<usize>)>,
    /// Rows before this one are seen, and nothing is computed of them.
    first: usize,
}

impl std::fmt::Debug for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} sees {:?} and {:?}", self.rows, self.root, self.local)
    }
}

impl Tiles {
    pub(super) fn new(trees: &[TreeRanges]) -> Self {
        let mut this = Self { all: Vec::new(), own: Vec::new(), trees: Vec::new(), first: 0 };
        for tree in trees {
            let first = this.all.len();
            this.own.extend(tree.root.clone().map(|row| tree.root.start..row + 1));
            for branch in &tree.branches {
                this.own.extend(branch.clone().map(|row| branch.start..row + 1));
            }
            let end = tree.branches.last().map_or(tree.root.end, |branch| branch.end);
            this.cut(tree.root.clone(), tree.root.start..tree.root.start);
            this.cut(tree.root.end..end, tree.root.clone());
            this.trees.push((tree.root.start..end, first..this.all.len()));
        }
        this
    }

    /// Rows that all see one another.
    pub(super) fn full(rows: usize) -> Self {
        let own = vec![0..rows; rows];
        let mut this = Self { all: Vec::new(), own, trees: Vec::new(), first: 0 };
        this.cut(0..rows, 0..0);
        this.trees.push((0..rows, 0..this.all.len()));
        this
    }

    /// The rows from `first` on alone. Each sees the keys that it would have seen, in the same tiles.
    pub(super) fn after(mut self, first: usize) -> Self {
        let before = self.all.iter().take_while(|tile| tile.rows.end <= first).count();
        self.all.drain(..before);
        if let Some(tile) = self.all.first_mut() {
            tile.rows.start = tile.rows.start.max(first);
        }
        for (_, tiles) in &mut self.trees {
            *tiles = tiles.start.saturating_sub(before)..tiles.end.saturating_sub(before);
        }
        Self { first, ..self }
    }

    fn cut(&mut self, rows: Range<usize>, root: Range<usize>) {
        for first in rows.clone().step_by(TILE) {
            let rows = first..(first + TILE).min(rows.end);
            let local = self.own[first].start..self.own[rows.end - 1].end;
            self.all.push(Tile { rows, root: root.clone(), local });
        }
    }

    /// Number of rows that are computed.
    pub(super) fn len(&self) -> usize {
        self.own.len() - self.first
    }

    /// The tree that a tile belongs to.
    fn tree_of(&self, tile: &Tile) -> usize {
        self.trees.partition_point(|(rows, _)| rows.end <= tile.rows.start)
    }

    /// Each tile with its rows of two matrices, which are as wide as is said.
    fn deal_out<'a>(
        &'a self,
        mut first: &'a mut [f32],
        first_width: usize,
        mut second: &'a mut [f32],
        second_width: usize,
    ) -> Vec<(&'a Tile, &'a mut [f32], &'a mut [f32])> {
        let deal = |tile: &'a Tile| {
            let rows = tile.rows.len();
            let mine = first.split_off_mut(..rows * first_width).unwrap_or_default();
            let mine_too = second.split_off_mut(..rows * second_width).unwrap_or_default();
            (tile, mine, mine_too)
        };
        self.all.iter().map(deal).collect()
    }

    /// Every tree with every one of so many heads.
    fn each_head(&self, heads: usize) -> Vec<(usize, usize)> {
        (0..self.trees.len()).flat_map(|tree| (0..heads).map(move |head| (tree, head))).collect()
    }
}

/// Queries, keys and values `[T, (H + 2K)·D]`, each row's side by side, and how they are multiplied.
#[derive(Clone, Copy)]
pub(super) struct Projections<'a> {
    pub(super) shape: AttentionShape,
    pub(super) by: Multiplier,
    pub(super) qkv: &'a [f32],
}

impl<'a> Projections<'a> {
    /// One head of queries, keys or values, which begins at `column`, in some rows: `[rows, D]`.
    fn part(&self, rows: &Range<usize>, column: usize) -> Matrix<'a> {
        let width = self.shape.width();
        let values = &self.qkv[rows.start * width + column..];
        Matrix::strided(values, rows.len(), self.shape.head_dim, width)
    }
}

/// Attention. Returns the mixed values `[T, H·D]` and the logarithm of each row's sum, `[T, H]`, of the rows
/// that are computed; `projections` has all.
pub(super) fn forward(projections: Projections<'_>, tiles: &Tiles) -> (Buffer, Buffer) {
    match projections.by {
        Multiplier::Bf16(kernel) => rounded::forward(projections, kernel, tiles),
        Multiplier::Float32 => exact::forward(projections, tiles),
    }
}

/// Gradient of `qkv` for the gradient `g` `[T, H·D]` of `out`.
pub(super) fn backward(
    projections: Projections<'_>,
    tiles: &Tiles,
    (out, logs): (&[f32], &[f32]),
    g: &[f32],
) -> Buffer {
    let pass = Pass { projections, tiles, out, logs, g };
    match projections.by {
        Multiplier::Bf16(kernel) => rounded::backward(&pass, kernel),
        Multiplier::Float32 => exact::backward(&pass),
    }
}

/// What the backward pass of every head reads.
struct Pass<'a> {
    projections: Projections<'a>,
    tiles: &'a Tiles,
    out: &'a [f32],
    logs: &'a [f32],
    g: &'a [f32],
}

impl<'a> Pass<'a> {
    /// The gradient of one head in some rows, `[rows, D]`.
    fn g_part(&self, rows: &Range<usize>, head: usize) -> Matrix<'a> {
        let AttentionShape { heads, head_dim, .. } = self.projections.shape;
        let values = &self.g[(rows.start * heads + head) * head_dim..];
        Matrix::strided(values, rows.len(), head_dim, heads * head_dim)
    }

    /// The logarithm of a row's sum, and the sum of its weights times their gradients, which is that of
    /// its outputs times theirs.
    #[expect(clippy::inline_always, reason = "compiled for wide vectors only where it is inlined")]
    #[inline(always)]
    fn log_and_along(&self, row: usize, head: usize) -> (f32, f32) {
        let AttentionShape { heads, head_dim, .. } = self.projections.shape;
        let place = row * heads + head;
        let at = place * head_dim..(place + 1) * head_dim;
        (self.logs[place], sum2(&self.g[at.clone()], &self.out[at], |a, b| a * b))
    }

    /// The gradient of `qkv`, from what `backward` makes of each tree and head with memory of its own.
    fn each_head<S>(
        &self,
        memory: impl Fn() -> S + Sync + Send,
        backward: impl Fn(&mut S, usize, usize) -> HeadGradients + Sync + Send,
    ) -> Buffer {
        let work = self.tiles.each_head(self.projections.shape.heads);
        let parts: Vec<HeadGradients> = work
            .par_iter()
            .with_max_len(1)
            .map_init(memory, |memory, &(tree, head)| backward(memory, tree, head))
            .collect();
        sum_heads(self.projections.shape, self.tiles, &work, &parts)
    }
}

/// Gradients of one head's queries, keys and values over the rows of a tree, `[t, D]` each.
struct HeadGradients {
    q: Buffer,
    k: Buffer,
    v: Buffer,
}

/// The gradient of `qkv` from those of every tree and head in `work`. Heads that share keys and values
/// add up, always in the same order.
fn sum_heads(
    shape: AttentionShape,
    tiles: &Tiles,
    work: &[(usize, usize)],
    parts: &[HeadGradients],
) -> Buffer {
    let (dim, width) = (shape.head_dim, shape.width());
    let mut d_qkv = Buffer::unwritten(tiles.len(), width);
    d_qkv.par_chunks_mut(TILE * width).enumerate().with_max_len(1).for_each(|(chunk, d_qkv)| {
        let rows = chunk * TILE..chunk * TILE + d_qkv.len() / width;
        d_qkv.fill(0.0);
        for (part, &(tree, head)) in parts.iter().zip(work) {
            let tree = &tiles.trees[tree].0;
            let both = rows.start.max(tree.start)..rows.end.min(tree.end);
            if both.is_empty() {
                continue;
            }
            let to = [head * dim, shape.key_column(head), shape.value_column(head)];
            for (values, column) in [&part.q, &part.k, &part.v].into_iter().zip(to) {
                let values = values[(both.start - tree.start) * dim..].chunks_exact(dim);
                let sums = d_qkv[(both.start - rows.start) * width..].chunks_exact_mut(width);
                for (sums, values) in sums.zip(values).take(both.len()) {
                    let sums = &mut sums[column..column + dim];
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
                }
            }
        }
    });
    d_qkv
}

#[cfg(test)]
mod tests;
