//! A block of a vision transformer (arXiv 2010.11929) over frozen weights: norm, attention of all tokens to
//! all, residual; norm, feed-forward network, residual. There is no derivative, since an encoder is frozen
//! as a whole.

#![expect(
    clippy::inline_always,
    reason = "a loop is compiled for wide vectors only where it is inlined"
)]

use std::fmt;
use std::ops::Range;

use rayon::prelude::*;

use super::AttentionShape;
use super::feed_forward::swiglu;
use super::tree_attention::{self, Projections, Tiles};
use crate::bf16::blocks::LeftBlocks;
use crate::bf16::{Panels, activation};
use crate::buffer::Buffer;
use crate::frozen::Precision;
use crate::matmul::{Matrix, MatrixMut, RightFactor};
use crate::parallel::share;
use crate::simd::{gelu, sigmoid, sum2, widest};

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
        add(x, &self.output.product(&mixed), &self.output, self.scale1.as_deref());
        let normed = self.norm2.forward(x);
        let is_gelu = self.activation == Activation::Gelu;
        let panels = self.fc2.after_gelu_in_blocks().filter(|_| is_gelu);
        let y = if let (Some(panels), Some(bias)) = (panels, &self.fc1.bias) {
            let hidden = self.fc1.product(&normed);
            let rows = x.len() / width;
            let mut y = Buffer::unwritten(rows, width);
            let make = |rows: Range<usize>, left: LeftBlocks<'_>| {
                let (first, end) = (rows.start * bias.len(), rows.end * bias.len());
                activation::biased_gelu(&hidden[first..end], bias, left);
            };
            panels.multiply_made(MatrixMut::new(&mut y, rows, width), make, false);
            y
        } else {
            let hidden = self.activation.of(self.fc1.forward(&normed), self.fc2.inputs);
            self.fc2.product(&hidden)
        };
        add(x, &y, &self.fc2, self.scale2.as_deref());
    }
}

/// `x += scale · (y + bias)` row by row, with the bias of the map that made `y`.
fn add(x: &mut [f32], y: &[f32], map: &FrozenAffine, scale: Option<&[f32]>) {
    let width = map.outputs;
    let zeros = vec![0.0; if map.bias.is_none() { width } else { 0 }];
    let bias = map.bias.as_ref().unwrap_or(&zeros);
    let share = share(x.len() / width, 2 * width) * width;
    let parts = x.par_chunks_mut(share).zip(y.par_chunks(share));
    parts.with_max_len(1).for_each(|(x, y)| {
        widest!({
            for (x, y) in x.chunks_exact_mut(width).zip(y.chunks_exact(width)) {
                let sums = x.iter_mut().zip(y.iter().zip(bias));
                match scale {
                    None => sums.for_each(|(x, (y, bias))| *x += y + bias),
                    Some(scale) => {
                        sums.zip(scale)
                            .for_each(|((x, (y, bias)), scale)| *x += scale * (y + bias));
                    }
                }
            }
        });
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

    /// `x · Wᵀ`, without the bias.
    fn product(&self, x: &[f32]) -> Buffer {
        let rows = x.len() / self.inputs;
        let mut y = Buffer::unwritten(rows, self.outputs);
        let out = MatrixMut::new(&mut y, rows, self.outputs);
        self.across.multiply_rows(out, Matrix::new(x, rows, self.inputs), false);
        y
    }

    /// The panels, if GELU can be made in the blocks that they are multiplied with.
    fn after_gelu_in_blocks(&self) -> Option<&Panels> {
        match &self.across {
            RightFactor::Bf16(panels) => Some(panels).filter(|_| activation::fits(self.inputs)),
            RightFactor::Float32 { .. } => None,
        }
    }

    fn forward(&self, x: &[f32]) -> Buffer {
        let (rows, width) = (x.len() / self.inputs, self.outputs);
        let mut y = self.product(x);
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
            Self::Gelu => each(&mut x, gelu::<false>),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bf16::Kernel;
    use crate::testing::values;

    #[test]
    fn gelu_made_in_blocks_is_what_is_packed_into_them() {
        for kernel in Kernel::all() {
            // 45 rows fill one block of 32 and a part of another.
            let (rows, width, columns) = (45, 96, 37);
            let (hidden, bias) = (values(1, rows * width), values(2, width));
            let by = crate::matmul::Multiplier::Bf16(kernel);
            let weight = values(3, columns * width);
            let across = Matrix::new(&weight, columns, width).transposed();
            let map = FrozenAffine {
                inputs: width,
                outputs: columns,
                across: RightFactor::new(by, across, 1.0),
                bias: None,
            };
            let mut found = vec![0.0; rows * columns];
            let out = MatrixMut::new(&mut found, rows, columns);
            let make = |rows: Range<usize>, left: LeftBlocks<'_>| {
                activation::biased_gelu(&hidden[rows.start * width..rows.end * width], &bias, left);
            };
            map.after_gelu_in_blocks().unwrap().multiply_made(out, make, false);
            let biased = hidden.chunks_exact(width).flat_map(|row| row.iter().zip(&bias));
            let activated: Vec<f32> = biased.map(|(x, bias)| gelu::<false>(x + bias)).collect();
            let wanted = map.product(&activated);
            let largest = wanted.iter().fold(0.0, |all: f32, value| all.max(value.abs()));
            for (found, wanted) in found.iter().zip(&wanted[..]) {
                // Fused instructions seldom round a number to the neighbour.
                assert!((found - wanted).abs() < 2e-4 * largest, "{found} {wanted}");
            }
        }
    }
}
