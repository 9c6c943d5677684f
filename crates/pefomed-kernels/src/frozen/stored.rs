//! Weights that stay in the form in which they are stored (quantized, or in half precision), and are
//! turned into numbers slab by slab while they are multiplied.
//!
//! A slab is some rows of the weight, as many as fit the second-level cache beside what they are
//! multiplied with. Turning it into numbers costs about a nanosecond each, once for all rows of the
//! batch.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::matmul::{Matrix, MatrixMut, Multiplier};

/// A matrix `[N, K]` whose rows can be read one at a time.
pub trait StoredRows: Send + Sync + fmt::Debug {
    /// Number of rows `N`.
    fn rows(&self) -> usize;

    /// Numbers `K` of a row.
    fn columns(&self) -> usize;

    /// Bytes it is stored in.
    fn bytes(&self) -> usize;

    /// Puts the `K` numbers of a row into `to`.
    fn read(&self, row: usize, to: &mut [f32]);

    /// Hears that some rows were read and will hardly be read again, so that their bytes need not stay
    /// in memory. Reading them all the same gives the same numbers.
    fn forget(&self, _rows: Range<usize>) {}
}

/// Appends all numbers of a matrix to `to`, row by row. Rows are forgotten as they are read.
pub fn gather(matrix: &dyn StoredRows, to: &mut Vec<f32>) {
    let (rows, columns, start) = (matrix.rows(), matrix.columns(), to.len());
    to.reserve_exact(rows * columns);
    to.resize(start + rows * columns, 0.0);
    let step = (SLAB / columns.max(1)).max(1);
    for (slab, numbers) in to[start..].chunks_mut(step * columns).enumerate() {
        let first = slab * step;
        let each = numbers.par_chunks_exact_mut(columns).with_min_len(16);
        each.enumerate().for_each(|(row, to)| matrix.read(first + row, to));
        matrix.forget(first..rows.min(first + step));
    }
}

/// Numbers of a slab.
const SLAB: usize = 1 << 18;

/// Some stored weights, one below the other.
#[derive(Clone)]
pub(super) struct Stored {
    parts: Vec<Arc<dyn StoredRows>>,
    multiplier: Multiplier,
}

impl Stored {
    pub(super) fn new(parts: Vec<Arc<dyn StoredRows>>, multiplier: Multiplier) -> Self {
        Self { parts, multiplier }
    }

    pub(super) fn multiplier(&self) -> Multiplier {
        self.multiplier
    }

    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.bytes()).sum()
    }

    /// Calls `with` for one slab after the other: its rows, counted over all parts, and its numbers.
    fn each_slab(&self, mut with: impl FnMut(Range<usize>, Matrix<'_>)) {
        let mut numbers = Vec::new();
        let mut first = 0;
        for part in &self.parts {
            let columns = part.columns();
            let step = (SLAB / columns.max(1)).max(1);
            for start in (0..part.rows()).step_by(step) {
                let rows = step.min(part.rows() - start);
                numbers.resize(rows * columns, 0.0);
                let to = numbers.par_chunks_exact_mut(columns).with_min_len(16);
                to.enumerate().for_each(|(row, to)| part.read(start + row, to));
                with(first..first + rows, Matrix::new(&numbers, rows, columns));
                first += rows;
            }
        }
    }

    /// `y = x · Wᵀ`, or `y += …`.
    pub(super) fn forward(&self, x: Matrix<'_>, mut y: MatrixMut<'_>, add: bool) {
        self.each_slab(|rows, slab| {
            self.multiplier.multiply_rows(y.some_columns(rows), x, slab.transposed(), 1.0, add);
        });
    }

    /// `dx = g · W`, or `dx += …`.
    pub(super) fn backward(&self, g: Matrix<'_>, mut dx: MatrixMut<'_>, add: bool) {
        self.each_slab(|rows, slab| {
            let add = add || rows.start > 0;
            self.multiplier.multiply_rows(dx.whole(), g.some_columns(rows), slab, 1.0, add);
        });
    }
}
