//! Keys and values of the rows that still write.

use std::ops::Range;

use burn::tensor::{Bool, Int, Tensor, TensorData};
use pefomed_data::PackedBatch;
use pefomed_data::pack::TreeSpan;
use pefomed_kernels::attention::decode_attention;
use pefomed_kernels::fused::KeyValueCache;

use super::KnownPrompt;
use crate::parameters::Placement;

/// What decoding knows of the positions before: a layer is added as a prefill comes through it, and
/// every row grows by a position a step.
#[derive(Debug)]
pub struct DecodeCache {
    trees: Vec<TreeRows>,
    layers: Vec<CachedLayer>,
    place: Placement,
    /// What is known of the only prompt, and learned of it by the prefill.
    known: Option<KnownPrompt>,
}

/// The rows of one tree.
#[derive(Clone, Debug)]
struct TreeRows {
    root: Range<usize>,
    /// Positions of each row's prompt in the prefill.
    branches: Vec<Range<usize>>,
    /// Length of the longest that there was. Plain layers fill the own keys of the others up to it, and
    /// append new tokens as a column for all rows, since attention does not mind the order.
    longest: usize,
    /// Position id of each row's next token.
    next: Vec<u32>,
}

/// A layer, as its decoder computes it.
#[derive(Debug)]
enum CachedLayer {
    Plain(Vec<PlainTree>),
    Frozen(KeyValueCache),
}

/// Keys and values of one tree in tensors.
#[derive(Clone, Debug)]
struct PlainTree {
    /// `[R, K, D]`, shared by the tree's rows.
    root: (Tensor<3>, Tensor<3>),
    /// `[B, L, K, D]`: each row's own positions.
    own: (Tensor<4>, Tensor<4>),
}

impl DecodeCache {
    /// A cache for the branches of a batch, of which no layer is there yet.
    pub(crate) fn new(batch: &PackedBatch, known: Option<KnownPrompt>, place: &Placement) -> Self {
        let trees = batch.trees.iter().map(TreeRows::new).collect();
        Self { trees, layers: Vec::new(), place: place.clone(), known }
    }

    /// What is known of the prompt after the prefill.
    pub(crate) fn take_known(&mut self) -> Option<KnownPrompt> {
        self.known.take()
    }

    /// Keys and values of the prompt's positions before those of the prefill, in one layer.
    pub(super) fn earlier(&mut self, layer: usize) -> Option<&mut Vec<f32>> {
        self.known.as_mut().map(|known| known.layer(layer))
    }

    /// Adds the next layer: keys (turned to their positions) and values of the prefill, `[T, K, D]`.
    pub(super) fn push(&mut self, k: &Tensor<3>, v: &Tensor<3>) {
        let trees = self.trees.iter().map(|tree| PlainTree {
            root: (tree.root_of(k), tree.root_of(v)),
            own: (tree.own(k), tree.own(v)),
        });
        self.layers.push(CachedLayer::Plain(trees.collect()));
    }

    /// Adds the next layer, which is a packed one.
    pub(super) fn push_frozen(&mut self, layer: KeyValueCache) {
        self.layers.push(CachedLayer::Frozen(layer));
    }

    /// Position ids of the tokens about to be decoded, by which every row becomes longer.
    pub(super) fn begin_step(&mut self) -> Vec<u32> {
        let positions = self.trees.iter().flat_map(|tree| tree.next.iter().copied()).collect();
        for tree in &mut self.trees {
            tree.next.iter_mut().for_each(|position| *position += 1);
        }
        positions
    }

    /// A packed layer.
    pub(super) fn frozen(&mut self, layer: usize) -> &mut KeyValueCache {
        match &mut self.layers[layer] {
            CachedLayer::Frozen(layer) => layer,
            CachedLayer::Plain(_) => {
                unreachable!("the decoder that filled the cache has packed layers")
            }
        }
    }

    /// Adds the new keys and values of a plain layer, `[B, K, D]`, and attends to all there are, or to
    /// the last `window` positions.
    pub(super) fn attend(
        &mut self,
        layer: usize,
        window: Option<usize>,
        q: &Tensor<3>,
        (k, v): (&Tensor<3>, &Tensor<3>),
    ) -> Tensor<2> {
        let CachedLayer::Plain(layer) = &mut self.layers[layer] else {
            unreachable!("the decoder that filled the cache has plain layers")
        };
        let mut start = 0;
        let mut mixed = Vec::with_capacity(self.trees.len());
        for (tree, cached) in self.trees.iter().zip(layer) {
            let count = tree.next.len();
            let rows = |x: &Tensor<3>| x.clone().narrow(0, start, count);
            let appended = |old: &Tensor<4>, new: &Tensor<3>| {
                Tensor::cat(vec![old.clone(), rows(new).unsqueeze_dim::<4>(1)], 1)
            };
            cached.own = (appended(&cached.own.0, k), appended(&cached.own.1, v));
            let is_within = |window: &usize| tree.next.iter().any(|&next| next as usize > *window);
            mixed.push(match window.filter(is_within) {
                Some(window) => tree.attend_within(cached, window, rows(q), &self.place),
                None => tree.attend(cached, rows(q), &self.place),
            });
            start += count;
        }
        Tensor::cat(mixed, 0)
    }

