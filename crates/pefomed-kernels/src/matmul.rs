//! Float32 products of strided matrices: the `gemm` crate behind bounds that are checked.
//!
//! A product runs on the calling thread: most of them are pieces of something that was cut before.
//! [`multiply_rows`] is for whole ones.

#![allow(unsafe_code)]

use gemm::Parallelism;
use rayon::prelude::*;

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
#[derive(Debug)]
pub(crate) struct MatrixMut<'a> {
    values: &'a mut [f32],
    rows: usize,
    columns: usize,
    row_step: usize,
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
        Self { values, rows, columns, row_step }
    }
}

/// `out = scale · a · b`, or `out += …`.
pub(crate) fn multiply(out: MatrixMut<'_>, a: Matrix<'_>, b: Matrix<'_>, scale: f32, add: bool) {
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
            out.values.as_mut_ptr(),
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
pub(crate) fn multiply_rows(
    out: MatrixMut<'_>,
    a: Matrix<'_>,
    b: Matrix<'_>,
    scale: f32,
    add: bool,
) {
    const BLOCK: usize = 256;
    let MatrixMut { values, rows, columns, row_step } = out;
    if rows <= BLOCK || columns == 0 {
        return multiply(MatrixMut { values, rows, columns, row_step }, a, b, scale, add);
    }
    let length = (rows - 1) * row_step + columns;
    let blocks = values[..length].par_chunks_mut(BLOCK * row_step);
    blocks.with_max_len(1).enumerate().for_each(|(index, values)| {
        let first = index * BLOCK;
        let count = BLOCK.min(rows - first);
        let out = MatrixMut { values, rows: count, columns, row_step };
        let a = Matrix { values: &a.values[first * a.row_step..], rows: count, ..a };
        multiply(out, a, b, scale, add);
    });
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
