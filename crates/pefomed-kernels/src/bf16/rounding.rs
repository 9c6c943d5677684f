//! Rounding to bfloat16: to nearest, ties to even. Two values make a word, the first in its lower half.

#![allow(unsafe_code)]

use super::Line;

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{round_pairs, round_two, transpose};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Line;

    /// The sixteen pairs of neighbours.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(in super::super) fn round_pairs(values: &[f32; 32]) -> Line {
        use std::arch::x86_64::{__m512bh, _mm512_cvtne2ps_pbh, _mm512_loadu_ps};
        // SAFETY: both loads read 16 of the 32 values;
        // the two types have the same size and any bits are valid in the result.
        unsafe {
            let low = _mm512_loadu_ps(values.as_ptr());
            let high = _mm512_loadu_ps(values.as_ptr().add(16));
            std::mem::transmute::<__m512bh, Line>(_mm512_cvtne2ps_pbh(high, low))
        }
    }

    /// The pairs of `first[i]` and `second[i]`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(in super::super) fn round_two(first: &[f32; 16], second: &[f32; 16]) -> Line {
        use std::arch::x86_64::{
            __m256bh, __m256i, __m512i, _mm512_cvtepu16_epi32, _mm512_cvtneps_pbh, _mm512_loadu_ps,
            _mm512_or_si512, _mm512_slli_epi32,
        };
        // SAFETY: as in `round_pairs`; both loads read 16 values.
        unsafe {
            let wide = |values: &[f32; 16]| {
                let half = _mm512_cvtneps_pbh(_mm512_loadu_ps(values.as_ptr()));
                _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(half))
            };
            let both = _mm512_or_si512(wide(first), _mm512_slli_epi32::<16>(wide(second)));
            std::mem::transmute::<__m512i, Line>(both)
        }
    }

    /// Makes rows of words columns: pairs of words, then of two words, and so on.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(in super::super) fn transpose(block: &mut [Line; 16]) {
        use std::arch::x86_64::{
            __m512i, _mm512_shuffle_i32x4, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
            _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
        };
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
pub(super) fn round_pairs(values: &[f32; 32]) -> Line {
    Line(std::array::from_fn(|i| pair(values[2 * i], values[2 * i + 1])))
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn round_two(first: &[f32; 16], second: &[f32; 16]) -> Line {
    Line(std::array::from_fn(|i| pair(first[i], second[i])))
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
        let (first, second) = (values[..16].try_into().unwrap(), values[16..].try_into().unwrap());
        let pairs: [u32; 16] = std::array::from_fn(|i| pair(values[2 * i], values[2 * i + 1]));
        let two: [u32; 16] = std::array::from_fn(|i| pair(values[i], values[16 + i]));
        #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
        // SAFETY: there is a kernel, so there are the instructions.
        let lines = unsafe { [round_pairs(&values), round_two(&first, &second)] };
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
