//! Rounding to bfloat16: to nearest, ties to even. Two values make a word, the first in its lower half.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::vector;

/// The sixteen pairs of neighbours of 32 values.
pub(super) fn round_pairs(values: &[f32; 32]) -> [u32; 16] {
    #[cfg(target_arch = "x86_64")]
    {
        assert!(vector::available());
        // SAFETY: the processor has the instructions.
        unsafe { x86::round_pairs(values) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::array::from_fn(|i| pair(values[2 * i], values[2 * i + 1]))
    }
}

/// The pairs of `first[i]` and `second[i]`.
pub(super) fn round_two(first: &[f32; 16], second: &[f32; 16]) -> [u32; 16] {
    #[cfg(target_arch = "x86_64")]
    {
        assert!(vector::available());
        // SAFETY: the processor has the instructions.
        unsafe { x86::round_two(first, second) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::array::from_fn(|i| pair(first[i], second[i]))
    }
}

/// Rounds to the nearest bfloat16; the result is the upper half of a float32.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) | 0x40;
    }
    bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16
}

#[cfg(any(test, not(target_arch = "x86_64")))]
fn pair(first: f32, second: f32) -> u32 {
    round(first) | (round(second) << 16)
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256bh, __m256i, __m512bh, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh,
        _mm512_cvtneps_pbh, _mm512_loadu_ps, _mm512_or_si512, _mm512_slli_epi32,
        _mm512_storeu_si512,
    };

    /// # Safety
    /// The processor must have the features.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn round_pairs(values: &[f32; 32]) -> [u32; 16] {
        // SAFETY: both loads read 16 of the 32 values; the two types have the same size and any
        // bits are valid in the result.
        unsafe {
            let low = _mm512_loadu_ps(values.as_ptr());
            let high = _mm512_loadu_ps(values.as_ptr().add(16));
            std::mem::transmute::<__m512bh, [u32; 16]>(_mm512_cvtne2ps_pbh(high, low))
        }
    }

    /// # Safety
    /// The processor must have the features.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn round_two(first: &[f32; 16], second: &[f32; 16]) -> [u32; 16] {
        let mut words = [0; 16];
        // SAFETY: both loads read 16 values, the store writes 16 words; any bits are valid in
        // either type.
        unsafe {
            let wide = |values: &[f32; 16]| {
                let half = _mm512_cvtneps_pbh(_mm512_loadu_ps(values.as_ptr()));
                _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(half))
            };
            let both = _mm512_or_si512(wide(first), _mm512_slli_epi32::<16>(wide(second)));
            _mm512_storeu_si512(words.as_mut_ptr().cast(), both);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

    #[test]
    fn both_orders_round_as_the_definition() {
        if super::super::Kernel::best().is_none() {
            eprintln!("SKIPPED: this processor has no bfloat16 instructions");
            return;
        }
        let mut values: [f32; 32] = values(5, 32).try_into().unwrap();
        // A tie, a number that rounds up into the next power, infinity, and no number.
        values[..4].copy_from_slice(&[1.003_906_25, 1.999_999, f32::INFINITY, f32::NAN]);
        let (first, second) = (values[..16].try_into().unwrap(), values[16..].try_into().unwrap());
        let pairs: [u32; 16] = std::array::from_fn(|i| pair(values[2 * i], values[2 * i + 1]));
        let two: [u32; 16] = std::array::from_fn(|i| pair(values[i], values[16 + i]));
        assert_eq!(round_pairs(&values), pairs);
        assert_eq!(round_two(&first, &second), two);
    }
}
