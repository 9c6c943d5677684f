//! BLEU (Papineni et al. 2002) as the COCO caption evaluation computes it.
//!
//! Clipped n-gram precisions are pooled over all texts; the brevity penalty compares the total
//! length of the candidates with the total length of the references closest to them in length. Two
//! tiny numbers keep a division by zero away (`bleu_scorer.py` of pycocoevalcap), so BLEU is never
//! exactly zero. All of it follows from ten sums, which is what an interval resamples.

use super::ngram::{Ngrams, ORDERS, most, shared};

/// What BLEU needs to know of one text; statistics of several texts add up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BleuStatistics {
    /// Words of the candidate.
    pub candidate: f64,
    /// Words of the reference that is closest in length, of equally close ones the shorter.
    pub reference: f64,
    /// N-grams of the candidate, by order.
    pub said: [f64; ORDERS],
    /// Those that a reference has, no more often than it has them.
    pub right: [f64; ORDERS],
}

impl BleuStatistics {
    pub(super) fn new(candidate: &Ngrams, references: &[Ngrams]) -> Self {
        let words = candidate.words;
        let closest = references
            .iter()
            .map(|reference| (reference.words.abs_diff(words), reference.words))
            .min()
            .map_or(0, |(_, length)| length);
        let mut right = [0.0; ORDERS];
        for (order, right) in right.iter_mut().enumerate() {
            let several;
            let wanted = if let [one] = references {
                &one.counts[order]
            } else {
                several = most(references, order);
                &several
            };
            shared(&candidate.counts[order], wanted, |_, said, wanted| {
                *right += f64::from(said.min(wanted));
            });
        }
        Self {
            candidate: words as f64,
            reference: closest as f64,
            said: std::array::from_fn(|order| words.saturating_sub(order) as f64),
            right,
        }
    }

    /// BLEU-1 to BLEU-4, each between 0 and 1.
    pub fn scores(&self) -> [f64; ORDERS] {
        // As in pycocoevalcap: a text of no words scores nothing, and nothing is divided by zero.
        const SMALL: f64 = 1e-9;
        const TINY: f64 = 1e-15;
        let ratio = (self.candidate + TINY) / (self.reference + SMALL);
        let penalty = if ratio < 1.0 { (1.0 - 1.0 / ratio).exp() } else { 1.0 };
        let mut product = 1.0;
        std::array::from_fn(|order| {
            product *= (self.right[order] + TINY) / (self.said[order] + SMALL);
            penalty * product.powf(1.0 / (order + 1) as f64)
        })
    }
}

impl std::ops::AddAssign for BleuStatistics {
    fn add_assign(&mut self, other: Self) {
        self.candidate += other.candidate;
        self.reference += other.reference;
        for order in 0..ORDERS {
            self.said[order] += other.said[order];
            self.right[order] += other.right[order];
        }
    }
}
