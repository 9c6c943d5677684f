//! Products of strided matrices: in float32 the `gemm` crate behind bounds that are checked, or
//! rounded to bfloat16.
//!
//! A product runs on the calling thread: most of them are pieces of something that was cut before.
//! [`Multiplier::multiply_rows`] is for whole ones.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::Range;
use std::slice;

use gemm::Parallelism;
use rayon::prelude::*;

use crate::bf16::{Kernel, Panels};
use crate::frozen::Precision;

/// A matrix to read: element `(i, j)` lies at `i · row_step + j · column_step`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
    column_step: usize,
}

/// A matrix to write, row by row: row `i` starts at `i · row_step`.
///
/// It borrows its own elements and not what lies between its rows, so that matrices which lie side by side
/// can be written at one time.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a> {
    first: *mut f32,
    rows: usize,
    columns: usize,
    row_step: usize,
    elements: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a mutable borrow of its elements, like a slice of them.
unsafe impl Send for MatrixMut<'_> {}

/// `R` rows of `C` elements of such a matrix.
#[derive(Debug)]
pub(crate) struct BlockMut<'a, const R: usize, const C: usize> {
    first: *mut f32,
    row_step: usize,
    elements: PhantomData<&'a mut [f32]>,
}

/// Whether `rows × columns` elements with these steps lie within `length`.
fn fits(length: usize, rows: usize, columns: usize, row_step: usize, column_step: usize) -> bool {
    rows == 0 || columns == 0 || (rows - 1) * row_step + (columns - 1) * column_step < length
}

impl<'a> Matrix<'a> {
    /// Rows without gaps.
    pub(crate) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Rows that start `row_step` apart.
    pub(crate) fn strided(values: &'a [f32], rows: usize, columns: usize, row_step: usize) -> Self {
        assert!(fits(values.len(), rows, columns, row_step, 1), "a matrix beyond its values");
        Self { values, rows, columns, row_step, column_step: 1 }
    }

    /// Number of rows.
    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn columns(self) -> usize {
        self.columns
    }

    /// Whether rows are without gaps; otherwise columns are.
    pub(crate) fn has_rows(self) -> bool {
        self.column_step == 1
    }

    /// A row without gaps.
    pub(crate) fn row(self, index: usize) -> &'a [f32] {
        assert!(self.column_step == 1, "a row with gaps");
        &self.values[index * self.row_step..][..self.columns]
    }

    /// A column without gaps.
    pub(crate) fn column(self, index: usize) -> &'a [f32] {
        assert!(self.row_step == 1, "a column with gaps");
        &self.values[index * self.column_step..][..self.rows]
    }

    /// Some of the rows, at least one.
    pub(crate) fn some_rows(self, rows: Range<usize>) -> Self {
        Self { values: &self.values[rows.start * self.row_step..], rows: rows.len(), ..self }
    }

    /// Some of the columns, at least one.
    pub(crate) fn some_columns(self, columns: Range<usize>) -> Self {
        let values = &self.values[columns.start * self.column_step..];
        Self { values, columns: columns.len(), ..self }
    }

    /// The same values with rows for columns.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_step: self.column_step,
            column_step: self.row_step,
            ..self
        }
    }
}

impl<'a> MatrixMut<'a> {
    /// Rows without gaps.
    pub(crate) fn new(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        Self::strided(values, rows, columns, columns)
    }

    /// Rows that start `row_step` apart.
    pub(crate) fn strided(
        values: &'a mut [f32],
        rows: usize,
        columns: usize,
        row_step: usize,
    ) -> Self {
        assert!(rows <= 1 || row_step >= columns, "rows that overlap");
        assert!(fits(values.len(), rows, columns, row_step, 1), "a matrix beyond its values");
        Self { first: values.as_mut_ptr(), rows, columns, row_step, elements: PhantomData }
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// A row.
    pub(crate) fn row(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.rows, "a row beyond the last");
        // SAFETY: the row is part of what this borrows.
        unsafe { slice::from_raw_parts_mut(self.at(index, 0), self.columns) }
    }

