//! Packing of both factors, rounded to bfloat16.

#![allow(unsafe_code)]

use super::blocks::{LINES, LeftBlocks, PAIRS};
use super::rounding::{round_pairs, round_two, transpose};
use super::{Line, vector};
use crate::matmul::Matrix;

/// Rounds `a` into its packed form.
pub(super) fn pack_left(a: Matrix<'_>, to: &mut LeftBlocks<'_>) {
    assert!(vector::available());
    #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
    // SAFETY: the processor has the instructions.
    unsafe {
        left(a, to);
    }
}

/// Rounds `scale · b` into panels of so many pairs. Every line is written.
pub(super) fn pack_right(lines: &mut [Line], pairs: usize, b: Matrix<'_>, scale: f32) {
    assert!(vector::available());
    #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
    // SAFETY: the processor has the instructions.
    unsafe {
        right(lines, pairs, b, scale);
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
fn left(a: Matrix<'_>, to: &mut LeftBlocks<'_>) {
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
fn right(lines: &mut [Line], pairs: usize, b: Matrix<'_>, scale: f32) {
    let (inner, columns) = (b.rows(), b.columns());
    let all = columns.next_multiple_of(LINES * Line::WORDS);
    // The line of a pair and of the 16 columns from `column` on.
    let place = |pair: usize, column: usize| {
        let line = column / Line::WORDS;
        (line / LINES * pairs + pair) * LINES + line % LINES
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
