//! Packing of both factors, rounded to bfloat16.

#![allow(unsafe_code)]

use super::rounding::{round_pairs, round_two, transpose};
use super::{Line, vector};
use crate::matmul::Matrix;

/// Pairs of the inner dimension that a line of a row holds.
const PAIRS: usize = Line::WORDS;

/// Takes the words of a left factor.
pub(super) trait LeftFactor {
    /// Sixteen pairs of a row, from the pair `16 · step` on; zero beyond the last.
    fn put(&mut self, row: usize, step: usize, words: Line);
}

/// Rounds `a` into its packed form.
pub(super) fn pack_left(a: Matrix<'_>, to: &mut impl LeftFactor) {
    assert!(vector::available());
    #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
    // SAFETY: the processor has the instructions.
    unsafe {
        left(a, to);
    }
}

/// Rounds `scale · b` into panels of `per_pair` lines for each of `pairs` pairs. Every line is written.
pub(super) fn pack_right(
    lines: &mut [Line],
    per_pair: usize,
    pairs: usize,
    b: Matrix<'_>,
    scale: f32,
) {
    assert!(vector::available());
    #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
    // SAFETY: the processor has the instructions.
    unsafe {
        right(lines, per_pair, pairs, b, scale);
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
fn left(a: Matrix<'_>, to: &mut impl LeftFactor) {
    if a.has_rows() {
        for row in 0..a.rows() {
            for (step, values) in a.row(row).chunks(2 * PAIRS).enumerate() {
                to.put(row, step, round_pairs(values, 1.0));
            }
        }
        return;
    }
    let mut block = [Line::ZERO; PAIRS];
    for first in (0..a.rows()).step_by(Line::WORDS) {
        let rows = Line::WORDS.min(a.rows() - first);
        for step in 0..a.columns().div_ceil(2 * PAIRS) {
            for (p, line) in block.iter_mut().enumerate() {
                let column = 2 * (step * PAIRS + p);
                let part = |column: usize| -> &[f32] {
                    if column < a.columns() { &a.column(column)[first..][..rows] } else { &[] }
                };
                *line = round_two(part(column), part(column + 1), 1.0);
            }
            transpose(&mut block);
            for (row, line) in block.iter().enumerate().take(rows) {
                to.put(first + row, step, *line);
            }
        }
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
fn right(lines: &mut [Line], per_pair: usize, pairs: usize, b: Matrix<'_>, scale: f32) {
    let (inner, columns) = (b.rows(), b.columns());
    let all = columns.next_multiple_of(per_pair * Line::WORDS);
    // The line of a pair and of the 16 columns from `column` on.
    let place = |pair: usize, column: usize| {
        let line = column / Line::WORDS;
        (line / per_pair * pairs + pair) * per_pair + line % per_pair
    };
    for first in (0..all).step_by(Line::WORDS) {
        let count = columns.saturating_sub(first).min(Line::WORDS);
        if b.has_rows() {
            for pair in 0..pairs {
                let part = |row: usize| -> &[f32] {
                    let there = row < inner && count > 0;
                    if there { &b.row(row)[first..][..count] } else { &[] }
                };
                lines[place(pair, first)] = round_two(part(2 * pair), part(2 * pair + 1), scale);
            }
            continue;
        }
        let mut block = [Line::ZERO; PAIRS];
        for pair in (0..pairs).step_by(PAIRS) {
            for (lane, line) in block.iter_mut().enumerate() {
                let values = if lane < count { b.column(first + lane) } else { &[] };
                let values = values.get(2 * pair..).unwrap_or_default();
                *line = round_pairs(&values[..values.len().min(2 * PAIRS)], scale);
            }
            transpose(&mut block);
            for (p, line) in block.iter().enumerate().take(pairs - pair) {
                lines[place(pair + p, first)] = *line;
            }
        }
    }
}
