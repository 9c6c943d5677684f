//! Products of matrices rounded to bfloat16, accumulated in float32.
//!
//! Two kinds of instructions multiply bfloat16: matrix tiles ([`tile`]) and vectors ([`vector`]). Both
//! take pairs along the inner dimension, so the right factor is packed into panels, each with the
//! pairs of 32 columns in the order in which they are read ([`blocks`]). A frozen weight is packed once
//! ([`FrozenLinear`](crate::frozen::FrozenLinear)), a matrix of the moment whenever it is multiplied.
//!
//! The left factor is rounded as well (to nearest, ties to even). Every sum adds its pairs in the
//! order of the inner dimension, whatever the number of rows or threads, so a row's result does
//! not depend on what it is computed with. The two kinds may differ in a sum's last bits: a processor
//! always gets the same one.

pub(crate) mod activation;
pub(crate) mod blocks;
mod pack;
mod rounding;
pub(crate) mod softmax;
mod tile;
mod vector;

use std::cell::Cell;
use std::ops::Range;
use std::sync::LazyLock;

use rayon::prelude::*;

use crate::matmul::{Matrix, MatrixMut};
use crate::parallel::PARTS;
use blocks::{COLUMNS, LINES, LeftBlocks, PAIRS, ROWS};

/// Floating-point operations below which a product stays on one thread.
const WORTH_A_THREAD: usize = 4_000_000;

/// Rows that are packed before they are multiplied, lest the packed rows of a long batch take as much memory as
/// a product of theirs.
const AT_ONCE: usize = 1024;

/// The instructions that multiply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Tiles of 16 × 16 sums.
    Tile,
    /// Vectors of 16 sums.
    Vector,
}

impl Kernel {
    /// The fastest this processor has.
    pub(crate) fn best() -> Option<Self> {
        static BEST: LazyLock<Option<Kernel>> = LazyLock::new(|| Kernel::all().next());
        *BEST
    }

    /// All that this processor has, the fastest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [(Self::Tile, tile::available()), (Self::Vector, vector::available())]
            .into_iter()
            .filter_map(|(kernel, available)| available.then_some(kernel))
    }
}

/// Sixteen words that one instruction loads: a line of the cache, lest a load touch two.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u32; 16]);

impl Line {
    const WORDS: usize = 16;
    const ZERO: Self = Self([0; Self::WORDS]);
}

/// The right factor `[K, N]` of a product, in panels of columns.
#[derive(Clone)]
pub(crate) struct Panels {
    kernel: Kernel,
    inner: usize,
    columns: usize,
    /// Pairs of the inner dimension, with those that fill up the last instruction.
    pairs: usize,
    /// For each panel, for each pair of the inner dimension: the panel's columns. There may be more memory
    /// than that.
    lines: Vec<Line>,
}

impl Panels {
    /// Packs `scale · b`. Rows or columns of `b` must be without gaps.
    pub(crate) fn new(kernel: Kernel, b: Matrix<'_>, scale: f32) -> Self {
        Self::in_place_of(Vec::new(), kernel, b, scale)
    }

    /// As [`new`](Self::new), in the memory of panels that are no longer needed.
    fn in_place_of(lines: Vec<Line>, kernel: Kernel, b: Matrix<'_>, scale: f32) -> Self {
        let mut this = Self { lines, ..Self::empty(kernel) };
        this.reshape(b.rows(), b.columns());
        let used = this.used();
        pack::pack_right(&mut this.lines[..used], this.pairs, b, scale);
        this
    }

    /// Panels that have no room yet.
    pub(crate) fn empty(kernel: Kernel) -> Self {
        Self { kernel, inner: 0, columns: 0, pairs: 0, lines: Vec::new() }
    }

    /// Makes room for a factor `[inner, columns]`. Every pair of every line is to be put then.
    fn reshape(&mut self, inner: usize, columns: usize) {
        (self.inner, self.columns) = (inner, columns);
        self.pairs = inner.div_ceil(2).next_multiple_of(PAIRS);
        // Memory that was larger before stays so, lest it be zeroed again.
        if self.lines.len() < self.used() {
            self.lines.resize(self.used(), Line::ZERO);
        }
    }

    /// Lines that hold the factor.
    fn used(&self) -> usize {
        self.count() * self.pairs * LINES
    }

