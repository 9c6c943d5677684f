//! Matrices that stay in the bytes of their file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use pefomed_kernels::frozen::StoredRows;
use pefomed_kernels::mapped::MappedFile;

use super::StoredType;

/// A matrix `[rows, columns]` in a mapped file.
#[derive(Clone)]
pub struct StoredMatrix {
    file: Arc<MappedFile>,
    bytes: Range<usize>,
    stored: StoredType,
    rows: usize,
    columns: usize,
}

impl StoredMatrix {
    /// The matrix at some bytes of a file; none when the type holds no real numbers, a row is no
    /// whole number of blocks, or the bytes are not as many as the shape asks for.
    pub(super) fn new(
        file: &Arc<MappedFile>,
        bytes: Range<usize>,
        stored: StoredType,
        shape: &[usize],
    ) -> Option<Self> {
        let &[rows, columns] = shape else { return None };
        let (values, size) = stored.block();
        let row = columns.is_multiple_of(values).then(|| columns / values * size)?;
        let fits = rows.checked_mul(row) == Some(bytes.len()) && bytes.end <= file.as_bytes().len();
        let real = !matches!(stored, StoredType::Other(_));
        (fits && real && columns > 0).then(|| Self {
            file: file.clone(),
            bytes,
            stored,
            rows,
            columns,
        })
    }
}

impl fmt::Debug for StoredMatrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredMatrix({} × {}, {})", self.rows, self.columns, self.stored)
    }
}

impl StoredRows for StoredMatrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn read(&self, row: usize, to: &mut [f32]) {
        let size = self.bytes.len() / self.rows;
        let start = self.bytes.start + row * size;
        self.stored.widen_into(&self.file.as_bytes()[start..start + size], to);
    }

    fn forget(&self, rows: Range<usize>) {
        let (size, start) = (self.bytes.len() / self.rows, self.bytes.start);
        self.file.forget(start + rows.start * size..start + rows.end * size);
    }
}

/// A matrix whose rows are taken in another order.
#[derive(Clone)]
pub(crate) struct Reordered {
    pub(crate) matrix: Arc<dyn StoredRows>,
    /// The row of `matrix` that each row is.
    pub(crate) order: Vec<usize>,
}

impl fmt::Debug for Reordered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, reordered", self.matrix)
    }
}

impl StoredRows for Reordered {
    fn rows(&self) -> usize {
        self.order.len()
    }

    fn columns(&self) -> usize {
        self.matrix.columns()
    }

    fn bytes(&self) -> usize {
        self.matrix.bytes()
    }

    fn read(&self, row: usize, to: &mut [f32]) {
        self.matrix.read(self.order[row], to);
    }

    fn forget(&self, rows: Range<usize>) {
        // Rows come in another order, and their bytes with them: all when the last was read.
        if rows.end == self.order.len() {
            self.matrix.forget(0..self.order.len());
        }
    }
}

/// A matrix whose file keeps no rows together, turned into numbers.
pub(crate) struct Widened {
    pub(crate) values: Vec<f32>,
    pub(crate) columns: usize,
}

impl fmt::Debug for Widened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Widened({} × {})", self.rows(), self.columns)
    }
}

impl StoredRows for Widened {
    fn rows(&self) -> usize {
        self.values.len() / self.columns.max(1)
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.values[..])
    }

    fn read(&self, row: usize, to: &mut [f32]) {
        to.copy_from_slice(&self.values[row * self.columns..][..self.columns]);
    }
}
