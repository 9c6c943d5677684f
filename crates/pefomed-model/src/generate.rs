//! Greedy generation over message trees.
//!
//! A prefill runs the root of each tree once for all its questions. Then every question is a row of
//! one decoding batch: it attends to the keys and values of the root, which its tree shares, and to
//! its own. A row that has written its end token leaves the batch.

use burn::tensor::{Bool, Int, Tensor, TensorData};
use pefomed_data::pack::TreeSpan;
use pefomed_data::{Finish, MessageTree, PackedBatch};
use pefomed_kernels::attention::decode_attention;

use crate::decoder::KvCache;
use crate::error::ModelError;
use crate::multimodal::{FeatureMap, TunedDecoder};
use crate::parameters::{Placement, read};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Its tokens, without the end token.
    pub tokens: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
}

/// Answers every branch of every tree: the most likely token at each step (the lowest id among
/// equals), until `end` or `limit` tokens. The trees' own answers are not looked at.
///
/// # Errors
/// As [`TunedDecoder::embed`].
pub fn generate(
    model: &TunedDecoder,
    trees: &[MessageTree],
    features: &FeatureMap,
    end: u32,
    limit: usize,
) -> Result<Vec<Vec<Generated>>, ModelError> {
    let questions: Vec<MessageTree> = trees.iter().map(without_answers).collect();
    let batch = PackedBatch::new(&questions);
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let (hidden, cache) = model.prefill(&batch, features)?;
    let branches = || batch.trees.iter().flat_map(|tree| &tree.branches);
    let last: Vec<usize> = branches().map(|branch| branch.range.end - 1).collect();
    let mut cache = DecodeCache::new(&batch, cache, model.decoder.place());
    let mut answers = vec![Generated { tokens: Vec::new(), finish: Finish::Length }; last.len()];
    // Which answer each row of the decoding batch writes.
    let mut rows: Vec<usize> = (0..last.len()).collect();
    let mut hidden = model.decoder.rows(hidden, &last);
    for step in 0..=limit {
        let tokens = most_likely(&read(model.decoder.logits(hidden)), rows.len());
        let mut kept = Vec::new();
        for (row, &token) in tokens.iter().enumerate() {
            let answer = &mut answers[rows[row]];
            if token == end {
                answer.finish = Finish::Stop;
            } else if step < limit {
                answer.tokens.push(token);
                kept.push(row);
            }
        }
        if kept.is_empty() {
            break;
        }
        if kept.len() < rows.len() {
            cache.keep(&kept);
        }
        let next: Vec<u32> = kept.iter().map(|&row| tokens[row]).collect();
        rows = kept.iter().map(|&row| rows[row]).collect();
        let embedded = model.decoder.embed(&next);
        hidden = model.decoder.decode(embedded, &mut cache, Some(&model.adapter));
    }
    let mut answers = answers.into_iter();
    Ok(trees.iter().map(|tree| answers.by_ref().take(tree.branches.len()).collect()).collect())
}

fn without_answers(tree: &MessageTree) -> MessageTree {
    let mut tree = tree.clone();
    for branch in &mut tree.branches {
        branch.answer.clear();
    }
    tree
}

/// Index of the largest value of each row; the first among equals.
fn most_likely(logits: &[f32], rows: usize) -> Vec<u32> {
    logits
        .chunks(logits.len() / rows.max(1))
        .map(|row| {
            let mut best = 0;
            for (index, value) in row.iter().enumerate() {
                if *value > row[best] {
                    best = index;
                }
            }
            best as u32
        })
        .collect()
}

/// Keys and values of one layer of one tree.
#[derive(Clone, Debug)]
struct LayerCache {
    /// `[R, K, D]`, shared by the tree's rows.
    root: (Tensor<3>, Tensor<3>),
    /// `[B, L, K, D]`: each row's own positions.
    own: (Tensor<4>, Tensor<4>),
}

/// The rows of one tree.
#[derive(Clone, Debug)]
struct TreeCache {
    layers: Vec<LayerCache>,
    /// Position id of each row's next token.
    next: Vec<u32>,
    /// Columns of `own` that a row does not fill: its prompt was shorter than the longest. New
    /// tokens are appended as a column for all rows, since attention does not mind the order.
    unfilled: Vec<Vec<bool>>,
}

/// Keys and values of all rows that still write.
#[derive(Clone, Debug)]
pub struct DecodeCache {
    trees: Vec<TreeCache>,
    place: Placement,
}

impl DecodeCache {
    fn new(batch: &PackedBatch, cache: KvCache, place: &Placement) -> Self {
        let layers = cache.into_layers();
        let trees = batch.trees.iter().map(|tree| TreeCache::new(tree, &layers)).collect();
        Self { trees, place: place.clone() }
    }

    /// Position ids of the tokens about to be decoded.
    pub(crate) fn next_positions(&self) -> Vec<u32> {
        self.trees.iter().flat_map(|tree| tree.next.iter().copied()).collect()
    }

    /// Makes room for one more token in every row.
    pub(crate) fn begin_step(&mut self) {
        for tree in &mut self.trees {
            tree.next.iter_mut().for_each(|position| *position += 1);
            tree.unfilled.iter_mut().for_each(|row| row.push(false));
        }
    }

