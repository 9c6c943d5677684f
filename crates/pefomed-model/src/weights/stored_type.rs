//! The types that values are stored in, and their way to `f32`.

use std::fmt;

use half::{bf16, f16};
use safetensors::Dtype;

use super::gguf_quants as quants;

/// How a tensor's values are stored. Block-quantized types carry the names of ggml, where a block
/// of 32 or 256 consecutive values of a row shares its scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the names that the formats and their users write")]
pub enum StoredType {
    /// IEEE double precision.
    F64,
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`.
    BF16,
    /// 4 bits, 32 values with one scale.
    Q4_0,
    /// 4 bits, 32 values with scale and minimum.
    Q4_1,
    /// 5 bits, 32 values with one scale.
    Q5_0,
    /// 5 bits, 32 values with scale and minimum.
    Q5_1,
    /// 8 bits, 32 values with one scale.
    Q8_0,
    /// 4 bits, 256 values in 8 groups with 6-bit scales and minimums.
    Q4_K,
    /// 5 bits, 256 values in 8 groups with 6-bit scales and minimums.
    Q5_K,
    /// 6 bits, 256 values in 16 groups with 8-bit scales.
    Q6_K,
    /// Integers, booleans and 8-bit floats: stored, but not read as `f32`.
    Other(Dtype),
}

impl StoredType {
    /// Smallest unit of storage, as (values, bytes): (1, 4) for `F32`, (32, 20) for `Q4_1`.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F64 => (1, 8),
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4_K => (256, 144),
            Self::Q5_K => (256, 176),
            Self::Q6_K => (256, 210),
            Self::Other(dtype) if dtype.bitsize() % 8 == 0 => (1, dtype.bitsize() / 8),
            // Floats narrower than a byte: eight of them fill as many bytes as one has bits.
            Self::Other(dtype) => (8, dtype.bitsize()),
        }
    }

    /// Values of whole blocks as `f32`, or none for [`StoredType::Other`].
    pub(super) fn widen(self, bytes: &[u8]) -> Option<Vec<f32>> {
        let (values, size) = self.block();
        let mut out = vec![0.0; bytes.len() / size * values];
        self.widen_into(bytes, &mut out).then_some(out)
    }

    /// Puts the values of whole blocks into `out`; false for [`StoredType::Other`].
    pub(super) fn widen_into(self, bytes: &[u8], out: &mut [f32]) -> bool {
        match self {
            Self::F64 => each_into(bytes, |b| f64::from_le_bytes(b) as f32, out),
            Self::F32 => each_into(bytes, f32::from_le_bytes, out),
            Self::F16 => each_into(bytes, |b| f16::from_le_bytes(b).to_f32(), out),
            Self::BF16 => each_into(bytes, |b| bf16::from_le_bytes(b).to_f32(), out),
            Self::Q4_0 => quants::each_block(bytes, quants::q4_0, out),
            Self::Q4_1 => quants::each_block(bytes, quants::q4_1, out),
            Self::Q5_0 => quants::each_block(bytes, quants::q5_0, out),
            Self::Q5_1 => quants::each_block(bytes, quants::q5_1, out),
            Self::Q8_0 => quants::each_block(bytes, quants::q8_0, out),
            Self::Q4_K => quants::each_block(bytes, quants::q4_k, out),
            Self::Q5_K => quants::each_block(bytes, quants::q5_k, out),
            Self::Q6_K => quants::each_block(bytes, quants::q6_k, out),
            Self::Other(_) => return false,
        }
        true
    }

    pub(super) fn of_safetensors(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F64 => Self::F64,
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::BF16,
            other => Self::Other(other),
        }
    }

    /// The type with this number in a GGUF file (`enum ggml_type`).
    pub(super) fn of_gguf(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4_K,
            13 => Self::Q5_K,
            14 => Self::Q6_K,
            24 => Self::Other(Dtype::I8),
            25 => Self::Other(Dtype::I16),
            26 => Self::Other(Dtype::I32),
            27 => Self::Other(Dtype::I64),
            28 => Self::F64,
            30 => Self::BF16,
            _ => return None,
        })
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(dtype) => write!(f, "{dtype}"),
            named => write!(f, "{named:?}"),
        }
    }
}

/// Decodes consecutive little-endian values.
pub(super) fn each<const N: usize, T>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|value| decode(*value)).collect()
}

/// As [`each`], into values that are there.
fn each_into<const N: usize>(bytes: &[u8], decode: impl Fn([u8; N]) -> f32, out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = decode(*value);
    }
}
