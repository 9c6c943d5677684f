//! Products block by block, and how the left factor lies for them.
//!
//! A block is 32 rows by 32 columns. All that the kernels differ in is how a block is multiplied; they read
//! the same factors. The inner dimension is cut into pieces, so that a block of rows about fits the first-level cache
//! and a group of panels the second. A block of rows passes over all panels of a group before the next block does,
//! and all rows over all groups before the next piece: what is written of a row then lies together, and memory is
//! read and written in long runs.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::pack::pack_left;
use super::{Kernel, Line, Panels, tile, vector};
use crate::matmul::{BlockMut, Matrix, MatrixMut};

/// Rows of a block.
pub(crate) const ROWS: usize = 32;
/// Lines of a panel.
pub(super) const LINES: usize = 2;
/// Columns of a block.
pub(crate) const COLUMNS: usize = LINES * Line::WORDS;
/// Pairs of the inner dimension in a step.
pub(super) const PAIRS: usize = Line::WORDS;
/// Lines of one step along the inner dimension, of either factor.
pub(super) const STEP: usize = 2 * PAIRS;
/// Steps of a piece of the inner dimension: 36 KiB of a panel, and of a block of rows.
const PIECE: usize = 18;
/// Panels that lie in the second-level cache together: 288 KiB.
const GROUP: usize = 8;

/// Calls `with` with room for a left factor of so many rows and so long an inner dimension.
pub(super) fn with_left(rows: usize, inner: usize, with: impl FnOnce(&mut PackedLeft)) {
    thread_local! {
        static LINES: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
    }
    let mut left = PackedLeft { lines: LINES.take(), ..PackedLeft::default() };
    left.reshape(rows, inner);
    with(&mut left);
    LINES.set(left.lines);
}

/// `out = left · right`, or `out += …`, on this thread, for the rows that `make` puts into blocks.
pub(super) fn multiply(
    right: &Panels,
    make: impl FnOnce(LeftBlocks<'_>),
    out: MatrixMut<'_>,
    add: bool,
) {
    with_left(out.rows(), right.inner, |left| {
        make(left.all());
        multiply_packed(left, (right, 0..right.count()), out, add);
    });
}

/// `out = left · right`, or `out += …`, on this thread, for some panels of the right factor.
pub(super) fn multiply_packed(
    left: &PackedLeft,
    (right, panels): (&Panels, Range<usize>),
    mut out: MatrixMut<'_>,
    add: bool,
) {
    let steps = left.steps;
    assert_eq!((left.rows(), steps), (out.rows().next_multiple_of(ROWS), right.pairs / PAIRS));
    if steps == 0 {
        if !add {
            out.clear();
        }
        return;
    }
    let mut edge = [[0.0_f32; COLUMNS]; ROWS];
    let on = Ready::here(right.kernel);
    let right = &right.lines[panels.start * steps * STEP..panels.end * steps * STEP];
    for first in (0..steps).step_by(PIECE) {
        let piece = first * STEP..(first + PIECE).min(steps) * STEP;
        let add = add || first > 0;
        for (group, right) in right.chunks(GROUP * steps * STEP).enumerate() {
            for (block, left) in left.lines[..left.used()].chunks_exact(steps * STEP).enumerate() {
                let (row, left) = (block * ROWS, &left[piece.clone()]);
                let rows = ROWS.min(out.rows() - row);
                for (panel, right) in right.chunks_exact(steps * STEP).enumerate() {
                    let column = (group * GROUP + panel) * COLUMNS;
                    in_block(&mut edge, &mut out, (row, column), |out| {
                        on.multiply_block(rows, (left, &right[piece.clone()]), out, add);
                    });
                }
            }
        }
    }
}

/// Computes the block of `out` that begins at an element. At the edge, where only some of its rows and
/// columns are there, that happens in `edge`: with the numbers of `out` before and after it, so that
/// every sum is made as it would be inside.
fn in_block(
    edge: &mut [[f32; COLUMNS]; ROWS],
    out: &mut MatrixMut<'_>,
    (row, column): (usize, usize),
    compute: impl FnOnce(BlockMut<'_, ROWS, COLUMNS>),
) {
    if let Some(block) = out.block(row, column) {
        return compute(block);
    }
    let width = COLUMNS.min(out.columns() - column);
    for (row, edge) in (row..out.rows()).zip(&mut *edge) {
        edge[..width].copy_from_slice(&out.row(row)[column..][..width]);
    }
    compute(BlockMut::new(edge));
    for (row, edge) in (row..out.rows()).zip(edge) {
        out.row(row)[column..][..width].copy_from_slice(&edge[..width]);
    }
}

/// `out = left · right`, or `out += …`, for whole blocks: some `steps` along the inner dimension (32 of
/// it each), from a step of the left factor and one of the right on, and some panels of 32 columns.
/// Rows of `out` are `stride` apart, and there are as many as [`PackedLeft::rows`]; those that only fill the last
/// block may be left as they are.
pub(crate) fn multiply_part(
    on: &Ready,
    (left, left_step): (&PackedLeft, usize),
    (right, right_step, panels): (&Panels, usize, Range<usize>),
    steps: usize,
    (out, stride): (&mut [f32], usize),
    add: bool,
) {
    if steps == 0 {
        return;
    }
    let (right_steps, count) = (right.pairs / PAIRS, left.count);
    for (column, panel) in panels.enumerate() {
        let lines = &right.lines[(panel * right_steps + right_step) * STEP..][..steps * STEP];
        for block in 0..left.blocks() {
            let left = &left.lines[(block * left.steps + left_step) * STEP..][..steps * STEP];
            let out = &mut out[block * ROWS * stride + column * COLUMNS..];
            let rows = ROWS.min(count - block * ROWS);
            on.multiply_block(rows, (left, lines), BlockMut::strided(out, stride), add);
        }
    }
}

/// A left factor in the order in which it is multiplied: for each block of 32 rows, for each step of 16 pairs
/// along the inner dimension, a line of each row.
#[derive(Default)]
pub(crate) struct PackedLeft {
    /// Rows that there are.
    count: usize,
    steps: usize,
    /// There may be more memory than the factor needs.
    lines: Vec<Line>,
}

/// Some blocks of a left factor, to be packed.
pub(crate) struct LeftBlocks<'a> {
    steps: usize,
    lines: &'a mut [Line],
}

impl PackedLeft {
    /// Packs `a`.
    pub(crate) fn pack(&mut self, a: Matrix<'_>) {
        self.reshape(a.rows(), a.columns());
        self.all().pack(a);
    }

    /// Makes room for so many rows and so long an inner dimension. Every row of every block is to be
    /// put then.
    pub(crate) fn reshape(&mut self, rows: usize, inner: usize) {
        (self.count, self.steps) = (rows, inner.div_ceil(2 * PAIRS));
        // Memory that was larger before stays so, lest it be zeroed again.
        if self.lines.len() < self.used() {
            self.lines.resize(self.used(), Line::ZERO);
        }
    }

    /// Lines that hold the factor.
    fn used(&self) -> usize {
        self.blocks() * self.steps * STEP
    }

    /// Steps of 32 along the inner dimension.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// Rows, with those that fill the last block.
    pub(crate) fn rows(&self) -> usize {
        self.blocks() * ROWS
    }

    fn blocks(&self) -> usize {
        self.count.div_ceil(ROWS)
    }

    /// All blocks.
    pub(crate) fn all(&mut self) -> LeftBlocks<'_> {
        let used = self.used();
        LeftBlocks { steps: self.steps, lines: &mut self.lines[..used] }
    }

    /// Blocks of `rows` rows each, a multiple of those of a block, with the rows that they hold of `count`.
    pub(super) fn split(
        &mut self,
        count: usize,
        rows: usize,
    ) -> impl IndexedParallelIterator<Item = (Range<usize>, LeftBlocks<'_>)> {
        let (steps, used) = (self.steps, self.used());
        let parts = self.lines[..used].par_chunks_mut((rows / ROWS * steps * STEP).max(1));
        parts.with_max_len(1).enumerate().map(move |(part, lines)| {
            let rows = part * rows..((part + 1) * rows).min(count);
            (rows, LeftBlocks { steps, lines })
        })
    }
}

