//! ROUGE-L (Lin 2004) as the COCO caption evaluation computes it.

use rustc_hash::FxHashMap;

use super::text::Text;

/// Weight of recall against precision.
const BETA: f64 = 1.2;

/// F-measure of the longest common subsequence of tokens, between 0 and 1: (1 + β²)·P·R / (R + β²·P)
/// with β = 1.2, P and R each the best over the references (`rouge.py` of pycocoevalcap).
pub fn rouge_l(candidate: &Text, references: &[Text]) -> f64 {
    let positions = Positions::new(&candidate.tokens);
    let (mut precision, mut recall) = (0.0_f64, 0.0_f64);
    for reference in references {
        let common = positions.common(&reference.tokens) as f64;
        precision = precision.max(common / candidate.tokens.len() as f64);
        recall = recall.max(common / reference.tokens.len() as f64);
    }
    if precision == 0.0 || recall == 0.0 {
        return 0.0;
    }
    (1.0 + BETA * BETA) * precision * recall / (recall + BETA * BETA * precision)
}

/// Where each token of a text stands, a bit for each place.
struct Positions {
    blocks: usize,
    masks: FxHashMap<u32, Vec<u64>>,
    length: usize,
}

impl Positions {
    fn new(tokens: &[u32]) -> Self {
        let blocks = tokens.len().div_ceil(64);
        let mut masks: FxHashMap<u32, Vec<u64>> = FxHashMap::default();
        for (place, token) in tokens.iter().enumerate() {
            let mask = masks.entry(*token).or_insert_with(|| vec![0; blocks]);
            mask[place / 64] |= 1 << (place % 64);
        }
        Self { blocks, masks, length: tokens.len() }
    }

    /// Length of the longest common subsequence with another text: 64 places a step (Hyyrö 2004,
    /// "Bit-parallel LCS-length computation revisited").
    fn common(&self, tokens: &[u32]) -> usize {
        let mut open = vec![u64::MAX; self.blocks];
        for token in tokens {
            let Some(mask) = self.masks.get(token) else { continue };
            let mut carry = false;
            for (open, mask) in open.iter_mut().zip(mask) {
                let met = *open & mask;
                let (sum, first) = open.overflowing_add(met);
                let (sum, second) = sum.overflowing_add(u64::from(carry));
                carry = first || second;
                *open = sum | (*open & !mask);
            }
        }
        (0..self.length).filter(|place| open[place / 64] >> (place % 64) & 1 == 0).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(tokens: &[u32]) -> Text {
        Text { tokens: tokens.to_vec(), words: tokens.to_vec() }
    }

    #[test]
    fn the_score_is_that_of_the_worked_example() {
        // "police killed the gunman" against "police kill the gunman" (Lin 2004, section 3.1):
        // the subsequence is 3 of 4 words long on both sides.
        let score = rouge_l(&text(&[1, 9, 3, 4]), &[text(&[1, 2, 3, 4])]);
        assert!((score - 0.75).abs() < 1e-12, "{score}");
        assert_eq!(rouge_l(&text(&[1]), &[text(&[2])]), 0.0);
        // P = 1/2, R = 1: 2.44 · 0.5 / (1 + 0.72).
        let score = rouge_l(&text(&[1, 2]), &[text(&[2])]);
        assert!((score - 1.22 / 1.72).abs() < 1e-12, "{score}");
    }

    proptest! {
        #[test]
        fn the_bits_count_what_the_table_counts(
            a in prop::collection::vec(0_u32..6, 1..200), b in prop::collection::vec(0_u32..6, 1..200)
        ) {
            let mut row = vec![0_usize; b.len() + 1];
            for x in &a {
                let mut before = 0;
                for (place, y) in b.iter().enumerate() {
                    let old = row[place + 1];
                    row[place + 1] = if x == y { before + 1 } else { old.max(row[place]) };
                    before = old;
                }
            }
            prop_assert_eq!(Positions::new(&a).common(&b), row[b.len()]);
        }
    }
}