    /// Adds the new keys and values of a layer, `[B, K, D]`, and attends to all there are, or to the
    /// last `window` positions.
    pub(crate) fn attend(
        &mut self,
        layer: usize,
        window: Option<usize>,
        q: Tensor<3>,
        k: Tensor<3>,
        v: Tensor<3>,
    ) -> Tensor<2> {
        let mut start = 0;
        let mut mixed = Vec::with_capacity(self.trees.len());
        for tree in &mut self.trees {
            let count = tree.next.len();
            let rows = |x: &Tensor<3>| x.clone().narrow(0, start, count);
            let cached = &mut tree.layers[layer];
            let appended = |old: &Tensor<4>, new: &Tensor<3>| {
                Tensor::cat(vec![old.clone(), rows(new).unsqueeze_dim::<4>(1)], 1)
            };
            cached.own = (appended(&cached.own.0, &k), appended(&cached.own.1, &v));
            if let Some(window) = window
                && tree.next.iter().any(|&next| next as usize > window)
            {
                mixed.push(tree.attend_within(layer, window, rows(&q), &self.place));
                start += count;
                continue;
            }
            let columns = tree.unfilled[0].len();
            let unfilled: Vec<bool> = tree.unfilled.iter().flatten().copied().collect();
            let unfilled = TensorData::new(unfilled, [count, columns]);
            mixed.push(decode_attention(
                rows(&q),
                cached.root.0.clone(),
                cached.root.1.clone(),
                cached.own.0.clone(),
                cached.own.1.clone(),
                Tensor::<2, Bool>::from_data(unfilled, &self.place.device),
            ));
            start += count;
        }
        Tensor::cat(mixed, 0)
    }

    /// Keeps some rows, given in ascending order, and drops the others.
    fn keep(&mut self, rows: &[usize]) {
        let mut start = 0;
        for tree in &mut self.trees {
            let end = start + tree.next.len();
            let inside = rows.iter().filter(|row| (start..end).contains(*row));
            tree.keep(&inside.map(|row| row - start).collect::<Vec<_>>(), &self.place);
            start = end;
        }
        self.trees.retain(|tree| !tree.next.is_empty());
    }
}

impl TreeCache {
    fn new(tree: &TreeSpan, layers: &[(Tensor<3>, Tensor<3>)]) -> Self {
        let longest = tree.branches.iter().map(|branch| branch.range.len()).max().unwrap_or(0);
        let own = |x: &Tensor<3>| {
            let [_, heads, dim] = x.dims();
            let rows = tree.branches.iter().map(|branch| {
                let (start, length) = (branch.range.start, branch.range.len());
                let row = x.clone().narrow(0, start, length);
                if length == longest {
                    return row;
                }
                let missing =
                    Tensor::zeros([longest - length, heads, dim], (&x.device(), x.dtype()));
                Tensor::cat(vec![row, missing], 0)
            });
            Tensor::stack::<4>(rows.collect(), 0)
        };
        let root = |x: &Tensor<3>| {
            if tree.root.is_empty() {
                // The framework does not narrow to nothing.
                let [_, heads, dim] = x.dims();
                return Tensor::zeros([0, heads, dim], (&x.device(), x.dtype()));
            }
            x.clone().narrow(0, tree.root.start, tree.root.len())
        };
        let layers = layers
            .iter()
            .map(|(k, v)| LayerCache { root: (root(k), root(v)), own: (own(k), own(v)) })
            .collect();
        let lengths = || tree.branches.iter().map(|branch| branch.range.len());
        Self {
            layers,
            next: lengths().map(|length| (tree.root.len() + length) as u32).collect(),
            unfilled: lengths().map(|length| (0..longest).map(|i| i >= length).collect()).collect(),
        }
    }

    /// Attends to the last `window` positions of each row, which may begin in the root: every row
    /// then sees another part of it and gets a copy of its own.
    fn attend_within(
        &self,
        layer: usize,
        window: usize,
        q: Tensor<3>,
        place: &Placement,
    ) -> Tensor<2> {
        let LayerCache { root, own } = &self.layers[layer];
        let [root_length, heads, dim] = root.0.dims();
        let count = self.next.len();
        let mut hidden = Vec::new();
        for (&next, unfilled) in self.next.iter().zip(&self.unfilled) {
            let oldest = (next as usize).saturating_sub(window);
            hidden.extend((0..root_length).map(|position| position < oldest));
            let mut position = root_length;
            for &unfilled in unfilled {
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

    fn keep(&mut self, rows: &[usize], place: &Placement) {
        if rows.len() == self.next.len() {
            return;
        }
        self.next = rows.iter().map(|&row| self.next[row]).collect();
        self.unfilled = rows.iter().map(|&row| self.unfilled[row].clone()).collect();
        if rows.is_empty() {
            self.layers.clear();
            return;
        }
        let ids: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [rows.len()]), &place.device);
        for layer in &mut self.layers {
            let chosen = |x: &Tensor<4>| x.clone().select(0, ids.clone());
            layer.own = (chosen(&layer.own.0), chosen(&layer.own.1));
        }
    }
}
