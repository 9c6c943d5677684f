//! Rounding to bfloat16: to nearest, ties to even. Two values make a word, the first in its lower half.

#![allow(unsafe_code)]

use super::Line;

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{round_pairs, round_two, transpose};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256bh, __m256i, __m512, __m512bh, __m512i, _mm512_cvtepu16_epi32, _mm512_cvtne2ps_pbh,
        _mm512_cvtneps_pbh, _mm512_loadu_ps, _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_or_si512,
        _mm512_set1_ps, _mm512_shuffle_i32x4, _mm512_slli_epi32, _mm512_unpackhi_epi32,
        _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
    };

    use super::Line;

    /// At most sixteen values, times `scale`; zero behind them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn scaled(values: &[f32], scale: f32) -> __m512 {
        let loaded = if let Some(whole) = values.first_chunk::<16>() {
            // SAFETY: it reads sixteen values.
            unsafe { _mm512_loadu_ps(whole.as_ptr()) }
        } else {
            // SAFETY: it reads as many values as there are.
            unsafe { _mm512_maskz_loadu_ps((1 << values.len()) - 1, values.as_ptr()) }
        };
        _mm512_mul_ps(loaded, _mm512_set1_ps(scale))
    }

    /// The pairs of neighbours among at most 32 values, times `scale`; zero behind them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(in super::super) fn round_pairs(values: &[f32], scale: f32) -> Line {
        let (low, high) = values.split_at(values.len().min(16));
        let words = _mm512_cvtne2ps_pbh(scaled(high, scale), scaled(low, scale));
        // SAFETY: the two types have the same size, and any bits are valid in the result.
        unsafe { std::mem::transmute::<__m512bh, Line>(words) }
    }

    /// The pairs of `first[i]` and `second[i]`, at most sixteen, times `scale`; zero behind them.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(in super::super) fn round_two(first: &[f32], second: &[f32], scale: f32) -> Line {
        let wide = |values: &[f32]| {
            let half = _mm512_cvtneps_pbh(scaled(values, scale));
            // SAFETY: the two types have the same size, and any bits are valid in both.
            _mm512_cvtepu16_epi32(unsafe { std::mem::transmute::<__m256bh, __m256i>(half) })
        };
        let both = _mm512_or_si512(wide(first), _mm512_slli_epi32::<16>(wide(second)));
        // SAFETY: as in `round_pairs`.
        unsafe { std::mem::transmute::<__m512i, Line>(both) }
    }

    /// Makes rows of words columns: pairs of words, then of two words, and so on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(in super::super) fn transpose(block: &mut [Line; 16]) {
        // SAFETY: a line is 64 bytes of any bits.
        unsafe {
            let rows: [__m512i; 16] = std::mem::transmute_copy(block);
            let mut words = rows;
            for i in 0..8 {
                words[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
                words[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
            }
            // Of four rows: column `c` of each quarter.
            let mut quarters = words;
            for i in 0..4 {
                let w = &words[4 * i..4 * i + 4];
                quarters[4 * i] = _mm512_unpacklo_epi64(w[0], w[2]);
                quarters[4 * i + 1] = _mm512_unpackhi_epi64(w[0], w[2]);
                quarters[4 * i + 2] = _mm512_unpacklo_epi64(w[1], w[3]);
                quarters[4 * i + 3] = _mm512_unpackhi_epi64(w[1], w[3]);
            }
            let mut columns = quarters;
            for c in 0..4 {
                let q = |i: usize| quarters[4 * i + c];
                let low = _mm512_shuffle_i32x4::<0x88>(q(0), q(1));
                let high = _mm512_shuffle_i32x4::<0xdd>(q(0), q(1));
                let low2 = _mm512_shuffle_i32x4::<0x88>(q(2), q(3));
                let high2 = _mm512_shuffle_i32x4::<0xdd>(q(2), q(3));
                columns[c] = _mm512_shuffle_i32x4::<0x88>(low, low2);
                columns[8 + c] = _mm512_shuffle_i32x4::<0xdd>(low, low2);
                columns[4 + c] = _mm512_shuffle_i32x4::<0x88>(high, high2);
                columns[12 + c] = _mm512_shuffle_i32x4::<0xdd>(high, high2);
            }
            *block = std::mem::transmute::<[__m512i; 16], [Line; 16]>(columns);
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn round_pairs(values: &[f32], scale: f32) -> Line {
    let value = |i: usize| values.get(i).map_or(0.0, |value| value * scale);
    Line(std::array::from_fn(|i| pair(value(2 * i), value(2 * i + 1))))
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn round_two(first: &[f32], second: &[f32], scale: f32) -> Line {
    let value = |values: &[f32], i: usize| values.get(i).map_or(0.0, |value| value * scale);
    Line(std::array::from_fn(|i| pair(value(first, i), value(second, i))))
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn transpose(block: &mut [Line; 16]) {
    let rows = *block;
    *block = std::array::from_fn(|i| Line(std::array::from_fn(|j| rows[j].0[i])));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

    #[test]
    fn lines_are_rounded_and_transposed_as_defined() {
        if super::super::Kernel::best().is_none() {
            return;
        }
        let mut values: [f32; 32] = values(5, 32).try_into().unwrap();
        // A tie (1 + 2⁻⁸), a number that rounds up into the next power, infinity, and no number.
        values[..4].copy_from_slice(&[
            1.0 + 0.5 * f32::powi(2.0, -7),
            1.999_999,
            f32::INFINITY,
            f32::NAN,
        ]);
        let (first, second) = values.split_at(16);
        let pairs: [u32; 16] = std::array::from_fn(|i| pair(values[2 * i], values[2 * i + 1]));
        let two: [u32; 16] = std::array::from_fn(|i| pair(values[i], values[16 + i]));
        #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
        // SAFETY: there is a kernel, so there are the instructions.
        let lines = unsafe { [round_pairs(&values, 1.0), round_two(first, second, 1.0)] };
        assert_eq!(lines.map(|line| line.0), [pairs, two]);
        // Fewer values, doubled: zero behind them.
        let value = |i: usize| if i < 21 { 2.0 * values[i] } else { 0.0 };
        #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
        // SAFETY: as above.
        let lines = unsafe {
            [round_pairs(&values[..21], 2.0), round_two(&values[..16], &values[16..21], 2.0)]
        };
        let pairs: [u32; 16] = std::array::from_fn(|i| pair(value(2 * i), value(2 * i + 1)));
        let two: [u32; 16] = std::array::from_fn(|i| pair(value(i), value(16 + i)));
        assert_eq!(lines.map(|line| line.0), [pairs, two]);
        let mut block =
            std::array::from_fn(|i| Line(std::array::from_fn(|j| (100 * i + j) as u32)));
        #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
        // SAFETY: as above.
        unsafe {
            transpose(&mut block);
        }
        for (j, line) in block.iter().enumerate() {
            assert_eq!(line.0, std::array::from_fn(|i| (100 * i + j) as u32));
        }
    }
}