    /// The block that begins at an element, if it is whole.
    pub(crate) fn block<const R: usize, const C: usize>(
        &mut self,
        row: usize,
        column: usize,
    ) -> Option<BlockMut<'_, R, C>> {
        let whole = row + R <= self.rows && column + C <= self.columns;
        let (row_step, elements) = (self.row_step, PhantomData);
        // SAFETY: the block is part of what this borrows.
        whole.then(|| BlockMut { first: unsafe { self.at(row, column) }, row_step, elements })
    }

    /// # Safety
    /// The element must lie within the matrix.
    unsafe fn at(&self, row: usize, column: usize) -> *mut f32 {
        // SAFETY: whoever made this checked that its elements lie in one slice.
        unsafe { self.first.add(row * self.row_step + column) }
    }

    /// All of it, for a while.
    pub(crate) fn whole(&mut self) -> MatrixMut<'_> {
        MatrixMut { elements: PhantomData, ..*self }
    }

    /// Some of the rows, for a while.
    pub(crate) fn some_rows(&mut self, rows: Range<usize>) -> MatrixMut<'_> {
        assert!(rows.end <= self.rows, "rows beyond the last");
        // SAFETY: the caller borrows this as long as the part.
        unsafe { self.part(rows, 0..self.columns) }
    }

    /// Some of the columns, for a while.
    pub(crate) fn some_columns(&mut self, columns: Range<usize>) -> MatrixMut<'_> {
        assert!(columns.end <= self.columns, "columns beyond the last");
        // SAFETY: the caller borrows this as long as the part.
        unsafe { self.part(0..self.rows, columns) }
    }

    /// Sets every element to zero.
    pub(crate) fn clear(&mut self) {
        for row in 0..self.rows {
            self.row(row).fill(0.0);
        }
    }

    /// Blocks of so many rows, the last with what is left.
    pub(crate) fn into_rows(
        self,
        count: usize,
    ) -> impl IndexedParallelIterator<Item = (Range<usize>, MatrixMut<'a>)> {
        // SAFETY: parts do not overlap, and this is gone.
        deal_out(self.rows, count, move |rows| unsafe { self.part(rows, 0..self.columns) })
    }

    /// Blocks of so many columns, the last with what is left.
    pub(crate) fn into_columns(
        self,
        count: usize,
    ) -> impl IndexedParallelIterator<Item = (Range<usize>, MatrixMut<'a>)> {
        // SAFETY: as in `into_rows`.
        deal_out(self.columns, count, move |columns| unsafe { self.part(0..self.rows, columns) })
    }

    /// # Safety
    /// The part must lie within this matrix, and its elements not be used elsewhere as long as it lives.
    unsafe fn part<'b>(&self, rows: Range<usize>, columns: Range<usize>) -> MatrixMut<'b> {
        let empty = rows.is_empty() || columns.is_empty();
        // SAFETY: an element that is not there is not pointed to.
        let first = if empty { self.first } else { unsafe { self.at(rows.start, columns.start) } };
        let (rows, columns) = (rows.len(), columns.len());
        MatrixMut { first, rows, columns, row_step: self.row_step, elements: PhantomData }
    }
}

/// Parts of `length` rows or columns, so many each and the last with what is left, for threads to take.
fn deal_out<'a>(
    length: usize,
    count: usize,
    part: impl Fn(Range<usize>) -> MatrixMut<'a>,
) -> impl IndexedParallelIterator<Item = (Range<usize>, MatrixMut<'a>)> {
    let ranges = (0..length).step_by(count).map(|first| first..(first + count).min(length));
    let parts: Vec<_> = ranges.map(|range| (range.clone(), part(range))).collect();
    parts.into_par_iter().with_max_len(1)
}

impl<'a, const R: usize, const C: usize> BlockMut<'a, R, C> {
    /// Rows without gaps.
    pub(crate) fn new(values: &'a mut [[f32; C]; R]) -> Self {
        let first = values.as_flattened_mut().as_mut_ptr();
        Self { first, row_step: C, elements: PhantomData }
    }

    /// Rows that start `row_step` apart.
    pub(crate) fn strided(values: &'a mut [f32], row_step: usize) -> Self {
        assert!(R <= 1 || row_step >= C, "rows that overlap");
        assert!(fits(values.len(), R, C, row_step, 1), "a block beyond its values");
        Self { first: values.as_mut_ptr(), row_step, elements: PhantomData }
    }

    /// The first element, and how far rows are apart: all `R` rows of `C` elements are valid to read and write.
    pub(crate) fn into_parts(self) -> (*mut f32, usize) {
        (self.first, self.row_step)
    }
}

/// What a product's factors are rounded to. Sums are float32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Multiplier {
    /// Not rounded.
    Float32,
    /// Rounded to bfloat16.
    Bf16(Kernel),
}

impl Multiplier {
    /// What it rounds to.
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::Bf16(_) => Precision::Bf16,
            Self::Float32 => Precision::Float32,
        }
    }

    /// `out = scale · a · b`, or `out += …`, on this thread.
    pub(crate) fn multiply(
        self,
        out: MatrixMut<'_>,
        a: Matrix<'_>,
        b: Matrix<'_>,
        scale: f32,
        add: bool,
    ) {
        match self {
            Self::Float32 => multiply(out, a, b, scale, add),
            Self::Bf16(kernel) => {
                Panels::once(kernel, b, scale, |panels| panels.multiply(out, a, add));
            }
        }
    }

    /// [`multiply`](Self::multiply) on all threads.
    pub(crate) fn multiply_rows(
        self,
        out: MatrixMut<'_>,
        a: Matrix<'_>,
        b: Matrix<'_>,
        scale: f32,
        add: bool,
    ) {
        match self {
            Self::Float32 => multiply_rows(out, a, b, scale, add),
            Self::Bf16(kernel) => {
                Panels::once(kernel, b, scale, |panels| panels.multiply_rows(out, a, add));
            }
        }
    }
}

