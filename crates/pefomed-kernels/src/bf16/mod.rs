//! Products of matrices rounded to bfloat16, accumulated in float32.
//!
//! Two kinds of instructions multiply bfloat16: matrix tiles ([`tile`]) and vectors ([`vector`]). Both
//! take pairs along the inner dimension, so the right factor is packed into panels, each with the
//! pairs of some columns in the order in which they are read; only the width of a panel differs. A
//! panel stays in the caches while all rows pass over it. A frozen weight is packed once
//! ([`FrozenLinear`](crate::frozen::FrozenLinear)), a matrix of the moment whenever it is multiplied.
//!
//! The left factor is rounded as well (to nearest, ties to even). Every sum adds its pairs in the
//! order of the inner dimension, whatever the number of rows or threads, so a row's result does
//! not depend on what it is computed with. The two kinds may differ in a sum's last bits: a processor
//! always gets the same one.

mod pack;
mod rounding;
pub(crate) mod softmax;
pub(crate) mod swiglu;
pub(crate) mod tile;
mod vector;

use std::cell::Cell;
use std::ops::Range;
use std::sync::LazyLock;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::matmul::{Matrix, MatrixMut};
use tile::LeftTiles;

/// Floating-point operations below which a product stays on one thread.
const WORTH_A_THREAD: usize = 4_000_000;

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

    /// Lines of 16 columns in a panel.
    fn lines(self) -> usize {
        match self {
            Self::Tile => tile::LINES,
            Self::Vector => vector::LINES,
        }
    }

    /// Pairs of the inner dimension that one instruction takes.
    fn pairs(self) -> usize {
        match self {
            Self::Tile => tile::PAIRS,
            Self::Vector => 1,
        }
    }

    /// Rows of a block.
    fn rows(self) -> usize {
        match self {
            Self::Tile => tile::ROWS,
            Self::Vector => vector::ROWS,
        }
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
    /// For each panel, for each pair of the inner dimension: the panel's columns.
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
        pack::pack_right(&mut this.lines, kernel.lines(), this.pairs, b, scale);
        this
    }

    /// Panels that have no room yet.
    pub(crate) fn empty(kernel: Kernel) -> Self {
        Self { kernel, inner: 0, columns: 0, pairs: 0, lines: Vec::new() }
    }

    /// Makes room for a factor `[inner, columns]`. Every pair of every line is to be put then.
    fn reshape(&mut self, inner: usize, columns: usize) {
        (self.inner, self.columns) = (inner, columns);
        self.pairs = inner.div_ceil(2).next_multiple_of(self.kernel.pairs());
        self.lines.resize(self.count() * self.pairs * self.kernel.lines(), Line::ZERO);
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

    /// Bytes of the packed matrix.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&self.lines[..])
    }

    /// `out = a · matrix`, or `out += …`, on all threads. Rows or columns of `a` must be without gaps.
    pub(crate) fn multiply_rows(&self, out: MatrixMut<'_>, a: Matrix<'_>, add: bool) {
        self.on_all_threads(out, add, |panels, rows, out| {
            self.multiply_panels(panels, out, a.some_rows(rows), add);
        });
    }

    /// As [`multiply_rows`](Self::multiply_rows), for a left factor that exists only in tiles: `make`
    /// puts some of its rows into them.
    ///
    /// # Panics
    /// When the panels are not for tiles.
    pub(crate) fn multiply_made(
        &self,
        out: MatrixMut<'_>,
        make: impl Fn(Range<usize>, &mut LeftTiles) + Sync,
        add: bool,
    ) {
        assert_eq!(self.kernel, Kernel::Tile, "a left factor in tiles");
        self.on_all_threads(out, add, |panels, rows, out| {
            tile::multiply((self, panels), |left| make(rows, left), out, add);
        });
    }

    /// As [`multiply_rows`](Self::multiply_rows), on this thread.
    pub(crate) fn multiply(&self, out: MatrixMut<'_>, a: Matrix<'_>, add: bool) {
        self.multiply_panels(0..self.count(), out, a, add);
    }

    /// Number of panels.
    fn count(&self) -> usize {
        self.columns.div_ceil(self.kernel.lines() * Line::WORDS)
    }

    /// Columns of some panels.
    fn columns_of(&self, panels: &Range<usize>) -> Range<usize> {
        let width = self.kernel.lines() * Line::WORDS;
        panels.start * width..(panels.end * width).min(self.columns)
    }

    /// Deals `out` out to all threads: `multiply` gets some panels, some rows, and what they make of
    /// `out`. An element's sum is the same in any of them.
    fn on_all_threads(
        &self,
        mut out: MatrixMut<'_>,
        add: bool,
        multiply: impl Fn(Range<usize>, Range<usize>, MatrixMut<'_>) + Sync,
    ) {
        let rows = out.rows();
        let work = 2 * rows * self.inner * self.columns;
        let threads = rayon::current_num_threads();
        if rows == 0 || threads == 1 || work < WORTH_A_THREAD {
            multiply(0..self.count(), 0..rows, out);
        } else if rows > self.kernel.rows() {
            // Whole blocks of rows for each thread.
            let chunk = rows.div_ceil(threads).next_multiple_of(self.kernel.rows());
            out.into_blocks(chunk).enumerate().for_each(|(index, out)| {
                let first = index * chunk;
                multiply(0..self.count(), first..(first + chunk).min(rows), out);
            });
        } else {
            // Panels for each thread; a few rows of them lie beside each other until all are done.
            let share = self.count().div_ceil(threads);
            let shares = (0..self.count()).step_by(share);
            let mut parts: Vec<_> = shares
                .map(|first| {
                    let panels = first..(first + share).min(self.count());
                    let columns = self.columns_of(&panels);
                    let mut part = Buffer::unwritten(rows * columns.len());
                    if add {
                        out.some_columns(columns.clone()).copy_to(&mut part);
                    }
                    (panels, columns, part)
                })
                .collect();
            parts.par_iter_mut().with_max_len(1).for_each(|(panels, columns, part)| {
                multiply(panels.clone(), 0..rows, MatrixMut::new(part, rows, columns.len()));
            });
            for (_, columns, part) in parts {
                out.some_columns(columns).copy_from(&part);
            }
        }
    }

    /// `out = a · panels`, or `out += …`, on this thread.
    fn multiply_panels(
        &self,
        panels: Range<usize>,
        mut out: MatrixMut<'_>,
        a: Matrix<'_>,
        add: bool,
    ) {
        let columns = self.columns_of(&panels).len();
        assert_eq!((a.rows(), a.columns(), columns), (out.rows(), self.inner, out.columns()));
        if a.rows() == 0 || columns == 0 {
            return;
        }
        if self.inner == 0 {
            if !add {
                out.clear();
            }
            return;
        }
        match self.kernel {
            Kernel::Tile => tile::multiply((self, panels), |left| left.pack(a), out, add),
            Kernel::Vector => vector::multiply((self, panels), a, out, add),
        }
    }
}

/// Computes a block of `out`, which begins at it and whose rows are `stride` apart. At the edge, where
/// only some rows and columns are there, that happens in a buffer of whole rows: with the numbers of
/// `out` before and after it, so that every sum is made as it would be inside. `compute` gets the
/// block and how far its rows are apart.
fn in_block<const N: usize>(
    buffer: &mut [[f32; N]],
    out: &mut [f32],
    stride: usize,
    (height, width): (usize, usize),
    compute: impl FnOnce(&mut [f32], usize),
) {
    if height == buffer.len() && width == N {
        return compute(out, stride);
    }
    for (row, buffer) in buffer.iter_mut().take(height).enumerate() {
        buffer[..width].copy_from_slice(&out[row * stride..][..width]);
    }
    compute(buffer.as_flattened_mut(), N);
    for (row, buffer) in buffer.iter().take(height).enumerate() {
        out[row * stride..][..width].copy_from_slice(&buffer[..width]);
    }
}

#[cfg(test)]
mod tests;
