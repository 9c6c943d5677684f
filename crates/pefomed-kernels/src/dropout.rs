//! Dropout whose mask depends on what a position is, not on where it lies in a batch.
//!
//! Every mask value is a hash of (seed, step, layer site, tree, branch, position, channel). The same
//! question therefore drops the same activations whether it is packed with others or run alone, on
//! one thread or on many, and the seed fixes the whole run. A root draws once for all its branches.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::parallel::share;
use crate::simd::widest;

/// Names one position of a batch independently of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PositionKey {
    /// Key of the tree (root positions) or of the branch's example.
    pub owner: u64,
    /// Position id within the question.
    pub position: u32,
}

/// Draws the masks of one optimizer step.
#[derive(Clone, Debug)]
pub struct Dropout {
    probability: f64,
    seed: u64,
    positions: Vec<PositionKey>,
}

impl Dropout {
    /// Dropout with `probability` in `[0, 1)` for the positions of a batch. `seed` is fixed by the
    /// seed of the run and the number of the step.
    pub fn new(probability: f64, seed: u64, positions: Vec<PositionKey>) -> Self {
        Self { probability, seed, positions }
    }

    /// The same for some of the positions alone.
    #[must_use = "the dropout is returned"]
    pub fn only(&self, rows: &[usize]) -> Self {
        Self { positions: rows.iter().map(|&row| self.positions[row]).collect(), ..*self }
    }

    /// Drops channels of `x`, `[T, C]`, and scales the rest by `1 / (1 − p)`. `site` tells the
    /// places in the model apart.
    pub fn apply(&self, x: Tensor<2>, site: u64) -> Tensor<2> {
        let [_, channels] = x.dims();
        let Some(mask) = self.mask(site, channels) else { return x };
        let (device, dtype): (Device, DType) = (x.device().without_autodiff(), x.dtype());
        let data = TensorData::new(mask.into_vec(), [self.positions.len(), channels]);
        x * Tensor::from_data(data.convert_dtype(dtype), (&device, dtype))
    }

    /// `[T · C]` factors, 0 or `1 / (1 − p)`; none when nothing is dropped.
    pub(crate) fn mask(&self, site: u64, channels: usize) -> Option<Buffer> {
        if self.probability <= 0.0 {
            return None;
        }
        let threshold = (self.probability * 2_f64.powi(32)) as u32;
        let kept = (1.0 / (1.0 - self.probability)) as f32;
        let mut mask = Buffer::unwritten(self.positions.len(), channels);
        // A hash weighs as much as a dozen numbers.
        let share = share(self.positions.len(), 12 * channels);
        let parts = mask.par_chunks_mut(share * channels).zip(self.positions.par_chunks(share));
        parts.with_max_len(1).for_each(|(mask, positions)| {
            widest!({
                for (row, key) in mask.chunks_exact_mut(channels).zip(positions) {
                    let start =
                        mix(self.seed ^ mix(site ^ mix(key.owner ^ mix(u64::from(key.position)))));
                    // Two 32-bit draws from each hash, and one from the last of an odd row.
                    let (blocks, rest) = row.as_chunks_mut::<16>();
                    let mut counter = start;
                    for block in blocks {
                        let mut bits = [0_u64; 8];
                        for (lane, bits) in bits.iter_mut().enumerate() {
                            let ahead = GOLDEN.wrapping_mul(lane as u64 + 1);
                            *bits = mix(counter.wrapping_add(ahead));
                        }
                        counter = counter.wrapping_add(GOLDEN.wrapping_mul(8));
                        for lane in 0..8 {
                            block[2 * lane] = factor(bits[lane] as u32, threshold, kept);
                            block[2 * lane + 1] =
                                factor((bits[lane] >> 32) as u32, threshold, kept);
                        }
                    }
                    for pair in rest.chunks_mut(2) {
                        counter = counter.wrapping_add(GOLDEN);
                        let bits = mix(counter);
                        pair[0] = factor(bits as u32, threshold, kept);
                        if let Some(second) = pair.get_mut(1) {
                            *second = factor((bits >> 32) as u32, threshold, kept);
                        }
                    }
                }
            });
        });
        Some(mask)
    }
}

/// Nothing for draws below the threshold.
#[expect(clippy::inline_always, reason = "a loop is compiled for wide vectors where it is inlined")]
#[inline(always)]
fn factor(draw: u32, threshold: u32, kept: f32) -> f32 {
    if draw < threshold { 0.0 } else { kept }
}

/// The step of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
#[expect(clippy::inline_always, reason = "a loop is compiled for wide vectors where it is inlined")]
#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(range: std::ops::Range<u32>) -> Vec<PositionKey> {
        range.map(|position| PositionKey { owner: 77, position }).collect()
    }

    #[test]
    fn a_position_draws_the_same_wherever_it_lies() {
        let packed = Dropout::new(0.3, 5, keys(0..10)).mask(2, 7).unwrap();
        let alone = Dropout::new(0.3, 5, keys(6..7)).mask(2, 7).unwrap();
        assert_eq!(packed[42..49], alone[..]);
        assert_ne!(packed[..], Dropout::new(0.3, 5, keys(0..10)).mask(3, 7).unwrap()[..]);
        assert_ne!(packed[..], Dropout::new(0.3, 6, keys(0..10)).mask(2, 7).unwrap()[..]);
    }

    #[test]
    fn the_share_dropped_is_the_probability_and_the_mean_is_kept() {
        let mask = Dropout::new(0.05, 1, keys(0..500)).mask(0, 401).unwrap();
        let dropped = mask.iter().filter(|&&m| m == 0.0).count() as f64 / mask.len() as f64;
        assert!((dropped - 0.05).abs() < 0.002, "{dropped}");
        let mean = mask.iter().map(|&m| f64::from(m)).sum::<f64>() / mask.len() as f64;
        assert!((mean - 1.0).abs() < 0.003, "{mean}");
    }
}
