//! From an alignment to METEOR's number.

use super::align::{MODULES, Match, chunks};

/// Weights of the modules: exact, stem, synonym, paraphrase.
const WEIGHTS: [f64; MODULES] = [1.0, 0.6, 0.8, 0.6];
/// Weight of recall against precision.
const ALPHA: f64 = 0.85;
/// Exponent of the fragmentation.
const BETA: f64 = 0.2;
/// Highest penalty for fragmentation.
const GAMMA: f64 = 0.6;
/// Weight of content words against function words.
const DELTA: f64 = 0.75;

/// What METEOR needs to know of one text; statistics of several texts add up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeteorStatistics {
    /// Words of candidate and reference, content words weighing 0.75 and function words 0.25.
    pub lengths: [f64; 2],
    /// Matched words of both, weighted like the lengths and by how they were matched.
    pub matched: [f64; 2],
    /// Chunks; none if all words of both texts match in one.
    pub chunks: f64,
    /// Matched words, the mean of both sides, not weighted.
    pub words: f64,
}

impl MeteorStatistics {
    /// Statistics of an alignment.
    pub(super) fn new(
        candidate: &[u32],
        reference: &[u32],
        matches: &[Match],
        is_function: impl Fn(u32) -> bool,
    ) -> Self {
        let weight = |word: u32| if is_function(word) { 1.0 - DELTA } else { DELTA };
        let length = |words: &[u32]| {
            let function = words.iter().filter(|word| is_function(**word)).count() as f64;
            DELTA * (words.len() as f64 - function) + (1.0 - DELTA) * function
        };
        let mut statistics =
            Self { lengths: [length(candidate), length(reference)], ..Self::default() };
        let mut words = [0_u32; 2];
        for found in matches {
            let sides = [(candidate, found.candidate), (reference, found.reference)];
            for (side, (of, (start, count))) in sides.into_iter().enumerate() {
                words[side] += count;
                for word in &of[start as usize..(start + count) as usize] {
                    statistics.matched[side] += WEIGHTS[found.module as usize] * weight(*word);
                }
            }
        }
        statistics.words = f64::from(words[0] + words[1]) / 2.0;
        let chunks = chunks(matches);
        let all = words[0] as usize == candidate.len() && words[1] as usize == reference.len();
        // Nothing is fragmented when one text is the other.
        statistics.chunks = if all && chunks == 1 { 0.0 } else { f64::from(chunks) };
        statistics
    }

    /// METEOR, between 0 and 1: (1 − γ·(chunks / matches)^β) · P·R / (α·P + (1 − α)·R); 0 without
    /// matches.
    pub fn score(&self) -> f64 {
        let precision = self.matched[0] / self.lengths[0];
        let recall = self.matched[1] / self.lengths[1];
        let mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall);
        let penalty = GAMMA * (self.chunks / self.words).powf(BETA);
        let score = mean * (1.0 - penalty);
        if score.is_nan() { 0.0 } else { score.max(0.0) }
    }
}

impl std::ops::AddAssign for MeteorStatistics {
    fn add_assign(&mut self, other: Self) {
        for side in 0..2 {
            self.lengths[side] += other.lengths[side];
            self.matched[side] += other.matched[side];
        }
        self.chunks += other.chunks;
        self.words += other.words;
    }
}
