//! Products with a matrix that is packed once in bfloat16, accumulated in float32.
//!
//! `vdpbf16ps` takes pairs along the inner dimension: each of 16 lanes adds the two products of a
//! pair to its float32 sum. A block of 8 rows by 48 columns keeps 24 such registers of sums, three of
//! the matrix and one broadcast of the rows, out of 32; each load of the matrix then serves eight
//! rows and each broadcast three registers, so the multipliers are what it waits for. Panels of 48
//! columns lie in the order in which they are read and stay in the second-level cache while all rows
//! pass over them.
//!
//! The rows are rounded to bfloat16 as well (to nearest, ties to even). Every sum adds its pairs in
//! the order of the inner dimension, whatever the number of rows or threads, so a row's result does
//! not depend on what it is computed with.

#![allow(unsafe_code)]

use rayon::prelude::*;

/// Rows of a block.
const ROWS: usize = 8;
/// Columns of a block: three registers of 16 lanes.
const COLUMNS: usize = 48;
/// Floating-point operations below which a product stays on one thread.
const WORTH_A_THREAD: usize = 4_000_000;

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

/// Rounds to the nearest bfloat16, ties to even; the result is the upper half of a float32.
fn round(value: f32) -> u32 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) | 0x40;
    }
    bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16
}

/// Two neighbours along the inner dimension in one word, the first in its lower half.
fn pair(first: f32, second: f32) -> u32 {
    round(first) | (round(second) << 16)
}

/// The right factor `[K, N]` of a product, in panels of 48 columns.
#[derive(Clone)]
pub(super) struct Panels {
    inner: usize,
    columns: usize,
    /// For each panel, for each pair of the inner dimension: 48 pairs.
    words: Vec<u32>,
}

impl Panels {
    /// Packs `[K, N]`, whose element `(k, n)` is `at(k, n)`.
    pub(super) fn new(inner: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let (pairs, panels) = (inner.div_ceil(2), columns.div_ceil(COLUMNS));
        let mut words = Vec::with_capacity(panels * pairs * COLUMNS);
        let or_zero = |k, n| if k < inner && n < columns { at(k, n) } else { 0.0 };
        for panel in 0..panels {
            for p in 0..pairs {
                for n in panel * COLUMNS..(panel + 1) * COLUMNS {
                    words.push(pair(or_zero(2 * p, n), or_zero(2 * p + 1, n)));
                }
            }
        }
        Self { inner, columns, words }
    }

    /// Bytes of the packed matrix.
    pub(super) fn bytes(&self) -> usize {
        self.words.len() * size_of::<u32>()
    }

    /// `out = rows · matrix`, or `out += …`. `rows` is `[M, K]` without gaps, row `i` of the
    /// result starts at `out[i · stride]`.
    pub(super) fn multiply(
        &self,
        rows: &[f32],
        count: usize,
        out: &mut [f32],
        stride: usize,
        add: bool,
    ) {
        assert_eq!(rows.len(), count * self.inner, "rows of the left factor");
        assert!(stride >= self.columns && available());
        if count == 0 {
            return;
        }
        assert!(out.len() >= (count - 1) * stride + self.columns, "room for the product");
        let work = 2 * count * self.inner * self.columns;
        let threads = rayon::current_num_threads();
        if threads == 1 || work < WORTH_A_THREAD {
            self.multiply_here(rows, count, out, stride, add);
            return;
        }
        // Whole blocks of rows for each thread; the sums of a row are the same in any of them.
        let chunk = count.div_ceil(threads).next_multiple_of(ROWS);
        out.par_chunks_mut(chunk * stride).enumerate().for_each(|(index, out)| {
            let first = index * chunk;
            if first < count {
                let last = (first + chunk).min(count);
                let rows = &rows[first * self.inner..last * self.inner];
                self.multiply_here(rows, last - first, out, stride, add);
            }
        });
    }

