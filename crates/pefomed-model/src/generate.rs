//! Greedy generation over message trees.
//!
//! A prefill runs the root of each tree once for all its questions. Then every question is a row of
//! one decoding batch: it attends to the keys and values of the root, which its tree shares, and to
//! its own. A row that has written its end token leaves the batch.

use pefomed_data::{Finish, MessageTree, PackedBatch};

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
    generate_telling(model, trees, features, end, limit, &mut |_, _| true)
}

/// As [`generate`]. `tell` hears each token as it is written, with the number of its answer among all, and
/// says whether to go on: `false` ends all answers where they are, as a limit would.
///
/// # Errors
/// As [`generate`].
pub fn generate_telling(
    model: &TunedDecoder,
    trees: &[MessageTree],
    features: &FeatureMap,
    end: u32,
    limit: usize,
    tell: &mut dyn FnMut(usize, u32) -> bool,
) -> Result<Vec<Vec<Generated>>, ModelError> {
    let questions: Vec<MessageTree> = trees.iter().map(without_answers).collect();
    let batch = PackedBatch::new(&questions);
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let (mut hidden, mut cache) = model.prefill(&batch, features)?;
    let count = batch.trees.iter().map(|tree| tree.branches.len()).sum();
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
                is_wanted &= tell(rows[row], token);
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
