//! Rotary position embedding (arXiv 2104.09864) in the half-split layout.
//!
//! Dimension `i` of a head turns together with dimension `i + D/2`, as Hugging Face's LLaMA has it.
//! Files in the interleaved layout (dimension `2i` with `2i + 1`) are brought into this one by
//! permuting the rows of the query and key weights when they are read.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// Angle per position of each pair of a head, `base^(−2i/D)`, `[D/2]`. Rounded to float32, as the
/// reference implementation has them, unless the whole computation is in float64.
pub fn frequencies(head_dim: usize, base: f64, is_double: bool) -> Vec<f64> {
    (0..head_dim / 2)
        .map(|i| {
            let exponent = 2.0 * i as f64 / head_dim as f64;
            if is_double {
                base.powf(-exponent)
            } else {
                f64::from(1.0 / (base as f32).powf(exponent as f32))
            }
        })
        .collect()
}

/// Angles `position · frequency`, `[T, D/2]`.
pub(crate) fn angles(positions: &[u32], frequencies: &[f64]) -> impl Iterator<Item = f64> {
    positions.iter().flat_map(move |&position| {
        frequencies.iter().map(move |frequency| f64::from(position) * frequency)
    })
}

/// Cosines and sines for the positions of a batch.
#[derive(Clone, Debug)]
pub struct Rotary {
    /// `[T, 1, D]`
    cos: Tensor<3>,
    /// `[T, 1, D]`
    sin: Tensor<3>,
}

impl Rotary {
    /// Tables for `positions` and heads of `head_dim`, with angles `position · base^(−2i/D)`.
    pub fn new(
        positions: &[u32],
        head_dim: usize,
        base: f64,
        device: &Device,
        dtype: DType,
    ) -> Self {
        let frequencies = frequencies(head_dim, base, dtype == DType::F64);
        Self::with_frequencies(positions, &frequencies, device, dtype)
    }

    /// Tables for `positions` and heads twice as wide as there are `frequencies`, with angles
    /// `position · frequency`.
    pub fn with_frequencies(
        positions: &[u32],
        frequencies: &[f64],
        device: &Device,
        dtype: DType,
    ) -> Self {
        let half = frequencies.len();
        let head_dim = 2 * half;
        let angles: Vec<f64> = angles(positions, frequencies).collect();
        let mut cos = Vec::with_capacity(positions.len() * head_dim);
        let mut sin = Vec::with_capacity(positions.len() * head_dim);
        for angles in angles.chunks(half) {
            for _ in 0..2 {
                cos.extend(angles.iter().map(|angle| angle.cos()));
                sin.extend(angles.iter().map(|angle| angle.sin()));
            }
        }
        let table = |values: Vec<f64>| {
            let data = TensorData::new(values, [positions.len(), 1, head_dim]);
            Tensor::from_data(data.convert_dtype(dtype), (device, dtype))
        };
        Self { cos: table(cos), sin: table(sin) }
    }

    /// Turns `x` of `[T, H, D]`.
    pub fn apply(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, _, head_dim] = x.dims();
        let half = head_dim / 2;
        let first = x.clone().narrow(2, 0, half);
        let second = x.clone().narrow(2, half, half);
        let turned = Tensor::cat(vec![second.neg(), first], 2);
        x * self.cos.clone() + turned * self.sin.clone()
    }
}
