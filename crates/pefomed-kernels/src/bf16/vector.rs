//! The kernel of AVX-512 BF16: `vdpbf16ps` adds the two products of a pair to each of 16 sums.
//!
//! A block is multiplied 8 rows at a time: 16 registers of sums, two of the matrix and one broadcast of the rows.
//! Each load of the matrix serves eight rows and each broadcast two registers, so the multipliers are what it
//! waits for.

#![allow(unsafe_code)]

use super::Line;
use super::blocks::{COLUMNS, ROWS, STEP};
use crate::matmul::BlockMut;

/// Rows that are multiplied together.
const TOGETHER: usize = 8;

/// Whether this processor has the instructions.
pub(super) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// One block over one piece: `left` begins at the piece in a block of 32 rows, of which `rows` are wanted, and
/// `right` is the piece of a panel.
pub(super) fn multiply_block(
    rows: usize,
    left: &[Line],
    right: &[Line],
    out: BlockMut<'_, ROWS, COLUMNS>,
    add: bool,
) {
    let steps = right.len() / STEP;
    assert!(available() && rows <= ROWS);
    assert!(right.len() == steps * STEP && steps > 0 && left.len() >= right.len());
    let (out, stride) = out.into_parts();
    #[cfg(target_arch = "x86_64")]
    for first in (0..rows).step_by(TOGETHER) {
        // SAFETY: the processor has the instructions; the assert above and the block, whose rows are a multiple
        // of those that are multiplied together, are the bounds of everything that is read and written.
        unsafe {
            let (left, out) = (left.as_ptr().add(first), out.add(first * stride));
            x86::multiply_rows(steps, left, right.as_ptr(), out, stride, add);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("`available` says that there is no such kernel ({out:?}, {stride}, {add})");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_dpbf16_ps, _mm512_load_si512, _mm512_loadu_ps, _mm512_set1_epi32,
        _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::super::blocks::PAIRS;
    use super::{Line, STEP, TOGETHER};

    /// # Safety
    /// The processor must have the features; `right` holds `steps` times 32 lines, `left` as many but for those
    /// before the first row in each step, and `out` eight rows of 32 values, `stride` apart.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn multiply_rows(
        steps: usize,
        mut left: *const Line,
        mut right: *const Line,
        out: *mut f32,
        stride: usize,
        add: bool,
    ) {
        let bf16 = |words: __m512i| -> __m512bh {
            // SAFETY: both are 64 bytes in which any bits are valid.
            unsafe { std::mem::transmute(words) }
        };
        let mut sums = [[_mm512_setzero_ps(); 2]; TOGETHER];
        if add {
            for (row, sums) in sums.iter_mut().enumerate() {
                for (half, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the caller promises eight rows of 32 values.
                    *sum = unsafe { _mm512_loadu_ps(out.add(row * stride + 16 * half)) };
                }
            }
        }
        for _ in 0..steps {
            for pair in 0..PAIRS {
                // SAFETY: the caller promises a step of lines.
                let matrix: [__m512bh; 2] = unsafe {
                    [0, 1].map(|half| bf16(_mm512_load_si512(right.add(2 * pair + half).cast())))
                };
                for (row, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: as above; a line has sixteen words.
                    let word = unsafe { (*left.add(row)).0[pair] };
                    let rows = bf16(_mm512_set1_epi32(word.cast_signed()));
                    for (sum, matrix) in sums.iter_mut().zip(matrix) {
                        *sum = _mm512_dpbf16_ps(*sum, rows, matrix);
                    }
                }
            }
            // Beyond the last step these point behind the factors, and are not read.
            left = left.wrapping_add(STEP);
            right = right.wrapping_add(STEP);
        }
        for (row, sums) in sums.iter().enumerate() {
            for (half, sum) in sums.iter().enumerate() {
                // SAFETY: the caller promises eight rows of 32 values.
                unsafe { _mm512_storeu_ps(out.add(row * stride + 16 * half), *sum) };
            }
        }
    }
}
