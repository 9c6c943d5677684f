//! Float32 products of strided matrices: the `gemm` crate behind bounds that are checked.
//!
//! Everything here runs on the calling thread: the work above is cut into pieces before it comes
//! here, and a piece must give the same bits however many threads there are.

#![allow(unsafe_code)]

use gemm::Parallelism;

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
    pub(crate) fn strided(
        values: &'a [f32],
        rows: usize,
        columns: usize,
        row_step: usize,
    ) -> Self {
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