    /// Keeps some rows, given in ascending order, and drops the others.
    pub(crate) fn keep(&mut self, rows: &[usize]) {
        let mut start = 0;
        let mut kept = Vec::with_capacity(self.trees.len());
        for tree in &mut self.trees {
            let end = start + tree.next.len();
            let inside = rows.iter().filter(|row| (start..end).contains(*row));
            let inside: Vec<usize> = inside.map(|row| row - start).collect();
            tree.keep(&inside);
            kept.push(inside);
            start = end;
        }
        for layer in &mut self.layers {
            match layer {
                CachedLayer::Frozen(layer) => layer.keep(rows),
                CachedLayer::Plain(trees) => {
                    let pairs = std::mem::take(trees).into_iter().zip(&kept);
                    let left = pairs.filter(|(_, rows)| !rows.is_empty());
                    *trees = left.map(|(tree, rows)| tree.only(rows, &self.place)).collect();
                }
            }
        }
        self.trees.retain(|tree| !tree.next.is_empty());
    }
}

impl TreeRows {
    fn new(tree: &TreeSpan) -> Self {
        let branches: Vec<Range<usize>> =
            tree.branches.iter().map(|branch| branch.range.clone()).collect();
        Self {
            next: branches.iter().map(|it| (tree.root.len() + it.len()) as u32).collect(),
            longest: branches.iter().map(Range::len).max().unwrap_or(0),
            root: tree.root.clone(),
            branches,
        }
    }

    /// For each row, whether each of so many columns of own keys holds no position of it.
    fn unfilled(&self, columns: usize) -> impl Iterator<Item = impl Iterator<Item = bool>> {
        self.branches.iter().map(move |branch| {
            let missing = branch.len()..self.longest;
            (0..columns).map(move |column| missing.contains(&column))
        })
    }

    /// The rows of the root in `[T, K, D]`.
    fn root_of(&self, x: &Tensor<3>) -> Tensor<3> {
        if self.root.is_empty() {
            // The framework does not narrow to nothing.
            let [_, heads, dim] = x.dims();
            return Tensor::zeros([0, heads, dim], (&x.device(), x.dtype()));
        }
        x.clone().narrow(0, self.root.start, self.root.len())
    }

    /// The branches of `[T, K, D]` as rows, filled up to the longest.
    fn own(&self, x: &Tensor<3>) -> Tensor<4> {
        let [_, heads, dim] = x.dims();
        let longest = self.longest;
        let row = |branch: &Range<usize>| {
            let row = x.clone().narrow(0, branch.start, branch.len());
            if branch.len() == longest {
                return row;
            }
            let missing = [longest - branch.len(), heads, dim];
            Tensor::cat(vec![row, Tensor::zeros(missing, (&x.device(), x.dtype()))], 0)
        };
        Tensor::stack::<4>(self.branches.iter().map(row).collect(), 0)
    }

    fn attend(&self, cached: &PlainTree, q: Tensor<3>, place: &Placement) -> Tensor<2> {
        let PlainTree { root, own } = cached.clone();
        let [rows, columns, ..] = own.0.dims();
        let unfilled: Vec<bool> = self.unfilled(columns).flatten().collect();
        let unfilled = TensorData::new(unfilled, [rows, columns]);
        let unfilled = Tensor::<2, Bool>::from_data(unfilled, &place.device);
        decode_attention(q, root.0, root.1, own.0, own.1, unfilled)
    }

    /// Attends to the last `window` positions of each row, which may begin in the root: every row
    /// then sees another part of it and gets a copy of its own.
    fn attend_within(
        &self,
        PlainTree { root, own }: &PlainTree,
        window: usize,
        q: Tensor<3>,
        place: &Placement,
    ) -> Tensor<2> {
        let [root_length, heads, dim] = root.0.dims();
        let count = self.next.len();
        let mut hidden = Vec::new();
        for (&next, unfilled) in self.next.iter().zip(self.unfilled(own.0.dims()[1])) {
            let oldest = (next as usize).saturating_sub(window);
            hidden.extend((0..root_length).map(|position| position < oldest));
            let mut position = root_length;
            for unfilled in unfilled {
                hidden.push(unfilled || position < oldest);
                position += usize::from(!unfilled);
            }
        }
        let whole = |root: &Tensor<3>, own: &Tensor<4>| {
            if root_length == 0 {
                return own.clone();
            }
            let root = root.clone().unsqueeze::<4>().expand([count, root_length, heads, dim]);
            Tensor::cat(vec![root, own.clone()], 1)
        };
        let (k, v) = (whole(&root.0, &own.0), whole(&root.1, &own.1));
        let hidden = TensorData::new(hidden, [count, k.dims()[1]]);
        let none = Tensor::zeros([0, heads, dim], (&k.device(), k.dtype()));
        let hidden = Tensor::<2, Bool>::from_data(hidden, &place.device);
        decode_attention(q, none.clone(), none, k, v, hidden)
    }

    fn keep(&mut self, rows: &[usize]) {
        self.next = rows.iter().map(|&row| self.next[row]).collect();
        self.branches = rows.iter().map(|&row| self.branches[row].clone()).collect();
    }
}

impl PlainTree {
    /// Some of the rows, at least one.
    fn only(self, rows: &[usize], place: &Placement) -> Self {
        if rows.len() == self.own.0.dims()[0] {
            return self;
        }
        let ids: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [rows.len()]), &place.device);
        let (k, v) = self.own;
        Self { own: (k.select(0, ids.clone()), v.select(0, ids)), ..self }
    }
}
