//! A block of a vision transformer (arXiv 2010.11929) over frozen weights: norm, attention of all tokens to
//! all, residual; norm, feed-forward network, residual. There is no derivative, since an encoder is frozen
//! as a whole.

#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for wide vectors only where it is inlined"
)]

use std::fmt;

use rayon::prelude::*;

use super::AttentionShape;
use super::feed_forward::swiglu;
use super::tree_attention::{self, Projections, Tiles};
use crate::buffer::Buffer;
use crate::frozen::Precision;
use crate::matmul::{Matrix, MatrixMut, RightFactor};
use crate::parallel::share;
use crate::simd::{exp, sigmoid, sum2, widest};

/// `y = x · Wᵀ + b`. The weight is packed for this product alone, in half the memory of a
/// [`FrozenLinear`](crate::frozen::FrozenLinear).
#[derive(Clone)]
pub struct FrozenAffine {
    inputs: usize,
    outputs: usize,
    across: RightFactor,
    bias: Option<Vec<f32>>,
}

impl fmt::Debug for FrozenAffine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrozenAffine({} → {})", self.inputs, self.outputs)
    }
}

/// `(x − mean) / √(variance + ε) · weight + bias` over each row (arXiv 1607.06450).
#[derive(Clone, Debug)]
pub struct FrozenLayerNorm {
    /// `[C]`.
    pub weight: Vec<f32>,
    /// `[C]`.
    pub bias: Vec<f32>,
    /// `ε`.
    pub eps: f32,
}

/// What stands between the two maps of a feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x·Φ(x)`, with the error function.
    Gelu,
    /// Its approximation by a hyperbolic tangent.
    GeluTanh,
    /// `x·σ(1.702·x)`, as OpenAI's CLIP has it.
    QuickGelu,
    /// `silu(a)·b` with `[a, b]` the halves of the first map's output (arXiv 2002.05202).
    SwiGlu,
}

/// The block.
#[derive(Clone, Debug)]
pub struct EncoderBlock {
    /// Before attention.
    pub norm1: FrozenLayerNorm,
    /// Queries, keys and values as one map, `C → 3C`.
    pub qkv: FrozenAffine,
    /// `C → C`.
    pub output: FrozenAffine,
    /// Factor of each channel of what attention adds.
    pub scale1: Option<Vec<f32>>,
    /// Before the feed-forward network.
    pub norm2: FrozenLayerNorm,
    /// Its first map.
    pub fc1: FrozenAffine,
    /// What stands between its maps.
    pub activation: Activation,
    /// Its second map.
    pub fc2: FrozenAffine,
    /// Factor of each channel of what it adds.
    pub scale2: Option<Vec<f32>>,
    /// A divisor of `C`.
    pub heads: usize,
}

impl EncoderBlock {
    /// What its products are rounded to.
    pub fn precision(&self) -> Precision {
        self.qkv.across.multiplier().precision()
    }

    /// Replaces `x` `[T, C]` by the block's output.
    pub fn forward(&self, x: &mut [f32]) {
        let width = self.norm1.weight.len();
        let shape = AttentionShape {
            heads: self.heads,
            key_heads: self.heads,
            head_dim: width / self.heads,
        };
        let qkv = self.qkv.forward(&self.norm1.forward(x));
        let projections = Projections { shape, by: self.qkv.across.multiplier(), qkv: &qkv };
        let (mixed, _) = tree_attention::forward(projections, &Tiles::full(x.len() / width));
        add(x, &self.output.forward(&mixed), self.scale1.as_deref(), width);
        let hidden = self.fc1.forward(&self.norm2.forward(x));
        let hidden = self.activation.of(hidden, self.fc2.inputs);
        add(x, &self.fc2.forward(&hidden), self.scale2.as_deref(), width);
    }
}

/// `x += scale · y` row by row.
fn add(x: &mut [f32], y: &[f32], scale: Option<&[f32]>, width: usize) {
    let share = share(x.len() / width, 2 * width) * width;
    let parts = x.par_chunks_mut(share).zip(y.par_chunks(share));
    parts.with_max_len(1).for_each(|(x, y)| match scale {
        None => widest!(x.iter_mut().zip(y).for_each(|(x, y)| *x += y)),
        Some(scale) => widest!({
            for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
                for ((x, y), scale) in x.iter_mut().zip(y).zip(scale) {
                    *x += scale * y;
                }
            }
        }),
    });
}

