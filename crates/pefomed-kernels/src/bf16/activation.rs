//! What stands between two maps of a feed-forward network, rounded to bfloat16 in the order in which blocks
//! are multiplied: SwiGLU (arXiv 2002.05202) and its derivative, and GELU. The product that follows reads them from
//! where they were made.

#![allow(unsafe_code)]

use super::blocks::LeftBlocks;
use super::rounding::round_pairs;
use super::{Line, vector};
use crate::simd::{gelu, sigmoid, silu, silu_backward};

/// Numbers of a step: the inner dimension of a left factor advances by as many.
const STEP: usize = 2 * Line::WORDS;

/// Whether gates of this width fill whole steps.
pub(crate) fn fits(width: usize) -> bool {
    width.is_multiple_of(STEP)
}

/// `silu(gate) · up`, `[T, M]`, of gates and ups `[T, 2M]`, for an `M` that [`fits`].
pub(crate) fn product(gate_up: &[f32], width: usize, mut left: LeftBlocks<'_>) {
    let rows = gate_up.len() / (2 * width);
    assert!(vector::available() && fits(width) && left.fits(rows, width));
    left.clear_rows(rows);
    #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
    // SAFETY: the processor has the instructions.
    unsafe {
        products(gate_up, width, &mut left);
    }
}

/// Gradients of gates and ups, `[T, 2M]`, for the gradient `[T, M]` of their product and an `M` that
/// [`fits`].
pub(crate) fn gradients(gate_up: &[f32], gradient: &[f32], width: usize, mut left: LeftBlocks<'_>) {
    let rows = gradient.len() / width;
    assert!(vector::available() && fits(width) && gate_up.len() == 2 * gradient.len());
    assert!(left.fits(rows, 2 * width));
    left.clear_rows(rows);
    #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
    // SAFETY: the processor has the instructions.
    unsafe {
        both_gradients(gate_up, gradient, width, &mut left);
    }
}

/// `x·Φ(x)` of rows `[T, M]` to which a bias `[M]` is added first, for an `M` that [`fits`].
pub(crate) fn biased_gelu(rows: &[f32], bias: &[f32], mut left: LeftBlocks<'_>) {
    let count = rows.len() / bias.len();
    assert!(vector::available() && fits(bias.len()) && left.fits(count, bias.len()));
    left.clear_rows(count);
    #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
    // SAFETY: the processor has the instructions.
    unsafe {
        biased_gelus(rows, bias, &mut left);
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
fn biased_gelus(rows: &[f32], bias: &[f32], left: &mut LeftBlocks<'_>) {
    let (bias_steps, _) = bias.as_chunks::<STEP>();
    for (row, values) in rows.chunks_exact(bias.len()).enumerate() {
        let steps = values.as_chunks::<STEP>().0.iter().zip(bias_steps);
        for (step, (values, bias)) in steps.enumerate() {
            let mut made = [0.0_f32; STEP];
            for lane in 0..STEP {
                made[lane] = gelu::<true>(values[lane] + bias[lane]);
            }
            left.put(row, step, round_pairs(&made, 1.0));
        }
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
fn products(gate_up: &[f32], width: usize, left: &mut LeftBlocks<'_>) {
    for (row, gate_up) in gate_up.chunks_exact(2 * width).enumerate() {
        let (gate, up) = gate_up.split_at(width);
        let steps = gate.as_chunks::<STEP>().0.iter().zip(up.as_chunks::<STEP>().0);
        for (step, (gate, up)) in steps.enumerate() {
            let mut product = [0.0_f32; STEP];
            for lane in 0..STEP {
                product[lane] = silu(gate[lane]) * up[lane];
            }
            left.put(row, step, round_pairs(&product, 1.0));
        }
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
fn both_gradients(gate_up: &[f32], gradient: &[f32], width: usize, left: &mut LeftBlocks<'_>) {
    let rows = gate_up.chunks_exact(2 * width).zip(gradient.chunks_exact(width));
    for (row, (gate_up, gradient)) in rows.enumerate() {
        let (gate, up) = gate_up.split_at(width);
        let steps = gate.as_chunks::<STEP>().0.iter().zip(up.as_chunks::<STEP>().0);
        for (step, ((gate, up), g)) in steps.zip(gradient.as_chunks::<STEP>().0).enumerate() {
            let (mut d_gate, mut d_up) = ([0.0_f32; STEP], [0.0_f32; STEP]);
            for lane in 0..STEP {
                let (gate, up, g) = (gate[lane], up[lane], g[lane]);
                let sigmoid = sigmoid(gate);
                d_gate[lane] = silu_backward(g * up, gate, sigmoid);
                d_up[lane] = sigmoid * (g * gate);
            }
            left.put(row, step, round_pairs(&d_gate, 1.0));
            left.put(row, width / STEP + step, round_pairs(&d_up, 1.0));
        }
    }
}