    /// Multiplies by `scale · b` without keeping its panels: `with` is called with them.
    pub(crate) fn once(kernel: Kernel, b: Matrix<'_>, scale: f32, with: impl FnOnce(&Self)) {
        thread_local! {
            static LINES: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
        }
        let panels = Self::in_place_of(LINES.take(), kernel, b, scale);
        with(&panels);
        LINES.set(panels.lines);
    }

    /// The instructions that it is packed for.
    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Bytes of the packed matrix.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.lines[..])
    }

    /// `out = a · matrix`, or `out += …`, on all threads. Rows or columns of `a` must be without gaps.
    pub(crate) fn multiply_rows(&self, out: MatrixMut<'_>, a: Matrix<'_>, add: bool) {
        assert_eq!((a.rows(), a.columns(), self.columns), (out.rows(), self.inner, out.columns()));
        self.multiply_made(out, |rows, mut left| left.pack(a.some_rows(rows)), add);
    }

    /// As [`multiply_rows`](Self::multiply_rows), for a left factor that exists only in blocks: `make`
    /// puts some of its rows into them.
    pub(crate) fn multiply_made(
        &self,
        mut out: MatrixMut<'_>,
        make: impl Fn(Range<usize>, LeftBlocks<'_>) + Sync,
        add: bool,
    ) {
        assert_eq!(out.columns(), self.columns);
        let rows = out.rows();
        if rows == 0 || self.columns == 0 {
            return;
        }
        if self.is_small(rows) {
            blocks::multiply(self, |left| make(0..rows, left), out, add);
        } else if self.count() < 2 * PARTS * rayon::current_num_threads() && rows > ROWS {
            // A narrow product: rows for each thread.
            out.into_rows(rows_for_each(rows)).for_each(|(rows, out)| {
                blocks::multiply(self, |left| make(rows, left), out, add);
            });
        } else {
            let count = rows.div_ceil(rows.div_ceil(AT_ONCE)).next_multiple_of(ROWS);
            for first in (0..rows).step_by(count) {
                let count = count.min(rows - first);
                let out = out.some_rows(first..first + count);
                self.multiply_at_once(
                    out,
                    |r, left| make(first + r.start..first + r.end, left),
                    add,
                );
            }
        }
    }

    /// All rows are packed, and then every panel is read by one thread only.
    fn multiply_at_once(
        &self,
        out: MatrixMut<'_>,
        make: impl Fn(Range<usize>, LeftBlocks<'_>) + Sync,
        add: bool,
    ) {
        let rows = out.rows();
        blocks::with_left(rows, self.inner, |left| {
            left.split(rows, rows_for_each(rows)).for_each(|(rows, left)| make(rows, left));
            let left = &*left;
            self.each_panels(out, |panels, out| {
                blocks::multiply_packed(left, (self, panels), out, add);
            });
        });
    }

    /// `out = a · matrix`, or `out += …`, on this thread. Rows or columns of `a` must be without gaps.
    pub(crate) fn multiply(&self, out: MatrixMut<'_>, a: Matrix<'_>, add: bool) {
        assert_eq!((a.rows(), a.columns(), self.columns), (out.rows(), self.inner, out.columns()));
        blocks::multiply(self, |mut left| left.pack(a), out, add);
    }

    /// Number of panels.
    fn count(&self) -> usize {
        self.columns.div_ceil(COLUMNS)
    }

    /// Whether a product with so many rows is over before another thread has begun.
    fn is_small(&self, rows: usize) -> bool {
        rayon::current_num_threads() == 1 || 2 * rows * self.inner * self.columns < WORTH_A_THREAD
    }

    /// Deals `out` out to all threads: `multiply` gets some panels, and what they make of `out`. An
    /// element's sum is the same whatever it is computed with.
    fn each_panels(
        &self,
        out: MatrixMut<'_>,
        multiply: impl Fn(Range<usize>, MatrixMut<'_>) + Sync,
    ) {
        let each = self.count().div_ceil(PARTS * rayon::current_num_threads());
        out.into_columns(each * COLUMNS).for_each(|(columns, out)| {
            multiply(columns.start / COLUMNS..columns.end.div_ceil(COLUMNS), out);
        });
    }
}

/// Rows, in whole blocks, for each part of a product.
fn rows_for_each(rows: usize) -> usize {
    rows.div_ceil(PARTS * rayon::current_num_threads()).next_multiple_of(ROWS)
}

#[cfg(test)]
mod tests;