impl FrozenAffine {
    /// Packs a weight `[N, K]`, row by row, and the bias `[N]` if there is one.
    ///
    /// # Panics
    /// When the weight is not a whole number of rows, the bias of another length, or the precision not
    /// [available](Precision::is_available).
    pub fn new(
        weight: &[f32],
        inputs: usize,
        bias: Option<Vec<f32>>,
        precision: Precision,
    ) -> Self {
        let outputs = weight.len() / inputs;
        assert!(weight.len() == outputs * inputs, "a weight of whole rows");
        assert!(bias.as_ref().is_none_or(|bias| bias.len() == outputs), "a bias for every output");
        let across = Matrix::new(weight, outputs, inputs).transposed();
        Self {
            inputs,
            outputs,
            across: RightFactor::new(precision.multiplier(), across, 1.0),
            bias,
        }
    }

    fn forward(&self, x: &[f32]) -> Buffer {
        let (rows, width) = (x.len() / self.inputs, self.outputs);
        let mut y = Buffer::unwritten(rows, width);
        let out = MatrixMut::new(&mut y, rows, width);
        self.across.multiply_rows(out, Matrix::new(x, rows, self.inputs), false);
        if let Some(bias) = &self.bias {
            let share = share(rows, width) * width;
            y.par_chunks_mut(share).with_max_len(1).for_each(|y| {
                widest!({
                    for row in y.chunks_exact_mut(width) {
                        row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                    }
                });
            });
        }
        y
    }
}

impl FrozenLayerNorm {
    fn forward(&self, x: &[f32]) -> Buffer {
        let width = self.weight.len();
        let mut y = Buffer::unwritten(x.len() / width, width);
        let share = share(x.len() / width, 4 * width) * width;
        let parts = x.par_chunks(share).zip(y.par_chunks_mut(share));
        parts.with_max_len(1).for_each(|(x, y)| {
            widest!({
                for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
                    let mean = sum2(x, x, |x, _| x) / width as f32;
                    let square = |x: f32, _| (x - mean) * (x - mean);
                    let scale = 1.0 / (sum2(x, x, square) / width as f32 + self.eps).sqrt();
                    let learned = self.weight.iter().zip(&self.bias);
                    for ((y, x), (weight, bias)) in y.iter_mut().zip(x).zip(learned) {
                        *y = (x - mean) * scale * weight + bias;
                    }
                }
            });
        });
        y
    }
}

impl Activation {
    /// Of a first map's output, for a second map that reads rows of `width`.
    fn of(self, mut x: Buffer, width: usize) -> Buffer {
        match self {
            Self::Gelu => each(&mut x, gelu),
            Self::GeluTanh => each(&mut x, |x| {
                let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
                x * sigmoid(2.0 * inner)
            }),
            Self::QuickGelu => each(&mut x, |x| x * sigmoid(1.702 * x)),
            Self::SwiGlu => return swiglu(&x, width),
        }
        x
    }
}

#[inline(always)]
fn each(x: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    let share = share(x.len(), 12);
    x.par_chunks_mut(share).with_max_len(1).for_each(|x| {
        widest!(x.iter_mut().for_each(|x| *x = f(*x)));
    });
}

/// `x·Φ(x)`; the error function is that of Abramowitz and Stegun, 7.1.26, within 1.5e-7.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let mut p = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        p = p * t + coefficient;
    }
    // 1 − erf(z), which is what is left of Φ on the far side.
    let rest = 0.5 * p * t * exp(-z * z);
    x * if x < 0.0 { rest } else { 1.0 - rest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gelu_is_that_of_known_values() {
        // x·Φ(x) with the normal distribution's tables to ten places.
        for (x, want) in [
            (-3.0, -0.004_049_694),
            (-1.0, -0.158_655_254),
            (-0.1, -0.046_017_216),
            (0.0, 0.0),
            (0.5, 0.345_731_231),
            (2.0, 1.954_499_736),
            (6.0, 5.999_999_994),
        ] {
            assert!((f64::from(gelu(x)) - want).abs() < 1e-6, "{x}: {} {want}", gelu(x));
        }
    }
}
