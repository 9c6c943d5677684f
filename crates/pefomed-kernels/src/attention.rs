//! Attention over packed message trees and over whole images.
//!
//! A position attends to its tree's root and to its own branch, up to itself. The layout comes as
//! ranges; this plain implementation, made of framework operations for any device, works tree by
//! tree, so that its score matrices are as large as the largest tree and never as the batch.

use std::ops::Range;

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Tensor, TensorData};

/// Where one tree lies in the sequence: the root, then each branch, directly one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeRanges {
    /// Positions of the root; may be empty.
    pub root: Range<usize>,
    /// Positions of each branch.
    pub branches: Vec<Range<usize>>,
}

impl TreeRanges {
    fn whole(&self) -> Range<usize> {
        self.root.start..self.branches.last().map_or(self.root.end, |branch| branch.end)
    }

    /// Row-major square over the tree: whether position `i` must not see position `j`. With a
    /// window `w` a position sees no more than the last `w` on its own way from the first of the
    /// root, itself among them.
    fn forbidden(&self, window: Option<usize>) -> Vec<bool> {
        let window = window.unwrap_or(usize::MAX);
        let whole = self.whole();
        let size = whole.len();
        let mut forbidden = vec![true; size * size];
        let mut allow = |row: usize, columns: Range<usize>| {
            let start = row * size;
            forbidden[start + columns.start..start + columns.end].fill(false);
        };
        let root = self.root.len();
        for row in 0..root {
            allow(row, (row + 1).saturating_sub(window)..row + 1);
        }
        for branch in &self.branches {
            let (start, end) = (branch.start - whole.start, branch.end - whole.start);
            for row in start..end {
                // Its place in the branch, then in the question alone.
                let own = row - start;
                allow(row, (root + own + 1).saturating_sub(window).min(root)..root);
                allow(row, start + (own + 1).saturating_sub(window)..row + 1);
            }
        }
        forbidden
    }
}

/// Causal attention over the trees of one batch; made once, used by every layer.
#[derive(Clone, Debug)]
pub struct TreeAttention {
    trees: Vec<(Range<usize>, Tensor<2, Bool>)>,
}

impl TreeAttention {
    /// Prepares the layout of a batch for a device.
    pub fn new(trees: &[TreeRanges], device: &Device) -> Self {
        Self::with_window(trees, None, device)
    }

    /// As [`new`](Self::new), for layers where a position sees no more than the last `window`
    /// positions of its question as it would be alone, itself among them (arXiv 2310.06825).
    pub fn with_window(trees: &[TreeRanges], window: Option<usize>, device: &Device) -> Self {
        let trees = trees
            .iter()
            .map(|tree| {
                let whole = tree.whole();
                let data = TensorData::new(tree.forbidden(window), [whole.len(), whole.len()]);
                (whole, Tensor::from_data(data, device))
            })
            .collect();
        Self { trees }
    }

    /// Grouped-query attention: `q` is `[T, H, D]`, `k` and `v` are `[T, K, D]` with `H` a multiple
    /// of `K`; query head `h` reads key head `h / (H / K)`. Returns `[T, H · D]`.
    pub fn forward(&self, q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<2> {
        let outputs = self
            .trees
            .iter()
            .map(|(range, forbidden)| {
                let part = |x: &Tensor<3>| x.clone().narrow(0, range.start, range.len());
                grouped_attention(part(&q), part(&k), part(&v), Some(forbidden.clone()))
            })
            .collect::<Vec<_>>();
        match <[_; 1]>::try_from(outputs) {
            Ok([only]) => only,
            Err(outputs) => Tensor::cat(outputs, 0),
        }
    }
}

/// Attention of every position to every other, as vision encoders have it.
///
/// `q`, `k` and `v` are `[T, H, D]`; returns `[T, H · D]`.
pub fn full_attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>) -> Tensor<2> {
    grouped_attention(q, k, v, None)
}

fn grouped_attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    forbidden: Option<Tensor<2, Bool>>,
) -> Tensor<2> {
    let [length, heads, head_dim] = q.dims();
    let [keys, key_heads, _] = k.dims();
    let group = heads / key_heads;
    // [K, G·T, D]: the heads of a group share their keys in one product.
    let q = q.mul_scalar((head_dim as f64).powf(-0.5)).swap_dims(0, 1);
    let q = q.reshape([key_heads, group * length, head_dim]);
    let scores = q.matmul(k.swap_dims(0, 1).swap_dims(1, 2));
    let scores = match forbidden {
        Some(forbidden) => scores
            .reshape([key_heads, group, length, keys])
            .mask_fill(
                forbidden.unsqueeze::<4>().expand([key_heads, group, length, keys]),
                f64::NEG_INFINITY,
            )
            .reshape([key_heads, group * length, keys]),
        None => scores,
    };
    let mixed = softmax(scores, 2).matmul(v.swap_dims(0, 1));
    mixed.reshape([heads, length, head_dim]).swap_dims(0, 1).reshape([length, heads * head_dim])
}