impl LeftBlocks<'_> {
    /// Packs `a`. Rows and pairs that fill the last block are zero.
    pub(crate) fn pack(&mut self, a: Matrix<'_>) {
        self.clear_rows(a.rows());
        pack_left(a, self);
    }

    /// Puts sixteen pairs of a row, from the pair `16 · step` on; zero beyond the last.
    #[inline]
    pub(super) fn put(&mut self, row: usize, step: usize, words: Line) {
        self.lines[(row / ROWS * self.steps + step) * STEP + row % ROWS] = words;
    }

    /// Puts zeros into all rows from the `first` on.
    pub(super) fn clear_rows(&mut self, first: usize) {
        let rows = self.lines.len().checked_div(self.steps * STEP).unwrap_or(0) * ROWS;
        for row in first..rows {
            for step in 0..self.steps {
                self.put(row, step, Line::ZERO);
            }
        }
    }

    /// Whether it has room for so many rows, no block more, and so long an inner dimension.
    pub(super) fn fits(&self, rows: usize, inner: usize) -> bool {
        let steps = inner.div_ceil(2 * PAIRS);
        self.steps == steps && self.lines.len() == rows.div_ceil(ROWS) * steps * STEP
    }
}

impl Panels {
    /// Puts the sixteen columns of a line, for a pair of the inner dimension, into panels.
    #[inline]
    pub(super) fn put(&mut self, pair: usize, line: usize, words: Line) {
        self.lines[(line / LINES * self.pairs + pair) * LINES + line % LINES] = words;
    }
}

/// A kernel that is ready on this thread, until this is dropped.
pub(crate) enum Ready {
    Tile(tile::Configured),
    Vector,
}

impl Ready {
    /// Makes a kernel ready.
    ///
    /// # Panics
    /// When the processor does not have it.
    pub(crate) fn here(kernel: Kernel) -> Self {
        match kernel {
            Kernel::Tile => Self::Tile(tile::Configured::here()),
            Kernel::Vector => {
                assert!(vector::available());
                Self::Vector
            }
        }
    }

    /// One block over one piece, of which some rows are wanted: `left` begins at the piece in a block of rows, and
    /// `right` is the piece of a panel.
    fn multiply_block(
        &self,
        rows: usize,
        (left, right): (&[Line], &[Line]),
        out: BlockMut<'_, ROWS, COLUMNS>,
        add: bool,
    ) {
        match self {
            Self::Tile(configured) => tile::multiply_block(configured, left, right, out, add),
            Self::Vector => vector::multiply_block(rows, left, right, out, add),
        }
    }
}
