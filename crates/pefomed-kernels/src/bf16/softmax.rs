//! Softmax of attention scores and its derivative, rounded to bfloat16 in the order in which blocks
//! are multiplied: what would otherwise be written, read again and packed never leaves the registers.

#![allow(unsafe_code)]

use std::ops::Range;

use super::blocks::{LeftBlocks, PackedLeft};
use super::rounding::{round_pairs, round_two};
use super::{Kernel, Line, Panels, vector};
use crate::simd::exp_within;

/// Scores of a step: the inner dimension of a left factor advances by as many.
const STEP: usize = 2 * Line::WORDS;

/// An exponent below which a weight is nothing: far from every bit of a sum in float32, and so that no
/// product of it is too small for a normal number, which processors take a hundred times as long for.
const NOTHING: f32 = -60.0;

/// Columns that a row sees: those before `root`, and its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) root: usize,
    pub(crate) own: Range<usize>,
}

/// How much of a step a row sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    Whole,
    Part,
    Nothing,
}

impl Seen {
    /// Of the step that begins at column `first`.
    #[inline]
    fn sight(&self, first: usize) -> Sight {
        let (end, own) = (first + STEP, &self.own);
        if end <= self.root || (own.start <= first && end <= own.end) {
            Sight::Whole
        } else if first >= self.root && (end <= own.start || own.end <= first) {
            Sight::Nothing
        } else {
            Sight::Part
        }
    }

    /// `values` of the step that begins at column `first`, and something else where it does not see.
    #[expect(clippy::inline_always, reason = "compiled for wide vectors only where inlined")]
    #[inline(always)]
    fn only(&self, first: usize, values: &[f32; STEP], otherwise: f32) -> [f32; STEP] {
        let (root, start, end) = (self.root as u32, self.own.start as u32, self.own.end as u32);
        let mut only = [otherwise; STEP];
        for lane in 0..STEP {
            let column = first as u32 + lane as u32;
            let seen = column < root || (column >= start && column < end);
            only[lane] = if seen { values[lane] } else { otherwise };
        }
        only
    }
}

/// Softmax without its division: weights `exp(score − largest)` as a left factor, zero where a row does
/// not see, and for each row the largest score and the sum of the weights.
///
/// `scores` are rows of `columns`, a multiple of 32; there are as many rows as `seen` and `sums` have.
pub(crate) fn softmax(
    scores: &[f32],
    columns: usize,
    seen: &[Seen],
    weights: &mut PackedLeft,
    sums: &mut [(f32, f32)],
) {
    assert!(vector::available() && columns.is_multiple_of(STEP));
    #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
    // SAFETY: the processor has the instructions.
    unsafe {
        rows(scores, columns, seen, &mut weights.all(), sums);
    }
}

#[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
fn rows(
    scores: &[f32],
    columns: usize,
    seen: &[Seen],
    weights: &mut LeftBlocks<'_>,
    sums: &mut [(f32, f32)],
) {
    for (row, (seen, result)) in seen.iter().zip(sums).enumerate() {
        let (steps, _) = scores[row * columns..][..columns].as_chunks::<STEP>();
        let mut tops = [f32::NEG_INFINITY; STEP];
        for (step, scores) in steps.iter().enumerate() {
            let scores = match seen.sight(step * STEP) {
                Sight::Whole => *scores,
                Sight::Part => seen.only(step * STEP, scores, f32::NEG_INFINITY),
                Sight::Nothing => continue,
            };
            for lane in 0..STEP {
                tops[lane] = if scores[lane] > tops[lane] { scores[lane] } else { tops[lane] };
            }
        }
        let top = tops.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut lanes = [0.0_f32; STEP];
        for (step, scores) in steps.iter().enumerate() {
            let sight = seen.sight(step * STEP);
            if sight == Sight::Nothing {
                weights.put(row, step, Line::ZERO);
                continue;
            }
            let mut row_weights = [0.0_f32; STEP];
            for lane in 0..STEP {
                row_weights[lane] = weight(scores[lane] - top);
            }
            if sight == Sight::Part {
                row_weights = seen.only(step * STEP, &row_weights, 0.0);
            }
            for lane in 0..STEP {
                lanes[lane] += row_weights[lane];
            }
            weights.put(row, step, round_pairs(&row_weights, 1.0));
        }
        *result = (top, lanes.iter().sum());
    }
}

