//! Rotary position embedding (arXiv 2104.09864) in place, in the half-split layout.

use rayon::prelude::*;

use crate::parallel::share;
use crate::rotary::{angles, frequencies};
use crate::simd::widest;

/// Cosines and sines of the positions of a batch, `[T, D/2]` each.
#[derive(Clone, Debug, PartialEq)]
pub struct RotaryTable {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl RotaryTable {
    /// Tables for heads of `head_dim`, as [`Rotary`](crate::rotary::Rotary) has them in float32.
    pub fn new(positions: &[u32], head_dim: usize, base: f64) -> Self {
        Self::with_frequencies(positions, &frequencies(head_dim, base, false))
    }

    /// Tables for heads twice as wide as there are `frequencies`, with angles
    /// `position · frequency`.
    pub fn with_frequencies(positions: &[u32], frequencies: &[f64]) -> Self {
        let angles: Vec<f64> = angles(positions, frequencies).collect();
        Self {
            half: frequencies.len(),
            cos: angles.iter().map(|angle| angle.cos() as f32).collect(),
            sin: angles.iter().map(|angle| angle.sin() as f32).collect(),
        }
    }

    /// Number of positions.
    pub(super) fn len(&self) -> usize {
        self.cos.len() / self.half
    }

    /// Turns the first `heads` heads of every row of `x`; rows are `width` apart.
    pub(super) fn turn(&self, x: &mut [f32], width: usize, heads: usize) {
        self.rotate(x, width, heads, 1.0);
    }

    /// Turns back, which is the derivative of turning.
    pub(super) fn turn_back(&self, x: &mut [f32], width: usize, heads: usize) {
        self.rotate(x, width, heads, -1.0);
    }

    fn rotate(&self, x: &mut [f32], width: usize, heads: usize, direction: f32) {
        let half = self.half;
        let share = share(self.len(), 2 * width);
        let tables = self.cos.par_chunks(share * half).zip(self.sin.par_chunks(share * half));
        x.par_chunks_mut(share * width).zip(tables).with_max_len(1).for_each(|(x, (cos, sin))| {
            widest!({
                let tables = cos.chunks_exact(half).zip(sin.chunks_exact(half));
                for (row, (cos, sin)) in x.chunks_exact_mut(width).zip(tables) {
                    for head in row[..heads * 2 * half].chunks_exact_mut(2 * half) {
                        let (first, second) = head.split_at_mut(half);
                        let pairs = first.iter_mut().zip(second);
                        for ((a, b), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
                            let sin = direction * sin;
                            (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                        }
                    }
                }
            });
        });
    }
}
