//! RMSNorm (arXiv 1910.07467) on rows, and its derivative.

#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for wide vectors only where it is inlined"
)]

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::parallel::share;
use crate::simd::{sum2, widest};

/// `y = x · s · w` row by row with `s = 1 / sqrt(mean(x²) + eps)`; returns `s` for every row.
pub(super) fn forward(x: &[f32], weight: &[f32], eps: f32, y: &mut [f32]) -> Vec<f32> {
    let width = weight.len();
    let rows = x.len() / width;
    let mut scales = vec![0.0; rows];
    let share = share(rows, 4 * width);
    let parts = x.par_chunks(share * width).zip(y.par_chunks_mut(share * width));
    parts.zip(scales.par_chunks_mut(share)).with_max_len(1).for_each(|((x, y), scales)| {
        widest!({
            for (x, scale) in x.chunks_exact(width).zip(&mut *scales) {
                *scale = 1.0 / (sum2(x, x, |a, b| a * b) / width as f32 + eps).sqrt();
            }
            normed(x, weight, scales, y);
        });
    });
    scales
}

/// The normed rows again, from the scales that [`forward`] returned.
pub(super) fn again(x: &[f32], weight: &[f32], scales: &[f32]) -> Buffer {
    let width = weight.len();
    let mut y = Buffer::unwritten(scales.len(), width);
    let share = share(scales.len(), 2 * width);
    let parts = x.par_chunks(share * width).zip(y.par_chunks_mut(share * width));
    parts.zip(scales.par_chunks(share)).with_max_len(1).for_each(|((x, y), scales)| {
        widest!(normed(x, weight, scales, y));
    });
    y
}

#[inline(always)]
fn normed(x: &[f32], weight: &[f32], scales: &[f32], y: &mut [f32]) {
    let width = weight.len();
    for ((x, y), scale) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)).zip(scales) {
        for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
            *y = x * scale * w;
        }
    }
}

/// Adds the gradient of `x` to `dx`, for the gradient `g` of the normed rows.
pub(super) fn backward(x: &[f32], weight: &[f32], scales: &[f32], g: &[f32], dx: &mut [f32]) {
    let width = weight.len();
    let share = share(scales.len(), 6 * width);
    let read = x.par_chunks(share * width).zip(g.par_chunks(share * width));
    let write = dx.par_chunks_mut(share * width).zip(scales.par_chunks(share));
    read.zip(write).with_max_len(1).for_each(|((x, g), (dx, scales))| {
        widest!({
            let rows = x.chunks_exact(width).zip(g.chunks_exact(width));
            for (((x, g), dx), &s) in rows.zip(dx.chunks_exact_mut(width)).zip(scales) {
                // Σ gᵢ·wᵢ·xᵢ in lanes; three factors do not fit `sum2`.
                let mut lanes = [0.0_f32; 16];
                for ((x, g), w) in x.chunks(16).zip(g.chunks(16)).zip(weight.chunks(16)) {
                    for (((lane, x), g), w) in lanes.iter_mut().zip(x).zip(g).zip(w) {
                        *lane += g * w * x;
                    }
                }
                let along = lanes.iter().sum::<f32>() * s * s * s / width as f32;
                for (((dx, x), g), w) in dx.iter_mut().zip(x).zip(g).zip(weight) {
                    *dx += s * g * w - along * x;
                }
            }
        });
    });
}