    fn multiply_here(&self, rows: &[f32], count: usize, out: &mut [f32], stride: usize, add: bool) {
        let pairs = self.inner.div_ceil(2);
        let packed = pack_rows(rows, count, self.inner);
        let mut edge = [0.0_f32; ROWS * COLUMNS];
        for (panel, words) in self.words.chunks_exact(pairs * COLUMNS).enumerate() {
            let column = panel * COLUMNS;
            let width = COLUMNS.min(self.columns - column);
            for (block, left) in packed.chunks_exact(pairs * ROWS).enumerate() {
                let row = block * ROWS;
                let height = ROWS.min(count - row);
                let at = row * stride + column;
                if height == ROWS && width == COLUMNS {
                    multiply_block(left, words, &mut out[at..], stride, add);
                } else {
                    multiply_block(left, words, &mut edge, COLUMNS, false);
                    for (r, sums) in edge.chunks_exact(COLUMNS).take(height).enumerate() {
                        let out = &mut out[at + r * stride..at + r * stride + width];
                        for (out, sum) in out.iter_mut().zip(sums) {
                            *out = if add { *out + sum } else { *sum };
                        }
                    }
                }
            }
        }
    }
}

/// Rounds rows to bfloat16, in blocks of 8 rows: for each pair of the inner dimension the pairs of
/// all rows of the block. Rows that fill the last block are zero.
fn pack_rows(rows: &[f32], count: usize, inner: usize) -> Vec<u32> {
    let pairs = inner.div_ceil(2);
    let mut packed = vec![0_u32; count.div_ceil(ROWS) * ROWS * pairs];
    for (block, packed) in packed.chunks_exact_mut(ROWS * pairs).enumerate() {
        let first = block * ROWS;
        for row in 0..ROWS.min(count - first) {
            let values = &rows[(first + row) * inner..(first + row + 1) * inner];
            pack_row(values, &mut packed[row..]);
        }
    }
    packed
}

/// Writes the pairs of a row, 8 words apart.
fn pack_row(values: &[f32], packed: &mut [u32]) {
    let mut at = 0;
    let (wide, rest) = values.as_chunks::<32>();
    for values in wide {
        for word in round_pairs(values) {
            packed[at] = word;
            at += ROWS;
        }
    }
    for values in rest.chunks(2) {
        packed[at] = pair(values[0], values.get(1).copied().unwrap_or(0.0));
        at += ROWS;
    }
}

#[cfg(target_arch = "x86_64")]
fn round_pairs(values: &[f32; 32]) -> [u32; 16] {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn inner(values: &[f32; 32]) -> [u32; 16] {
        use std::arch::x86_64::{__m512bh, _mm512_cvtne2ps_pbh, _mm512_loadu_ps};
        // SAFETY: both loads read 16 of the 32 values; the two types have the same size and any
        // bits are valid in the result.
        unsafe {
            let low = _mm512_loadu_ps(values.as_ptr());
            let high = _mm512_loadu_ps(values.as_ptr().add(16));
            std::mem::transmute::<__m512bh, [u32; 16]>(_mm512_cvtne2ps_pbh(high, low))
        }
    }
    // SAFETY: only called after `available`, which `multiply` asserts.
    unsafe { inner(values) }
}

#[cfg(not(target_arch = "x86_64"))]
fn round_pairs(values: &[f32; 32]) -> [u32; 16] {
    std::array::from_fn(|i| pair(values[2 * i], values[2 * i + 1]))
}

/// One block: `left` holds 8 rows, `right` a panel, both with the same number of pairs.
fn multiply_block(left: &[u32], right: &[u32], out: &mut [f32], stride: usize, add: bool) {
    let pairs = right.len() / COLUMNS;
    assert!(left.len() == pairs * ROWS && right.len() == pairs * COLUMNS);
    assert!(out.len() >= (ROWS - 1) * stride + COLUMNS);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: only called after `available`, which `multiply` asserts; the asserts above are the
    // bounds of everything that is read and written.
    unsafe {
        x86::multiply_block(pairs, left.as_ptr(), right.as_ptr(), out.as_mut_ptr(), stride, add);
    }
    #[cfg(not(target_arch = "x86_64"))]
    unreachable!("`available` says that there is no such kernel ({pairs}, {add})");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m512bh, __m512i, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512,
        _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{COLUMNS, ROWS};

    /// # Safety
    /// The processor must have the features; `left` holds `pairs · 8` words, `right` `pairs · 48`,
    /// and `out` eight rows of 48 values, `stride` apart.
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
                [0, 16, 32].map(|column| bf16(_mm512_loadu_si512(right.add(column).cast())))
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