/// `eˣ` for `x` up to 87; nothing where that is too small to count.
#[expect(clippy::inline_always, reason = "compiled for wide vectors only where inlined")]
#[inline(always)]
fn weight(x: f32) -> f32 {
    if x < NOTHING { 0.0 } else { exp_within::<true>(x) }
}

/// What the derivative of a softmax reads: rows of `columns`, a multiple of 32. The number of rows is even.
pub(crate) struct Backward<'a> {
    pub(crate) columns: usize,
    pub(crate) scores: &'a [f32],
    /// Gradients of the weights.
    pub(crate) gradient: &'a [f32],
    pub(crate) seen: &'a [Seen],
    /// For each row the logarithm of its sum, and the sum of its weights times their gradients.
    pub(crate) logs: &'a [(f32, f32)],
    /// Factor of the gradients of scores.
    pub(crate) scale: f32,
}

/// What it writes: weights, and gradients of the scores, as factors of the products that follow.
pub(crate) struct Factors {
    pub(crate) weights: Panels,
    pub(crate) left: PackedLeft,
    pub(crate) right: Panels,
}

impl Factors {
    /// Factors that have no room yet.
    pub(crate) fn empty(kernel: Kernel) -> Self {
        let empty = || Panels::empty(kernel);
        Self { weights: empty(), left: PackedLeft::default(), right: empty() }
    }
}

impl Backward<'_> {
    /// Computes the weights once more, and the gradients of the scores.
    pub(crate) fn compute(&self, to: &mut Factors) {
        let rows = self.seen.len();
        assert!(vector::available() && self.columns.is_multiple_of(STEP) && rows.is_multiple_of(2));
        to.weights.reshape(rows, self.columns);
        to.right.reshape(rows, self.columns);
        to.left.reshape(rows, self.columns);
        #[allow(unused_unsafe, reason = "it is safe where there are no such instructions")]
        // SAFETY: the processor has the instructions.
        unsafe {
            self.pairs(to);
        }
    }

    /// Both rows of a pair, step by step.
    fn rows<'b>(&self, values: &'b [f32], pair: usize) -> [&'b [[f32; STEP]]; 2] {
        let (first, second) =
            values[2 * pair * self.columns..][..2 * self.columns].split_at(self.columns);
        [first.as_chunks().0, second.as_chunks().0]
    }

    #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512bw,avx512bf16"))]
    fn pairs(&self, to: &mut Factors) {
        let mut left = to.left.all();
        for pair in 0..self.seen.len() / 2 {
            let (scores, gradients) =
                (self.rows(self.scores, pair), self.rows(self.gradient, pair));
            for step in 0..self.columns / STEP {
                let mut weights = [[0.0_f32; STEP]; 2];
                let mut differences = [[0.0_f32; STEP]; 2];
                for row in 0..2 {
                    let (log, along) = self.logs[2 * pair + row];
                    let seen = &self.seen[2 * pair + row];
                    let sight = seen.sight(step * STEP);
                    if sight == Sight::Nothing {
                        left.put(2 * pair + row, step, Line::ZERO);
                        continue;
                    }
                    let (scores, gradients) = (&scores[row][step], &gradients[row][step]);
                    let all = &mut weights[row];
                    for lane in 0..STEP {
                        all[lane] = weight(scores[lane] - log);
                    }
                    if sight == Sight::Part {
                        *all = seen.only(step * STEP, all, 0.0);
                    }
                    for lane in 0..STEP {
                        differences[row][lane] = self.scale * all[lane] * (gradients[lane] - along);
                    }
                    left.put(2 * pair + row, step, round_pairs(&differences[row], 1.0));
                }
                for half in 0..2 {
                    let part = half * Line::WORDS..(half + 1) * Line::WORDS;
                    for (rows, to) in [(&weights, &mut to.weights), (&differences, &mut to.right)] {
                        let words = round_two(&rows[0][part.clone()], &rows[1][part.clone()], 1.0);
                        to.put(pair, 2 * step + half, words);
                    }
                }
            }
        }
    }
}
