//! The kernel of AVX-512 BF16: `vdpbf16ps` adds the two products of a pair to each of 16 sums.
//!
//! A block of 8 rows by 48 columns keeps 24 registers of sums, three of the matrix and one broadcast
//! of the rows, out of 32; each load of the matrix then serves eight rows and each broadcast three
//! registers, so the multipliers are what it waits for.

#![allow(unsafe_code)]

use std::ops::Range;

use super::pack::{LeftFactor, pack_left};
use super::{Line, Panels, in_block};
use crate::matmul::{BlockMut, Matrix, MatrixMut};

/// Rows of a block.
pub(super) const ROWS: usize = 8;
/// Lines of a panel: three registers of 16 lanes.
pub(super) const LINES: usize = 3;
/// Columns of a block.
const COLUMNS: usize = LINES * Line::WORDS;

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

/// `out = a · right`, or `out += …`, on this thread, for some panels of the right factor.
pub(super) fn multiply(
    (right, panels): (&Panels, Range<usize>),
    a: Matrix<'_>,
    mut out: MatrixMut<'_>,
    add: bool,
) {
    assert!(available());
    if right.inner == 0 {
        if !add {
            out.clear();
        }
        return;
    }
    let (count, pairs) = (a.rows(), right.pairs);
    let mut packed = Blocks { pairs, words: vec![0; count.div_ceil(ROWS) * ROWS * pairs] };
    pack_left(a, &mut packed);
    let mut edge = [[0.0_f32; COLUMNS]; ROWS];
    let lines = &right.lines[panels.start * pairs * LINES..panels.end * pairs * LINES];
    for (panel, lines) in lines.chunks_exact(pairs * LINES).enumerate() {
        for (block, left) in packed.words.chunks_exact(pairs * ROWS).enumerate() {
            in_block(&mut edge, &mut out, (block * ROWS, panel * COLUMNS), |out| {
                multiply_block(left, lines, out, add);
            });
        }
    }
}

/// The left factor in blocks of 8 rows: for each pair of the inner dimension the words of all rows
/// of the block. Rows that fill the last block are zero.
struct Blocks {
    pairs: usize,
    words: Vec<u32>,
}

impl LeftFactor for Blocks {
    #[inline]
    fn put(&mut self, row: usize, step: usize, words: Line) {
        let first = step * Line::WORDS;
        let at = row / ROWS * self.pairs * ROWS + first * ROWS + row % ROWS;
        let to = self.words[at..].iter_mut().step_by(ROWS);
        for (to, word) in to.zip(words.0).take(self.pairs - first) {
            *to = word;
        }
    }
}

/// One block: `left` holds 8 rows, `right` a panel, both with the same number of pairs.
fn multiply_block(left: &[u32], right: &[Line], out: BlockMut<'_, ROWS, COLUMNS>, add: bool) {
    let pairs = right.len() / LINES;
    assert!(left.len() == pairs * ROWS && right.len() == pairs * LINES);
    let (out, stride) = out.into_parts();
    #[cfg(target_arch = "x86_64")]
    // SAFETY: `multiply`, which alone calls this, asserts `available`; the assert above and the block are
    // the bounds of everything that is read and written.
    unsafe {
        x86::multiply_block(pairs, left.as_ptr(), right.as_ptr().cast(), out, stride, add);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("`available` says that there is no such kernel ({out:?}, {stride}, {add})");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_load_si512, _mm512_loadu_ps,
        _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{COLUMNS, ROWS};

    /// # Safety
    /// The processor must have the features; `left` holds `pairs · 8` words, `right` `pairs · 48`,
    /// on a line's bound, and `out` eight rows of 48 values, `stride` apart.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn multiply_block(
        pairs: usize,
        mut left: *const u32,
        mut right: *const u32,
        out: *mut f32,
        stride: usize,
        add: bool,
    ) {
        let bf16 = |words: __m512i| -> __m512bh {
            // SAFETY: both are 64 bytes in which any bits are valid.
            unsafe { std::mem::transmute(words) }
        };
        let mut sums = [[_mm512_setzero_ps(); 3]; ROWS];
        for _ in 0..pairs {
            // SAFETY: the caller promises `pairs` times 48 and 8 words.
            let matrix: [__m512bh; 3] = unsafe {
                [0, 16, 32].map(|column| bf16(_mm512_load_si512(right.add(column).cast())))
            };
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: as above.
                let rows = bf16(_mm512_set1_epi32(unsafe { *left.add(row) }.cast_signed()));
                for (sum, matrix) in sums.iter_mut().zip(matrix) {
                    *sum = _mm512_dpbf16_ps(*sum, rows, matrix);
                }
            }
            // SAFETY: at most one past the end.
            unsafe {
                left = left.add(ROWS);
                right = right.add(COLUMNS);
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (third, sum) in sums.iter().enumerate() {
                // SAFETY: the caller promises eight rows of 48 values.
                unsafe {
                    let at = out.add(row * stride + 16 * third);
                    let sum = if add { _mm512_add_ps(*sum, _mm512_loadu_ps(at)) } else { *sum };
                    _mm512_storeu_ps(at, sum);
                }
            }
        }
    }
}
