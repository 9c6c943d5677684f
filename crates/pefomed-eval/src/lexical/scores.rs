//! All lexical scores of some items at once, and the sums that scores of any subset follow from.

use std::path::Path;

use super::text::{Pair, Reader};
use super::{BleuStatistics, Counted, MeteorStatistics, meteor, rouge_l};
use crate::EvalError;

/// Number of sums that the scores of a set of items follow from.
pub(crate) const SUMS: usize = 18;
/// Number of scores: BLEU-1 to BLEU-4, ROUGE-L, METEOR, CIDEr.
pub(crate) const METRICS: usize = 7;

/// What is known of one item after scoring.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ItemScores {
    /// For BLEU.
    pub bleu: BleuStatistics,
    /// ROUGE-L, between 0 and 1.
    pub rouge_l: f64,
    /// For METEOR.
    pub meteor: MeteorStatistics,
    /// CIDEr, from 0 to 10.
    pub cider: f64,
}

impl ItemScores {
    /// BLEU-1 to BLEU-4, ROUGE-L, METEOR and CIDEr of the item alone.
    pub fn scores(&self) -> [f64; METRICS] {
        of_sums(1.0, &self.sums())
    }

    /// The sums; those of a set are added up.
    pub(crate) fn sums(&self) -> [f64; SUMS] {
        let Self { bleu, rouge_l, meteor, cider } = *self;
        let mut sums = [0.0; SUMS];
        sums[0] = bleu.candidate;
        sums[1] = bleu.reference;
        sums[2..6].copy_from_slice(&bleu.said);
        sums[6..10].copy_from_slice(&bleu.right);
        sums[10] = rouge_l;
        sums[11] = cider;
        sums[12..14].copy_from_slice(&meteor.lengths);
        sums[14..16].copy_from_slice(&meteor.matched);
        sums[16] = meteor.chunks;
        sums[17] = meteor.words;
        sums
    }
}

/// The scores of a set of items: BLEU and METEOR from the sums, ROUGE-L and CIDEr as means.
pub(crate) fn of_sums(items: f64, sums: &[f64; SUMS]) -> [f64; METRICS] {
    let four = |from: usize| std::array::from_fn(|order| sums[from + order]);
    let bleu =
        BleuStatistics { candidate: sums[0], reference: sums[1], said: four(2), right: four(6) };
    let meteor = MeteorStatistics {
        lengths: [sums[12], sums[13]],
        matched: [sums[14], sums[15]],
        chunks: sums[16],
        words: sums[17],
    };
    let [one, two, three, four] = bleu.scores();
    let mean = |sum: f64| if items > 0.0 { sum / items } else { 0.0 };
    [one, two, three, four, mean(sums[10]), meteor.score(), mean(sums[11])]
}

/// Scores every pair with every lexical metric. CIDEr's document frequencies are those of the
/// references of these pairs.
///
/// # Errors
/// [`EvalError::MeteorData`] when METEOR's data is named and cannot be read.
pub fn measure(
    reader: &Reader,
    pairs: &[Pair],
    meteor_data: Option<&Path>,
) -> Result<Vec<ItemScores>, EvalError> {
    let counted = Counted::new(pairs);
    let meteor = meteor(reader, pairs, meteor_data)?;
    let items = pairs.iter().zip(counted.bleu()).zip(counted.cider()).zip(meteor);
    Ok(items
        .map(|(((pair, bleu), cider), meteor)| ItemScores {
            bleu,
            rouge_l: rouge_l(&pair.candidate, &pair.references),
            meteor,
            cider,
        })
        .collect())
}