/// One step of decoding: each row is the newest position of a branch and attends to the root of
/// its tree, which all rows share, and to its own earlier positions.
///
/// * `q`: `[B, H, D]`
/// * `root_k`, `root_v`: `[R, K, D]`
/// * `own_k`, `own_v`: `[B, L, K, D]`, filled from the left
/// * `unfilled`: `[B, L]`, true where a row has no position yet
///
/// Returns `[B, H · D]`.
pub fn decode_attention(
    q: Tensor<3>,
    root_k: Tensor<3>,
    root_v: Tensor<3>,
    own_k: Tensor<4>,
    own_v: Tensor<4>,
    unfilled: Tensor<2, Bool>,
) -> Tensor<2> {
    let [rows, heads, head_dim] = q.dims();
    let [root, key_heads, _] = root_k.dims();
    let [_, own, _, _] = own_k.dims();
    let group = heads / key_heads;
    let q = q.mul_scalar((head_dim as f64).powf(-0.5)).reshape([rows, key_heads, group, head_dim]);
    let own_scores = q.clone().matmul(own_k.swap_dims(1, 2).swap_dims(2, 3)).mask_fill(
        unfilled.reshape([rows, 1, 1, own]).expand([rows, key_heads, group, own]),
        f64::NEG_INFINITY,
    );
    // [K, B·G, D]: one product over the shared root for all rows.
    let by_head =
        |x: Tensor<4>, width: usize| x.swap_dims(0, 1).reshape([key_heads, rows * group, width]);
    let by_row =
        |x: Tensor<3>, width: usize| x.reshape([key_heads, rows, group, width]).swap_dims(0, 1);
    if root == 0 {
        let mixed = softmax(own_scores, 3).matmul(own_v.swap_dims(1, 2));
        return mixed.reshape([rows, heads * head_dim]);
    }
    let root_scores = by_head(q, head_dim).matmul(root_k.swap_dims(0, 1).swap_dims(1, 2));
    let weights = softmax(Tensor::cat(vec![by_row(root_scores, root), own_scores], 3), 3);
    let root_weights = by_head(weights.clone().narrow(3, 0, root), root);
    let root_mixed = by_row(root_weights.matmul(root_v.swap_dims(0, 1)), head_dim);
    let own_mixed = weights.narrow(3, root, own).matmul(own_v.swap_dims(1, 2));
    (root_mixed + own_mixed).reshape([rows, heads * head_dim])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_sees_the_root_and_itself() {
        let tree = TreeRanges { root: 4..6, branches: vec![6..8, 8..9] };
        let seen = |window| -> Vec<String> {
            let forbidden = tree.forbidden(window);
            let rows = forbidden.chunks(5);
            rows.map(|row| row.iter().map(|&no| if no { '.' } else { 'x' }).collect()).collect()
        };
        assert_eq!(seen(None), ["x....", "xx...", "xxx..", "xxxx.", "xx..x"]);
        assert_eq!(seen(Some(4)), seen(None));
        // Three at most: the last of the first branch no longer sees the first of the root.
        assert_eq!(seen(Some(3)), ["x....", "xx...", "xxx..", ".xxx.", "xx..x"]);
        assert_eq!(seen(Some(2)), ["x....", "xx...", ".xx..", "..xx.", ".x..x"]);
        assert_eq!(seen(Some(1)), ["x....", ".x...", "..x..", "...x.", "....x"]);
    }

    #[test]
    fn decoding_continues_what_the_whole_sequence_computes() {
        let device = Device::flex();
        let (heads, key_heads, dim) = (4, 2, 6);
        let fill = |count: usize, salt: f32| -> Vec<f32> {
            (0..count).map(|i| (i as f32 * 0.37 + salt).sin()).collect()
        };
        let tensor = |rows: usize, heads: usize, salt: f32| -> Tensor<3> {
            let data = TensorData::new(fill(rows * heads * dim, salt), [rows, heads, dim]);
            Tensor::from_data(data, &device)
        };
        // Root of 3, branches of 2 and 3 positions.
        let tree = TreeRanges { root: 0..3, branches: vec![3..5, 5..8] };
        let (q, k, v) =
            (tensor(8, heads, 0.1), tensor(8, key_heads, 0.5), tensor(8, key_heads, 0.9));
        let whole = TreeAttention::new(&[tree], &device).forward(q.clone(), k.clone(), v.clone());

        let rows =
            |x: &Tensor<3>, range: Range<usize>| x.clone().narrow(0, range.start, range.len());
        // The first row has two positions of its own and room for a third.
        let own = |x: &Tensor<3>| {
            let room = rows(x, 0..1);
            let short = Tensor::cat(vec![rows(x, 3..5), room], 0);
            Tensor::stack::<4>(vec![short, rows(x, 5..8)], 0)
        };
        let unfilled = Tensor::from_data([[false, false, true], [false, false, false]], &device);
        let last = Tensor::cat(vec![rows(&q, 4..5), rows(&q, 7..8)], 0);
        let step =
            decode_attention(last, rows(&k, 0..3), rows(&v, 0..3), own(&k), own(&v), unfilled);
        let expected = Tensor::cat(vec![whole.clone().narrow(0, 4, 1), whole.narrow(0, 7, 1)], 0);
        let difference: f32 = (step - expected).abs().max().into_scalar();
        assert!(difference < 1e-6, "{difference}");
    }
}