/// A right factor that is multiplied more than once.
#[derive(Clone)]
pub(crate) enum RightFactor {
    /// Row by row.
    Float32 { values: Vec<f32>, columns: usize },
    /// In the panels of a kernel.
    Bf16(Panels),
}

impl RightFactor {
    /// Packs `scale · b`. Rows or columns of `b` must be without gaps.
    pub(crate) fn new(by: Multiplier, b: Matrix<'_>, scale: f32) -> Self {
        match by {
            Multiplier::Bf16(kernel) => Self::Bf16(Panels::new(kernel, b, scale)),
            Multiplier::Float32 => {
                let (rows, columns) = (b.rows(), b.columns());
                let at = |row, column| b.values[row * b.row_step + column * b.column_step];
                let row = |row| (0..columns).map(move |column| scale * at(row, column));
                Self::Float32 { values: (0..rows).flat_map(row).collect(), columns }
            }
        }
    }

    /// `out = a · b`, or `out += …`, on this thread.
    pub(crate) fn multiply(&self, out: MatrixMut<'_>, a: Matrix<'_>, add: bool) {
        match self {
            Self::Float32 { values, columns } => {
                multiply(out, a, Matrix::new(values, a.columns(), *columns), 1.0, add);
            }
            Self::Bf16(panels) => panels.multiply(out, a, add),
        }
    }

    /// [`multiply`](Self::multiply) on all threads.
    pub(crate) fn multiply_rows(&self, out: MatrixMut<'_>, a: Matrix<'_>, add: bool) {
        match self {
            Self::Float32 { values, columns } => {
                multiply_rows(out, a, Matrix::new(values, a.columns(), *columns), 1.0, add);
            }
            Self::Bf16(panels) => panels.multiply_rows(out, a, add),
        }
    }

    /// How it is multiplied.
    pub(crate) fn multiplier(&self) -> Multiplier {
        match self {
            Self::Float32 { .. } => Multiplier::Float32,
            Self::Bf16(panels) => Multiplier::Bf16(panels.kernel()),
        }
    }
}

/// `out = scale · a · b`, or `out += …`.
fn multiply(out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32, add: bool) {
    assert_eq!((a.rows, a.columns, b.columns), (out.rows, b.rows, out.columns));
    if out.rows == 0 || out.columns == 0 {
        return;
    }
    // SAFETY: the constructors checked that every element lies within its slice, `out` is borrowed
    // mutably and so overlaps neither factor, and its rows do not overlap one another.
    unsafe {
        gemm::gemm(
            out.rows,
            out.columns,
            a.columns,
            out.first,
            1,
            out.row_step as isize,
            add,
            a.values.as_ptr(),
            a.column_step as isize,
            a.row_step as isize,
            b.values.as_ptr(),
            b.column_step as isize,
            b.row_step as isize,
            1.0,
            scale,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// [`multiply`] on all threads, in blocks of rows whose size does not depend on how many threads
/// there are: where the library begins a block may decide how it rounds. Every block packs `b` again, so
/// that small ones would cost more than they share out.
fn multiply_rows(out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32, add: bool) {
    const BLOCK: usize = 256;
    let (rows, columns) = (out.rows, out.columns);
    if rows <= BLOCK || columns == 0 {
        return multiply(out, a, b, scale, add);
    }
    out.into_rows(BLOCK).for_each(|(rows, out)| multiply(out, a.some_rows(rows), b, scale, add));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

    #[test]
    fn strided_and_transposed_factors_give_the_product_of_the_definition() {
        let (m, n, k) = (5, 7, 9);
        let (a, b) = (values(1, m * 12), values(2, n * 11));
        let start = values(3, m * 10);
        for add in [false, true] {
            let mut out = start.clone();
            multiply(
                MatrixMut::strided(&mut out, m, n, 10),
                Matrix::strided(&a, m, k, 12),
                Matrix::strided(&b, n, k, 11).transposed(),
                0.5,
                add,
            );
            for i in 0..m {
                for j in 0..10 {
                    let sum: f32 = (0..k).map(|l| a[i * 12 + l] * b[j.min(n - 1) * 11 + l]).sum();
                    let before = start[i * 10 + j];
                    let want = match (j < n, add) {
                        (true, true) => before + 0.5 * sum,
                        (true, false) => 0.5 * sum,
                        (false, _) => before,
                    };
                    assert!((out[i * 10 + j] - want).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "beyond its values")]
    fn a_matrix_beyond_its_values_is_refused() {
        let _ = Matrix::strided(&[0.0; 10], 3, 4, 4);
    }
}
