//! Greedy generation over message trees.
//!
//! A prefill runs the root of each tree once for all its questions. Then every question is a row of
//! one decoding batch: it attends to the keys and values of the root, which its tree shares, and to
//! its own. A row that has written its end token leaves the batch.

use burn::tensor::Tensor;
use pefomed_data::{Finish, Item, Message, MessageTree, PackedBatch};

use crate::decoder::{DecodeCache, KnownPrompt};
use crate::error::ModelError;
use crate::multimodal::{FeatureMap, TunedDecoder};
use crate::parameters::read;

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
    let (hidden, cache) = model.prefill(&batch, features, None)?;
    let count = batch.trees.iter().map(|tree| tree.branches.len()).sum();
    let answers = write(model, (hidden, cache), count, (end, limit), &mut |_| true);
    let mut answers = answers.into_iter();
    Ok(trees.iter().map(|tree| answers.by_ref().take(tree.branches.len()).collect()).collect())
}

/// Answers one prompt as [`generate`] does. `tell` hears each token as it is written, and says whether to go
/// on: `false` ends the answer where it is, as a limit would.
///
/// What the prompt begins with and is `known` already is not computed again, and needs no features; afterwards
/// `known` has the whole prompt. The answer does not change by that.
///
/// # Errors
/// As [`generate`]; then nothing is known.
pub fn generate_one(
    model: &TunedDecoder,
    prompt: &[Item],
    features: &FeatureMap,
    known: &mut KnownPrompt,
    (end, limit): (u32, usize),
    tell: &mut dyn FnMut(u32) -> bool,
) -> Result<Option<Generated>, ModelError> {
    let known_before = std::mem::take(known);
    let message = Message { key: 0, prompt: prompt.to_vec(), answer: Vec::new() };
    let batch = PackedBatch::new(&MessageTree::new(vec![message]));
    if batch.is_empty() {
        return Ok(None);
    }
    let (hidden, mut cache) = model.prefill(&batch, features, Some(known_before))?;
    *known = cache.take_known().unwrap_or_default();
    Ok(write(model, (hidden, cache), 1, (end, limit), tell).pop())
}

/// Writes `count` answers, of which `hidden` has the state that the first token of each follows from.
fn write(
    model: &TunedDecoder,
    (mut hidden, mut cache): (Tensor<2>, DecodeCache),
    count: usize,
    (end, limit): (u32, usize),
    tell: &mut dyn FnMut(u32) -> bool,
) -> Vec<Generated> {
    let mut answers = vec![Generated { tokens: Vec::new(), finish: Finish::Length }; count];
    // Which answer each row of the decoding batch writes.
    let mut rows: Vec<usize> = (0..count).collect();
    for step in 0..=limit {
        let tokens = most_likely(&read(model.decoder.logits(hidden)), rows.len());
        let mut kept = Vec::new();
        let mut is_wanted = true;
        for (row, &token) in tokens.iter().enumerate() {
            let answer = &mut answers[rows[row]];
            if token == end {
                answer.finish = Finish::Stop;
            } else if step < limit {
                answer.tokens.push(token);
                is_wanted &= tell(token);
                kept.push(row);
            }
        }
        if kept.is_empty() || !is_wanted {
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
    answers
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
